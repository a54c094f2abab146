import base64
import gzip
import hashlib
import json
import re
import time
from html.parser import HTMLParser
from importlib import resources

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_map import document, shop_map, synthetic_map

from network_mapper.export.page import render
from network_mapper.model import Ambiguous, Edge, External, Node, Service, ServiceRef, Workload

TYPES = {"workload": Workload, "node": Node, "service": Service, "external": External}


class Parts(HTMLParser):
    """The page as a parser of HTML sees it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.inside = ""
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.content: dict[str, list[str]] = {"script": [], "style": [], "title": []}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.inside = tag

    def handle_endtag(self, _tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside in self.content:
            self.content[self.inside].append(data)

    @property
    def scripts(self) -> list[str]:
        return self.content["script"]


def data_of(page: str) -> dict:
    return json.loads(Parts(page).scripts[0])


def edges_of(data: dict) -> list[Edge]:
    """The edges that the page holds, as they were before."""
    peers: list = []
    for row in data["peers"]:
        fields = {key: value for key, value in row.items() if key not in {"type", "candidates"}}
        if row["type"] == "ambiguous":
            peers.append(Ambiguous(tuple(peers[place] for place in row.get("candidates", []))))
        else:
            blank = dict.fromkeys(TYPES[row["type"]].__struct_fields__, "")
            peers.append(TYPES[row["type"]](**{**blank, **fields}))
    edges = []
    for row in data["edges"]:
        service = ServiceRef(**data["services"][row["service"]]) if "service" in row else None
        ends = {"client": peers[row["client"]], "server": peers[row["server"]], "service": service, "port": 0}
        edges.append(Edge(**{**ends, **{key: value for key, value in row.items() if key not in ends or key == "port"}}))
    return edges


@pytest.mark.parametrize("answer", [shop_map(), synthetic_map(300, 20, 1500)], ids=["shop", "300"])
def test_the_page_holds_every_edge_as_it_was(answer):
    assert edges_of(data_of(render(answer, answer.edges))) == answer.edges


def test_every_field_of_an_edge_is_in_the_page():
    edge = Edge(
        Workload("cart", "shop", "Deployment"), Node("a"), ServiceRef("s", "shop"), 80, "http",
        *range(1, 10), details={"/a": ["GET"]},
    )  # fmt: skip
    assert all(msgspec.structs.astuple(edge))
    assert edges_of(data_of(render(document([edge]), [edge]))) == [edge]


names = st.text(max_size=20) | st.sampled_from(
    ["</script>", "<!--", "]]>", "\u2028", "'\"`", "\u202etxt", "&lt;", "😀"]
)
workloads = st.builds(Workload, names, names, names)
singles = workloads | st.builds(Node, names) | st.builds(Service, names, names)
peers = singles | st.builds(External, names) | st.builds(Ambiguous, st.lists(singles, max_size=3).map(tuple))
hostile = st.builds(
    Edge,
    client=peers,
    server=peers,
    service=st.none() | st.builds(ServiceRef, names, names),
    port=st.integers(0, 65535),
    protocol=names,
    connections=st.integers(0, 2**60),
    details=st.dictionaries(names, st.lists(names, max_size=2), max_size=2),
)


@given(st.lists(hostile, max_size=5), names)
def test_names_of_any_kind_stay_data(edges, title):
    parts = Parts(render(document([]), edges, title=title))
    assert parts.tags == [
        "html",
        "head",
        "meta",
        "meta",
        "meta",
        "title",
        "style",
        "body",
        "noscript",
        "script",
        "script",
    ]
    assert len(parts.scripts) == 2
    assert edges_of(json.loads(parts.scripts[0])) == edges


BREAKOUTS = [
    "</script>",
    "</script x",
    "<!--<script>",
    "</title><img src=x onerror=alert(1)>",
    "&lt;/script&gt;",
    "\u2028",
]


@pytest.mark.parametrize("name", BREAKOUTS)
def test_no_name_can_end_the_data(name):
    edge = Edge(Workload(name, name, name), External(name), ServiceRef(name, name), 80, name, details={name: [name]})
    page = render(document([edge]), [edge], title=name)
    (data,) = re.findall(r'<script type="application/json" id="map">(.*?)</script>', page, re.DOTALL)
    assert not set("<>&\u2028\u2029").intersection(data)
    assert edges_of(json.loads(data)) == [edge]
    assert json.loads(data)["title"] == name


@pytest.mark.parametrize("title", [*BREAKOUTS, "<b>", 'a "quoted" & b'])
def test_a_title_is_text(title):
    parts = Parts(render(document([]), [], title=title))
    assert "".join(parts.content["title"]) == title
    assert parts.tags.count("title") == 1
    assert not {"img", "b"}.intersection(parts.tags)


def test_the_policy_allows_nothing_but_the_own_script_and_style():
    page = render(shop_map(), shop_map().edges)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    parts = Parts(page)

    def source(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    assert dict(directive.strip().split(" ", 1) for directive in policy.split(";")) == {
        "default-src": "'none'",
        "script-src": source(parts.scripts[1]),
        "style-src": source("".join(parts.content["style"])),
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_the_page_names_no_other_file():
    names = {name for name, _ in Parts(render(shop_map(), shop_map().edges)).attributes}
    assert not names & {"src", "href", "srcset", "style"}
    assert not any(name.startswith("on") for name in names)


def test_edges_that_were_not_wanted_are_counted():
    answer = shop_map()
    assert data_of(render(answer, answer.edges[:5]))["left_out"] == len(answer.edges) - 5


def test_each_peer_stands_in_the_page_once():
    answer = synthetic_map(300, 20, 1500)
    rows = [json.dumps(row) for row in data_of(render(answer, answer.edges))["peers"]]
    assert len(rows) == len(set(rows))


def test_an_empty_map_has_a_page():
    answer = document([])
    assert data_of(render(answer, []))["edges"] == []


def test_a_small_map_is_a_small_file_and_the_code_is_small():
    answer = shop_map()
    assert len(render(answer, answer.edges).encode()) < 100_000
    assets = resources.files("network_mapper.export.page").joinpath("assets")
    code = b"".join(assets.joinpath(name).read_bytes() for name in ("page.js", "style.css"))
    assert len(gzip.compress(code)) < 60_000


def test_two_thousand_workloads_are_rendered_within_a_second():
    answer = synthetic_map(2000, 50, 9300)
    begin = time.process_time()
    render(answer, answer.edges)
    assert time.process_time() - begin < 1
