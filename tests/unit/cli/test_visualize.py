import builtins
import importlib.util
import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET

import pytest
import synthetic_map

from network_mapper.export.picture import MADE_BY, raster

SVG = "{http://www.w3.org/2000/svg}"
HEADS = {
    "svg": b"<svg ",
    "png": b"\x89PNG\r\n\x1a\n",
    "pdf": b"%PDF-",
    "jpg": b"\xff\xd8\xff",
    "jpeg": b"\xff\xd8\xff",
    "dot": b"// Made by network-mapper\ndigraph ",
    "mermaid": b"flowchart LR\n",
    "html": b"<!DOCTYPE html>",
}


def lines(path):
    root = ET.fromstring(path.read_text(encoding="utf-8"))  # noqa: S314  it is our own
    return {
        (group.get("data-client"), group.get("data-server"))
        for group in root.iter(f"{SVG}g")
        if group.get("class") == "line"
    }


@pytest.fixture
def shop(mapper):
    mapper.map = mapper.everywhere = synthetic_map.shop_map()


@pytest.mark.parametrize("format_", HEADS)
def test_each_format_is_chosen_by_the_ending_and_by_the_option(ask, tmp_path, format_):
    by_ending, by_option = tmp_path / f"map.{format_}", tmp_path / "map"
    assert ask("visualize", "-o", str(by_ending)).code == 0
    result = ask("visualize", "-o", str(by_option), "--format", format_.upper())
    assert result == (0, "", f"Exported graph as {format_} format to path {by_option}\n")
    for path in (by_ending, by_option):
        assert path.read_bytes().startswith(HEADS[format_])


def test_a_file_without_a_known_ending_is_png(ask, tmp_path):
    ask("visualize", "-o", str(tmp_path / "map.picture"))
    assert (tmp_path / "map.picture").read_bytes().startswith(HEADS["png"])


def test_unknown_format_is_a_usage_error(ask):
    result = ask("visualize", "-o", "-", "--format", "bmp")
    assert result.code == 2
    assert "unsupported format: bmp. There are svg, png, pdf, jpg, jpeg, dot, mermaid, html" in result.err


@pytest.mark.parametrize(
    ("given", "word"),
    [
        (["--scale", "3", "--format", "svg"], "--scale is for PNG and JPG"),
        (["--engine", "dot", "--fold", "always"], "--fold always"),
    ],
)
def test_what_would_change_nothing_is_refused(ask, tmp_path, given, word):
    result = ask("visualize", "-o", str(tmp_path / "map.png"), *given)
    assert result.code == 2
    assert word in result.err
    assert not list(tmp_path.iterdir())


def test_a_path_is_required(ask):
    result = ask("visualize")
    assert result.code == 2
    assert "Missing option '-o'" in result.err


@pytest.mark.parametrize("name", ["-o", "--output", "--output-path"])
def test_the_standard_output_gets_the_picture_alone(ask, name):
    result = ask("visualize", name, "-", "--format", "svg")
    assert result.code == 0
    assert result.out.startswith("<svg ")
    assert result.err == ""


def test_quiet_leaves_out_the_notice(ask, tmp_path):
    assert ask("visualize", "-q", "-o", str(tmp_path / "a.svg")).err == ""


def test_nodes_are_named_as_the_model_names_them(ask, tmp_path):
    ask("visualize", "-o", str(tmp_path / "a.svg"))
    assert lines(tmp_path / "a.svg") == {("cart.shop", "redis.shop")}


@pytest.mark.usefixtures("shop")
def test_excluded_services_are_not_drawn(ask, tmp_path):
    path = tmp_path / "a.svg"
    ask("visualize", "-o", str(path), "--exclude-services", "checkout,postgres.data")
    assert {"checkout.shop", "postgres.data"} & {end for line in lines(path) for end in line} == set()
    assert ("cart.shop", "redis.data") in lines(path)


@pytest.mark.usefixtures("shop")
def test_the_picture_shows_what_list_shows(ask, tmp_path):
    for more in ([], ["--all"], ["--from", "checkout"], ["--as-kubernetes-service"], ["-n", "edge"]):
        listed = json.loads(ask("list", "-o", "json", *more).out)["edges"]
        path = tmp_path / "a.svg"
        assert ask("visualize", "-o", str(path), *more).code == 0
        assert len(lines(path)) == len(listed)
        names = {
            (
                edge["client"]["name"] if edge["client"]["type"] != "node" else f"node {edge['client']['name']}",
                edge["server"].get("name", "data/postgres | data/redis"),
            )
            for edge in listed
        }
        for client, server in names:
            assert any(a.startswith(client) and b.startswith(server) for a, b in lines(path)), (client, server)


@pytest.mark.usefixtures("shop")
def test_focus_draws_a_workload_with_its_callers_and_callees(ask, tmp_path):
    path = tmp_path / "a.svg"
    assert ask("visualize", "-o", str(path), "--focus", "shop/checkout").code == 0
    assert len(lines(path)) == 6
    assert all("checkout.shop" in line for line in lines(path))


@pytest.mark.usefixtures("shop")
def test_focus_on_a_name_that_is_not_there_says_so(ask, tmp_path):
    result = ask("visualize", "-o", str(tmp_path / "a.svg"), "--focus", "chekout")
    assert result.code == 0
    assert "Nothing in this map is called chekout (--focus)." in result.err
    assert "Nothing in this map is called chekout" in (tmp_path / "a.svg").read_text(encoding="utf-8")


def test_an_empty_map_is_a_picture_that_says_why(ask, mapper, tmp_path):
    mapper.no_edges()
    for format_, head in HEADS.items():
        path = tmp_path / f"a.{format_}"
        result = ask("visualize", "-o", str(path))
        assert result.code == 0
        assert result.err.startswith("No connections found.\n")
        assert path.read_bytes().startswith(head)
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "Nothing to draw." in text
    assert "No connections found." in text


def test_an_earlier_picture_is_replaced_and_another_file_is_not(ask, tmp_path):
    for format_ in HEADS:
        path = tmp_path / f"a.{format_}"
        assert ask("visualize", "-o", str(path)).code == 0
        assert MADE_BY.encode() in path.read_bytes()[:4096]
        assert ask("visualize", "-o", str(path), "--title", "Again").code == 0
        path.write_bytes(b"mine")
        result = ask("visualize", "-o", str(path))
        assert (result.code, path.read_bytes()) == (1, b"mine")
        assert "exists already" in result.err
        assert ask("visualize", "-o", str(path), "--force").code == 0


def test_what_cannot_be_written_is_told_before_the_mapper_is_asked(ask, mapper, tmp_path):
    result = ask("visualize", "-o", str(tmp_path / "none" / "a.svg"))
    assert result.code == 1
    assert "there is no folder" in result.err
    assert mapper.requests == []


@pytest.mark.parametrize(
    ("format_", "module", "advice"),
    [
        ("pdf", "reportlab", "pip install 'network-mapper[pictures]'"),
        ("jpg", "PIL", "pip install 'network-mapper[pictures]'"),
        ("png", "resvg_py", "pip install resvg-py"),
    ],
)
def test_a_missing_library_is_named_with_the_command_that_installs_it(
    ask, mapper, monkeypatch, format_, module, advice
):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == module else find(name, *more))
    result = ask("visualize", "-o", "-", "--format", format_)
    assert result.code == 1
    assert advice in result.err
    assert result.err.count("\n") == 1
    assert mapper.requests == []


def test_svg_dot_and_mermaid_need_no_library_of_the_extras(ask, monkeypatch):
    real = builtins.__import__

    def without(name, *more):
        if name.split(".")[0] in ("resvg_py", "PIL", "reportlab", "fontTools"):
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    for format_ in ("svg", "dot", "mermaid"):
        assert ask("visualize", "-o", "-", "--format", format_).code == 0


def test_theme_title_and_scale(ask, tmp_path):
    path = tmp_path / "a.svg"
    ask("visualize", "-o", str(path), "--theme", "dark", "--title", "Shop & <friends>")
    text = path.read_text(encoding="utf-8")
    assert "#12181f" in text
    assert "Shop &amp; &lt;friends&gt;" in text
    sizes = []
    for scale in ("1", "2"):
        ask("visualize", "-o", str(tmp_path / f"{scale}.png"), "--scale", scale)
        sizes.append(int.from_bytes((tmp_path / f"{scale}.png").read_bytes()[16:20]))
    assert sizes[1] == pytest.approx(2 * sizes[0], abs=1)


def test_a_map_too_large_to_be_drawn_unfolded_is_an_error_that_says_what_to_do(ask, mapper, tmp_path):
    mapper.map = mapper.everywhere = synthetic_map.synthetic_map(2000, 50, 9329)
    result = ask("visualize", "-o", str(tmp_path / "a.svg"), "--fold", "never")
    assert result.code == 1
    assert "Leave out --fold never, or draw a part of the map (-n, --focus)." in result.err
    assert not (tmp_path / "a.svg").exists()


def test_a_large_mermaid_diagram_is_warned_of(ask, mapper):
    mapper.map = mapper.everywhere = synthetic_map.synthetic_map(300, 20, 1500)
    result = ask("visualize", "-o", "-", "--format", "mermaid", "-q")
    assert result.code == 0
    assert "Warning: a renderer may refuse this diagram: it has " in result.err


def test_clients_told_apart_by_a_label_bear_its_value(ask, mapper, tmp_path):
    mapper.map = mapper.everywhere = synthetic_map.shop_map()
    ask("visualize", "-o", str(tmp_path / "a.svg"), "--distinct-by-label", "team")
    assert "team=shop" in (tmp_path / "a.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize("filters", [("--distinct-by-label", "team"), ("--exclude-labels", "team=x")])
def test_labels_are_asked_for_where_they_are_needed(ask, mapper, tmp_path, filters):
    ask("visualize", "-o", str(tmp_path / "map.svg"))
    ask("visualize", "-o", str(tmp_path / "map.svg"), *filters)
    assert ["labels=true" in request for request in mapper.requests[:2]] == [False, True]


def test_a_picture_that_is_too_large_for_its_scale_is_drawn_smaller_with_a_warning(ask, tmp_path, monkeypatch):
    monkeypatch.setattr(raster, "MOST_PIXELS", 10_000)
    result = ask("visualize", "-o", str(tmp_path / "map.png"))
    assert result.code == 0
    assert "was drawn at scale 0." in result.err
    assert "instead of 2" in result.err
    monkeypatch.undo()
    assert "scale" not in ask("visualize", "-o", str(tmp_path / "map.png")).err


def test_a_mapper_that_fails_leaves_no_file(ask, mapper, tmp_path):
    mapper.broken = (500, b"{}")
    assert ask("visualize", "-o", str(tmp_path / "a.svg")).code == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("workloads", "namespaces", "edges", "seconds"), [(300, 20, 1500, 3), (2000, 50, 9329, 12)])
def test_a_large_svg_costs_little(mapper, tmp_path, workloads, namespaces, edges, seconds):
    mapper.map = mapper.everywhere = synthetic_map.synthetic_map(workloads, namespaces, edges)
    command = [
        sys.executable,
        "-m",
        "network_mapper",
        "visualize",
        "--mapper-url",
        mapper.url,
        "-o",
        str(tmp_path / "a.svg"),
    ]
    before, began = os.times(), time.monotonic()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    after = os.times()
    cost = after.children_user - before.children_user + after.children_system - before.children_system
    assert cost < seconds, time.monotonic() - began
