import json

import yaml

from network_mapper.wire.api import InstallationStatus, ResourceStatus, SenderStatus, SnifferSetStatus

NOW = 1_800_000_000_000

TEXT = """\
Mapper 0.1.0 at {url}
  Map: 3 edges, watching since 2027-01-15T07:55:00.000Z (5m)
  Store: map-1, epoch 1
  Rows: 10 received = 8 merged + 2 dropped
    2 rows client_unknown: no pod or node had the client's address at that time
Cluster: snapshot cluster.yaml
  12 pods, 11 services, 3 nodes, 10 workloads
  Problem: 2 pods share 10.0.0.9
Sniffers: 1 of 2 connected
  NODE    STATE      LAST REPORT  REPORTS  CAPTURE  AGENT
  node-a  connected       2s ago       60  -        network-mapper/0.1.0
  node-b  silent          1m ago        7  -        -
  Not reported by node-b:
    12 packets ring_overflow: the packet ring was full: raise --ring-size
Nodes: 1 of 3 watched
  Without a sniffer: node-b, node-c
"""


def test_text(ask, mapper):
    assert ask("status") == (0, TEXT.format(url=mapper.url), "")


def test_text_of_a_cluster_that_is_followed(ask, mapper):
    kinds = [("pods", "watching"), ("nodes", "watching"), ("rollouts.argoproj.io", "forbidden")]
    mapper.status.cluster.source = "https://10.96.0.1:443"
    mapper.status.cluster.domain = "corp.local"
    mapper.status.cluster.resources = [
        ResourceStatus(name, "", state, 1, 0, 1, 0, 0, "", 0, "") for name, state in kinds
    ]
    out = ask("status").out
    assert "Cluster: https://10.96.0.1:443, domain corp.local\n" in out
    assert "  3 kinds of objects: 1 forbidden, 2 watching\n" in out
    assert "Not read yet" not in out


def test_text_of_a_cluster_that_is_not_read_yet(ask, mapper):
    mapper.status.cluster.ready = False
    assert "  Not read yet: no report is taken until it is\n" in ask("status").out


def test_only_rows_add_up_to_the_rows(ask, mapper):
    mapper.status.drops = {"client_unknown": 2, "report_repeated": 5, "details_full": 1}
    assert "Rows: 10 received = 8 merged + 2 dropped\n" in ask("status").out


def test_text_of_a_mapper_that_nobody_reports_to(ask, mapper):
    mapper.status.sniffers, mapper.status.watching_since = [], 0
    mapper.status.uncovered_nodes, mapper.status.covered_nodes = ["node-a", "node-b", "node-c"], []
    out = ask("status").out
    assert "nobody watches yet" in out
    assert out.endswith("Sniffers: none yet\nNodes: 0 of 3 watched\n  Without a sniffer: node-a, node-b, node-c\n")


def test_a_cluster_without_nodes_has_no_word_about_them(ask, mapper):
    mapper.status.uncovered_nodes, mapper.status.covered_nodes = [], []
    assert "Nodes:" not in ask("status").out


def test_why_nodes_are_not_watched_is_told_once_a_reason(ask, mapper):
    mapper.status.uncovered_nodes = ["node-b", "node-c", "node-d"]
    mapper.status.installation.reasons = {"node-b": "refused", "node-d": "refused"}
    assert ("  Without a sniffer: node-b, node-d (refused)\n  Without a sniffer: node-c\n") in ask("status").out


def test_how_all_is_installed_is_told_where_the_mapper_knows(ask, mapper):
    mapper.status.installation = InstallationStatus(
        "maps", "restricted", [SnifferSetStatus("maps", "sniffer", 3, 2, 1)], ["other/mapper"], ["two mappers"]
    )
    assert ask("status").out.endswith(
        "Installed:\n"
        "  Mapper in namespace maps, which enforces PodSecurity restricted\n"
        "  DaemonSet maps/sniffer: 3 wanted, 2 there, 1 ready\n"
        "  Problem: two mappers\n"
    )


def test_a_namespace_that_enforces_no_level_is_named_alone(ask, mapper):
    mapper.status.installation = InstallationStatus("maps")
    assert ask("status").out.endswith("Installed:\n  Mapper in namespace maps\n")


def test_nodes_that_no_sniffer_can_watch_do_not_count(ask, mapper):
    mapper.status.uncovered_nodes, mapper.status.cluster.nodes = ["node-b"], 3
    assert "Nodes: 1 of 2 watched\n" in ask("status").out


def test_a_sniffer_of_another_version_is_marked(ask, mapper):
    mapper.status.sniffers[1].agent = "network-mapper/0.0.9"
    mapper.status.sniffers[1].version = "0.0.9"
    lines = ask("status").out.splitlines()
    assert "  node-b  silent          1m ago        7  -        network-mapper/0.0.9 (mapper: 0.1.0)" in lines
    assert "  node-a  connected       2s ago       60  -        network-mapper/0.1.0" in lines


def test_a_mapper_of_another_version_is_told_of(ask, mapper):
    mapper.status.version = "9.9.9"
    result = ask("status")
    assert "Mapper 9.9.9 at" in result.out
    assert result.err == (
        "This command line is version 0.1.0 and the mapper 9.9.9: what only one of them knows is not shown.\n"
    )
    assert ask("status", "-q").err == ""


def test_a_map_that_was_emptied_says_when(ask, mapper):
    mapper.status.reset_at = NOW - 3_600_000
    assert "  Store: map-1, epoch 1, emptied 1h ago\n" in ask("status").out


def test_names_cannot_act_on_the_terminal(ask, mapper):
    bad, told = "\x07x", "\\x07x"  # no sequence of escapes: click takes those out where nobody sees them
    status = mapper.status
    status.version = status.store = status.cluster.source = status.cluster.domain = bad
    status.cluster.problems = [bad]
    status.cluster.resources = [ResourceStatus(bad, "", bad, 1, 0, 1, 0, 0, bad, 0, bad)]
    status.drops, status.uncovered_nodes, status.covered_nodes = {bad: 1}, [bad], [bad]
    for sniffer in status.sniffers:
        sniffer.node = sniffer.agent = sniffer.version = bad
        sniffer.sources, sniffer.drops = {bad: 1}, {bad: 1}
        sniffer.capture = sniffer.capture_reason = bad
    status.installation = InstallationStatus(bad, bad, [SnifferSetStatus(bad, bad, 1, 1, 1)], [], [bad], {bad: bad})
    status.senders = [SenderStatus(bad, bad, bad, bad, {bad: 5}, NOW, True)]
    out = ask("status", "-o", "wide").out
    assert "\x07" not in out
    assert out.count(told) > 20


def test_how_each_node_is_watched_is_told_and_why_in_no_better_way(ask, mapper):
    for sniffer in mapper.status.sniffers:
        sniffer.capture, sniffer.capture_reason = "sockets", "packets need CAP_NET_RAW"
    mapper.status.sniffers[0].capture, mapper.status.sniffers[0].capture_reason = "packets", ""
    out = ask("status").out
    assert "  node-a  connected       2s ago       60  packets  network-mapper/0.1.0\n" in out
    assert "  Watched through sockets alone: node-b (packets need CAP_NET_RAW)\n" in out
    assert out.count("alone") == 1


def test_a_clock_that_is_wrong_is_told_of(ask, mapper):
    mapper.status.sniffers[0].clock_ahead, mapper.status.sniffers[1].clock_ahead = 61_000, -5_000
    out = ask("status").out
    assert "  The clock of node-a is 1m ahead of the mapper's\n" in out
    assert "  The clock of node-b is 5s behind the mapper's\n" in out


def test_who_reports_in_graphql_is_named(ask, mapper):
    mapper.status.senders = [
        SenderStatus("10.0.0.9", "node-c", "", "Go-http-client/1.1", {"reportCaptureResults": 5}, NOW - 1_000, True)
    ]
    assert (
        "Reports in GraphQL: from 1 sender\n"
        "  ADDRESS   NODE    WORKLOAD  STATE    LAST REPORT  REPORTS  AGENT\n"
        "  10.0.0.9  node-c  -         watches       1s ago        5  Go-http-client/1.1\n"
    ) in ask("status").out


def test_wide_tells_of_sources_and_resources(ask, mapper):
    mapper.status.cluster.resources = [
        ResourceStatus("pods", "Pod", "watching", 12, NOW - 2_000, 1, 40, 0, "", 0, ""),
        ResourceStatus(
            "jobs.batch", "Job.batch", "forbidden", 0, 0, 1, 0, 3, "403 Forbidden", 0, "get,list,watch jobs"
        ),
    ]
    out = ask("status", "-o", "wide").out
    assert "Seen by each way of watching:\n  NODE    SOURCE  SEEN\n  node-a  ring     900\n" in out
    assert (
        "Read of the cluster:\n"
        "  RESOURCE    STATE      OBJECTS  LISTS  EVENTS  ERRORS  MALFORMED  LAST HEARD\n"
        "  pods        watching        12      1      40       0          0      2s ago\n"
        "  jobs.batch  forbidden        0      1       0       3          0           -\n"
        "  jobs.batch: 403 Forbidden\n"
        "  To read jobs.batch, grant: get,list,watch jobs\n"
    ) in out
    assert "Seen by" not in ask("status").out


def test_headings_can_be_left_out(ask):
    out = ask("status", "-o", "wide", "--no-headers").out
    assert "REPORTS" not in out
    assert "SOURCE" not in out
    assert "node-a  connected" in out


def test_a_saved_map_has_no_status(run, tmp_path):
    saved = tmp_path / "map.json"
    saved.write_text(json.dumps({"store": "", "epoch": 1, "watching_since": None, "generated_at": None, "since": None,
                                 "until": None, "hidden": 0, "edges": []}))  # fmt: skip
    result = run("status", "--map-file", str(saved))
    assert (result.code, result.out) == (1, "")
    assert "has no status" in result.err


def test_names_cannot_move_the_cursor(ask, mapper):
    mapper.status.sniffers[0].node = "a\x1b[2J"
    mapper.status.sniffers[0].agent = "x\n"
    mapper.status.store = "\x07"
    out = ask("status", "-o", "wide").out
    assert all(line.isprintable() for line in out.splitlines())


def test_json_and_yaml_are_the_mappers_answer(ask):
    as_json = json.loads(ask("status", "-o", "json").out)
    assert as_json == yaml.safe_load(ask("status", "-o", "yaml").out)
    assert as_json["sniffers"][0]["last_report"] == 1_799_999_998_000
    assert as_json["drops"] == {"client_unknown": 2}
