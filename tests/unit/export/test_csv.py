import csv
import io
import re
from pathlib import Path

import msgspec
from export_maps import HOSTILE, NOW, deployment, everything, hostile, tcp
from hypothesis import given
from hypothesis import strategies as st

from network_mapper.export.table_csv import COLUMNS, is_earlier, to_csv
from network_mapper.model import Ambiguous, Edge, External, Node, Service, ServiceRef, Workload


def rows(edges):
    return list(csv.DictReader(io.StringIO(to_csv(edges).decode(), newline=""), strict=True))


def test_a_row_says_all_that_the_edge_does():
    edge = Edge(
        deployment("cart"),
        Workload("redis", "db", "StatefulSet"),
        ServiceRef("cache", "db"),
        6379,
        "tcp",
        connections=1,
        attempts=2,
        lookups=3,
        sockets=4,
        first_seen=NOW,
        last_seen=NOW + 1,
        requests=5,
        bytes=6,
        flows=7,
        details={"/a": ["GET"]},
    )
    assert to_csv([edge]) == (
        b"client_type,client_name,client_namespace,client_kind,server_type,server_name,server_namespace,server_kind,"
        b"service_name,service_namespace,port,protocol,connections,attempts,lookups,sockets,requests,bytes,flows,"
        b"first_seen,last_seen,details\r\n"
        b"workload,cart,shop,Deployment,workload,redis,db,StatefulSet,cache,db,6379,tcp,1,2,3,4,5,6,7,"
        b'2027-01-15T08:00:00.000Z,2027-01-15T08:00:00.001Z,"{""/a"":[""GET""]}"\r\n'
    )


def test_what_is_not_known_is_empty():
    (row,) = rows([Edge(Node("n"), External("a.example"), None, 0, "dns", lookups=1)])
    empty = {key for key, value in row.items() if value == ""}
    assert empty == {
        "client_namespace",
        "client_kind",
        "server_namespace",
        "server_kind",
        "service_name",
        "service_namespace",
        "port",
        "first_seen",
        "last_seen",
        "details",
    }
    assert (row["client_type"], row["server_type"]) == ("node", "external")


def test_of_several_possible_owners_all_are_named():
    either = Ambiguous((deployment("a"), Service("b", "db"), Node("n")))
    (row,) = rows([tcp(deployment("cart"), either)])
    assert (row["server_type"], row["server_name"]) == ("ambiguous", "shop/a | db/b | n")


def test_there_is_a_row_for_every_edge():
    edges = [*everything(), *hostile()]
    assert len(rows(edges)) == len(edges)
    assert rows(edges) == rows(edges[::-1])


def test_without_a_header_there_are_rows_alone():
    edges = everything()
    assert to_csv(edges) == ",".join(COLUMNS).encode() + b"\r\n" + to_csv(edges, header=False)


def test_a_text_that_begins_like_a_formula_gets_an_apostrophe_and_others_none():
    found = rows([tcp(deployment("cart"), External(text)) for text in ("=1+1", "+1", "-1", "@x", "\t=1", "\r", "a=1")])
    assert {row["server_name"] for row in found} == {"'=1+1", "'+1", "'-1", "'@x", "'\t=1", "'\r", "a=1"}


@given(st.text(max_size=20) | st.sampled_from(HOSTILE))
def test_every_text_can_be_read_back(text):
    edge = Edge(Workload(text, text, text), External(text), ServiceRef(text, text), 1, text, details={text: [text]})
    (row,) = rows([edge])
    fields = [row[key] for key in ("client_name", "client_namespace", "client_kind", "server_name", "service_name")]
    assert {field[field.startswith("'") and not text.startswith("'") :] for field in fields} == {text}
    assert not any(field.startswith(("=", "+", "-", "@", "\t", "\r")) for field in row.values())
    assert msgspec.json.decode(row["details"]) == {text: [text]}


def test_an_earlier_table_is_known_by_its_header_also_of_a_version_with_other_columns():
    content = to_csv(everything())
    assert is_earlier(content)
    assert is_earlier(",".join(COLUMNS[:-2]).encode() + b"\r\nx")
    assert is_earlier(",".join([*COLUMNS, "more"]).encode() + b"\n")
    assert not is_earlier(b"client_type\nx")
    assert not is_earlier(b"name,price\n")
    assert not is_earlier(b"")


def test_every_column_is_documented_and_no_other():
    text = (Path(__file__).parents[3] / "docs" / "export.md").read_text()
    table = text.partition("\n## csv\n")[2].partition("\n\nAn end")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert tuple(re.findall(r"`(\w+)`", "".join(rows))) == COLUMNS
