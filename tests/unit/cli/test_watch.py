import json
from pathlib import Path

import pytest

from network_mapper.model import Edge, Workload

NOW = 1_800_000_000_000
CART, REDIS = Workload("cart", "shop", "Deployment"), Workload("redis", "shop", "StatefulSet")
ADS = Workload("ads", "web", "Deployment")
PRESENT = "cart in namespace shop calls:\n  - redis\n"
WATCHING = "Watching for what is new; Ctrl-C ends."


def edge(client, server, port=80, **counters):
    return Edge(client, server, None, port, "tcp", **(counters or {"connections": 1, "last_seen": NOW}))


@pytest.fixture
def watch(ask, monkeypatch):
    """Watch while steps happen, one between two questions; then comes Ctrl-C."""
    slept = []

    def run(*args, steps=()):
        left = iter(steps)

        def sleep(seconds):
            slept.append(seconds)
            try:
                next(left)()
            except StopIteration:
                raise KeyboardInterrupt from None

        monkeypatch.setattr("network_mapper.cli.watch.time.sleep", sleep)
        return ask("list", *args)

    run.slept = slept
    return run


@pytest.fixture
def appear(mapper):
    """A step in which edges come into the map."""
    return lambda *edges: lambda: mapper.everywhere.edges.extend(edges)


def nothing():
    pass


def test_the_list_comes_first_and_then_what_is_new(watch, appear):
    new = edge(ADS, CART, connections=1, first_seen=NOW - 3_000, last_seen=NOW)
    result = watch("--watch", steps=[nothing, appear(new), nothing])
    assert result.code == 0
    assert result.out == PRESENT + "2027-01-15T07:59:57.000Z ads in namespace web calls cart in namespace shop\n"
    assert result.err == f"{WATCHING}\n"


def test_watch_only_leaves_out_the_list(watch, appear):
    assert watch("--watch-only", steps=[appear(edge(CART, ADS, lookups=1, first_seen=NOW))]).out == (
        "2027-01-15T08:00:00.000Z cart in namespace shop calls ads in namespace web (DNS lookup only)\n"
    )


def test_the_mapper_is_asked_every_two_seconds_or_as_told(watch):
    watch("-w", steps=[])
    watch("--watch", "500ms", steps=[])
    watch("-w", "1m", "--watch-only", steps=[])
    assert watch.slept == [2.0, 0.5, 60.0]


@pytest.mark.parametrize("interval", ["99ms", "soon", "5"])
def test_an_interval_that_is_none_is_wrong_usage(watch, interval):
    result = watch("--watch", interval)
    assert (result.code, result.out) == (2, "")
    assert interval in result.err


def test_a_pair_is_told_once_whatever_its_ports(watch, appear):
    steps = [appear(edge(ADS, CART)), appear(edge(ADS, CART, 81)), nothing]
    assert watch("--watch-only", steps=steps).out.count("\n") == 1


def test_stronger_evidence_is_told(watch, mapper):
    lookup = edge(ADS, CART, lookups=1, last_seen=NOW)
    mapper.everywhere.edges.append(lookup)

    def try_it():
        lookup.attempts = 1

    def reach_it():
        lookup.connections = 1

    def look_it_up():
        lookup.lookups += 1

    assert watch("--watch-only", steps=[try_it, look_it_up, reach_it, look_it_up]).out == (
        "2027-01-15T08:00:00.000Z ads in namespace web calls cart in namespace shop "
        "(attempted, never answered; before: a DNS lookup only)\n"
        "2027-01-15T08:00:00.000Z ads in namespace web calls cart in namespace shop "
        "(answered; before: never answered)\n"
    )


def test_only_what_is_selected_is_told(watch, appear):
    dns = Workload("coredns", "kube-system", "Deployment")
    steps = [appear(edge(ADS, dns, 53), edge(ADS, CART), edge(ADS, REDIS))]
    assert watch("--watch-only", "--to", "redis", steps=steps).out.count("redis") == 1
    assert watch("--watch-only", "--to", "redis", steps=steps).out == ""


def test_json_is_one_document_a_line(watch, appear):
    new = edge(ADS, CART, lookups=1, first_seen=NOW - 1_000, last_seen=NOW)
    lines = [json.loads(line) for line in watch("-w", "-o", "json", steps=[appear(new)]).out.splitlines()]
    assert [(line["event"], line["time"]) for line in lines] == [
        ("present", "2027-01-15T07:59:59.000Z"),
        ("new", "2027-01-15T07:59:59.000Z"),
    ]
    assert lines[1]["edge"]["client"] == {"type": "workload", "name": "ads", "namespace": "web", "kind": "Deployment"}
    assert (lines[1]["edge"]["lookups"], len(lines[1]["edge"]["ports"])) == (1, 1)


def test_json_tells_of_stronger_evidence_and_of_a_reset(watch, mapper):
    lookup = edge(ADS, CART, lookups=1, last_seen=NOW)
    mapper.everywhere.edges.append(lookup)

    def reach_it():
        lookup.connections = 1

    def reset():
        mapper.everywhere.epoch += 1
        mapper.everywhere.edges.clear()

    lines = watch("--watch-only", "-o", "json", steps=[reach_it, reset]).out.splitlines()
    assert [(json.loads(line)["event"], json.loads(line)["edge"] is None) for line in lines] == [
        ("stronger", False),
        ("reset", True),
    ]


def test_after_a_reset_what_comes_back_is_new(watch, mapper, appear):
    back = mapper.everywhere.edges[0]

    def reset():
        mapper.everywhere.epoch += 1
        mapper.everywhere.edges.clear()

    result = watch("--watch-only", steps=[reset, appear(back)])
    assert result.out == "2027-01-15T07:59:51.000Z cart in namespace shop calls redis\n"
    assert result.err.splitlines() == [WATCHING, "The map was emptied; what comes back is told as new."]


def test_a_mapper_that_begins_another_map_does_not_tell_it_all_again(watch, mapper, appear):
    known = mapper.everywhere.edges[0]

    def restart():
        mapper.everywhere.store, mapper.everywhere.epoch = "map-2", 1
        mapper.everywhere.edges.clear()

    result = watch("--watch-only", steps=[restart, appear(known, edge(ADS, CART))])
    assert result.out.count("\n") == 1
    assert "ads in namespace web" in result.out
    assert result.err.splitlines()[1] == "The mapper began another map; what was told before is not told again."


def test_a_mapper_that_is_away_is_told_of_once_and_asked_again(watch, mapper, appear):
    def breaks():
        mapper.broken = (500, b"")

    def returns():
        mapper.broken = None
        mapper.everywhere.edges.append(edge(ADS, CART))

    result = watch("--watch-only", steps=[breaks, nothing, nothing, returns, nothing])
    assert result.code == 0
    assert result.out.count("ads in namespace web") == 1
    lines = result.err.splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("Warning: ")
    assert lines[1].endswith("Asking again every 2s.")
    assert lines[2] == f"The map at {mapper.url} answers again."


def test_a_mapper_that_never_answered_is_an_error(watch, mapper):
    mapper.broken = (500, b"")
    result = watch("--watch", steps=[nothing])
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("Error: ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-o", "yaml"), "--watch prints text, or JSON Lines with -o json, and no yaml"),
        (("-o", "wide"), "--watch prints text, or JSON Lines with -o json, and no wide"),
        (("--group-by", "namespace"), "--watch tells of single edges as they appear"),
        (("--map-file", "x.json"), "a file of --map-file does not change"),
    ],
)
def test_what_cannot_be_watched_is_wrong_usage(run, arguments, said):
    result = run("list", "--watch", *arguments)
    assert (result.code, result.out) == (2, "")
    assert said in result.err


def test_what_is_remembered_has_a_bound(watch, mapper, monkeypatch):
    monkeypatch.setattr("network_mapper.cli.watch._MOST_KNOWN", 3)
    sizes = []
    from network_mapper.cli.watch import Watch

    tell = Watch._tell
    monkeypatch.setattr(Watch, "_tell", lambda self, answer: (tell(self, answer), sizes.append(len(self._known))))

    def another(number):
        return lambda: mapper.everywhere.edges.__setitem__(0, edge(Workload(f"w{number}", "n", "Pod"), CART))

    out = watch("--watch-only", "--from", ",".join(f"w{n}" for n in range(9)), steps=[another(n) for n in range(9)]).out
    assert out.count("\n") == 9
    assert max(sizes) <= 3


def test_a_label_tells_clients_apart(watch, appear):
    out = watch("--watch-only", "--distinct-by-label", "team", steps=[appear(edge(ADS, CART))]).out
    assert " ads [team=no_value] in namespace web calls " in out


def test_every_field_and_event_is_documented():
    from network_mapper.cli.watch import Event

    page = (Path(__file__).parents[3] / "docs" / "list-document.md").read_text(encoding="utf-8")
    section = page.split("## Watching")[1]
    named = {*Event.__struct_fields__, "present", "new", "stronger", "reset", "restart"}
    assert {name for name in named if f"`{name}`" not in section} == set()
