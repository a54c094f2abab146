import json

import yaml

from network_mapper.wire.api import ResourceStatus

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
  NODE    STATE      LAST REPORT  REPORTS  AGENT                 SEEN BY SOURCE
  node-a  connected       2s ago       60  network-mapper/0.1.0  ring 900
  node-b  silent          1m ago        7  -                     -
  Not reported by node-b:
    12 packets ring_overflow: the packet ring was full: raise --ring-size
Nodes without a sniffer: node-b, node-c
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
    mapper.status.sniffers, mapper.status.watching_since, mapper.status.uncovered_nodes = [], 0, []
    out = ask("status").out
    assert "nobody watches yet" in out
    assert out.endswith("Sniffers: none yet\n")


def test_json_and_yaml_are_the_mappers_answer(ask):
    as_json = json.loads(ask("status", "-o", "json").out)
    assert as_json == yaml.safe_load(ask("status", "-o", "yaml").out)
    assert as_json["sniffers"][0]["last_report"] == 1_799_999_998_000
    assert as_json["drops"] == {"client_unknown": 2}
