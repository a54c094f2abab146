"""The rules by which `docs/quickstart.md` is compared with what its commands print."""

from pathlib import Path

import pytest
import tutorial
import yaml

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "quickstart.md").read_text()
READS = ("network-mapper list", "network-mapper status", "network-mapper export")

LIST = "client in namespace shop calls:\n  - server\nclient2 in namespace shop calls:\n  - server\n"
WIDE = """\
CLIENT       SERVER       PORT  CONNECTIONS  ATTEMPTS  OUTCOME   LAST SEEN
shop/client  shop/server    80            7         0  answered    12s ago
"""


def fence(language, text):
    return f"```{language}\n{text}\n```\n"


def test_steps_are_commands_with_what_they_print():
    page = f"# Title\n\n## One\n\n{fence('sh', 'a')}\n{fence('text', 'A')}\nWords.\n\n{fence('sh', 'b')}"
    first, second = tutorial.steps(page)
    assert (first.section, first.commands, first.output) == ("One", "a\n", "A\n")
    assert (second.commands, second.output, second.patience) == ("b\n", None, 0)


def test_patience_is_what_the_paragraph_before_a_step_promises():
    promise = "Not within 5 seconds.\n\nIt is there within\n40 seconds:"
    page = f"## One\n\n{promise}\n\n{fence('sh', 'a')}\nMore.\n\n{fence('sh', 'b')}"
    assert [step.patience for step in tutorial.steps(page)] == [40, 0]


def test_box_holds_another_way_for_the_step_before_it():
    box = f"<details>\n<summary>Else</summary>\n\n{fence('sh', 'b')}</details>"
    page = f"## One\n\n{fence('sh', 'a')}\n{box}\n\n{fence('sh', 'c')}"
    first, second = tutorial.steps(page)
    assert (first.commands, first.other.commands) == ("a\n", "b\n")
    assert (second.commands, second.other) == ("c\n", None)


@pytest.mark.parametrize(
    "page",
    [
        fence("text", "A"),
        f"{fence('sh', 'a')}\nWords.\n\n{fence('text', 'A')}",
        f"{fence('sh', 'a')}{fence('text', 'A')}{fence('yaml', 'b: c')}",
        f"<details>\n{fence('sh', 'b')}</details>\n",
    ],
)
def test_output_of_nothing_is_refused(page):
    with pytest.raises(ValueError):
        tutorial.steps(page)


def test_equal_output_is_accepted():
    assert tutorial.prints(LIST, LIST)


@pytest.mark.parametrize(
    "output",
    [
        LIST.replace("client2", "client3"),
        LIST.replace("  - server", "  - servers", 1),
        LIST.replace("shop", "shop2"),
        LIST + "client3 in namespace shop calls:\n  - server\n",
        LIST.removesuffix("  - server\n"),
        "A warning.\n" + LIST,
        "",
    ],
)
def test_other_edges_are_refused(output):
    assert not tutorial.prints(LIST, output)


def test_counts_and_ages_may_differ():
    assert tutorial.prints(WIDE, WIDE.replace(" 7 ", " 4711 ").replace("12s", "1m5s"))


@pytest.mark.parametrize(
    ("old", "new"), [(" 7 ", " 0 "), (" 0 ", " 3 "), (" 80 ", " 81 "), ("answered", "attempted"), ("12s ago", "-")]
)
def test_other_facts_of_a_table_are_refused(old, new):
    assert not tutorial.prints(WIDE, WIDE.replace(old, new))


def test_dots_stand_for_any_lines_or_any_text_of_one_line():
    expected = "first\n…\nsize … bytes\n"
    assert tutorial.prints(expected, "first\nsize 12 bytes\n")
    assert tutorial.prints(expected, "first\nmore\nand more\nsize 12 bytes\n")
    assert not tutorial.prints(expected, "first\nsize 12\nbytes\n")
    assert not tutorial.prints(expected, "first\nsize 12 bytes\nmore\n")


def test_step_is_repeated_until_it_prints_what_it_should(monkeypatch):
    monkeypatch.setattr(tutorial.time, "sleep", lambda _: None)
    answers = iter(["nothing\n", "A\n"])
    tutorial.follow(tutorial.Step("", "a\n", "A\n", 60), lambda _: next(answers))


def test_step_without_a_promise_has_one_try():
    answers = iter(["nothing\n", "A\n"])
    with pytest.raises(AssertionError, match="nothing"):
        tutorial.follow(tutorial.Step("", "a\n", "A\n", 0), lambda _: next(answers))


def test_quickstart_repeats_only_what_changes_nothing():
    patient = [step for step in tutorial.steps(PAGE) if step.patience]
    assert len(patient) == 4
    assert all(step.commands.startswith(READS) and step.commands.count("\n") == 1 for step in patient)


def test_quickstart_compares_every_command_of_the_program():
    silent = [step.commands for step in tutorial.steps(PAGE) if step.output is None]
    assert not any(line.startswith("network-mapper ") for lines in silent for line in lines.splitlines())


def test_quickstart_manifest_uses_one_small_image():
    objects = list(yaml.safe_load_all((DOCS / "quickstart.yaml").read_text()))
    pods = [item["spec"]["template"]["spec"] for item in objects if item["kind"] == "Deployment"]
    assert {pod["containers"][0]["image"] for pod in pods} == {"docker.io/library/busybox:1.36"}
    assert {item["metadata"].get("namespace", item["metadata"]["name"]) for item in objects} == {"mapper-tutorial"}
