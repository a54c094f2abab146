"""The page of a map, opened from a file in a real browser."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING

import msgspec
import pytest
from synthetic_map import document, shop_map, synthetic_map

from network_mapper.export.document import build
from network_mapper.export.labels import Labels, clean
from network_mapper.export.page import render
from network_mapper.export.pairs import group
from network_mapper.model import Ambiguous, Edge, External, ServiceRef, Workload

if TYPE_CHECKING:
    from network_mapper.wire.api import MapDocument

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

ITEM = ".picture .item"
TO = "\u203a"
"""What stands between the steps of the way to a view."""
OPENS_AND_ANSWERS = 2.0
COUNTERS = {"Connections", "Attempts", "Lookups", "Sockets", "Requests", "Bytes", "Flows"}
MAPS = {
    "shop": shop_map,
    "300": lambda: synthetic_map(300, 20, 1500),
    "2000": lambda: synthetic_map(2000, 50, 9300),
}


def shop_at(name: str) -> Workload:
    return Workload(name, "shop", "Deployment")


@pytest.fixture
def page(chromium):
    """A tab that lets nothing pass unnoticed: messages, errors, and requests other than for the file itself."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, color_scheme="light")
    tab = context.new_page()
    seen: list[str] = []
    tab.on("console", lambda message: seen.append(message.text))
    tab.on("pageerror", lambda error: seen.append(str(error)))
    tab.on("request", lambda request: request.is_navigation_request() or seen.append(request.url))
    tab.on("dialog", lambda dialog: seen.append(dialog.message))
    yield tab
    context.close()
    assert seen == []


@pytest.fixture
def show(page, tmp_path):
    """Opens the page of a map; `address` is what stands after the file's name."""

    def opened(answer: MapDocument | str, address: str = "", title: str = ""):
        answer = MAPS[answer]() if isinstance(answer, str) else answer
        file = tmp_path / "map.html"
        file.write_text(render(answer, answer.edges, title=title), "utf-8")
        page.goto(f"{file.as_uri()}{address}")
        page.locator("header").wait_for()
        return page

    return opened


def drawn_peers(answer: MapDocument) -> set:
    return {end for edge in answer.edges for end in (edge.client, edge.server) if not isinstance(end, Ambiguous)}


def item(page, name: str):
    return page.locator(ITEM).filter(has=page.locator(f'text="{name}"'))


def texts(locator) -> list[str]:
    return [text.strip() for text in locator.all_text_contents()]


def rows_of(page) -> list[list[str]]:
    """Every row of the list, page after page."""
    rows = []
    while True:
        rows += page.evaluate(
            "[...document.querySelectorAll('tbody tr')].map(row => [...row.cells].map(cell => cell.textContent))"
        )
        following = page.get_by_role("button", name="Next page")
        if following.is_disabled():
            return rows
        following.click()


# What is shown -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", ["shop", "300"])
def test_the_list_shows_each_pair_with_its_doors_and_counters(show, size):
    answer = MAPS[size]()
    page = show(answer, "#view=list")
    heads = texts(page.locator("thead th"))
    labels = Labels(answer.edges)
    wanted = []
    for pair in group(answer.edges):
        doors = {f"{edge.port}/{edge.protocol}" if edge.port else edge.protocol for edge in pair.edges}
        counters = {
            name: f"{getattr(pair, name.lower()):,}" if getattr(pair, name.lower()) else ""
            for name in heads
            if name in COUNTERS
        }
        wanted.append((labels.cell(pair.client), labels.cell(pair.server), doors, counters))
    found = []
    for row in rows_of(page):
        cells = dict(zip(heads, row, strict=True))
        counters = {name: cells[name] for name in wanted[0][3]}
        found.append((cells["Client"], cells["Server"], set(cells["Ports"].split(", ")), counters))
    assert sorted(found, key=str) == sorted(wanted, key=str)


def test_a_small_map_shows_every_peer_and_every_pair(show):
    answer = shop_map()
    page = show(answer)
    assert page.locator(ITEM).count() == len(drawn_peers(answer))
    drawn = set(texts(page.locator(".picture .line > title")))
    labels = Labels(answer.edges)
    assert drawn == {f"{labels.cell(pair.client)} → {labels.cell(pair.server)}" for pair in group(answer.edges)}


def test_lines_tell_what_was_seen_by_their_form(show):
    page = show("shop")

    def dashes(outcome: str) -> str:
        line = page.locator(f".picture .line.{outcome} .stroke").first
        return line.evaluate("line => getComputedStyle(line).strokeDasharray")

    assert len({dashes("observed"), dashes("attempted"), dashes("lookup")}) == 3
    assert dashes("observed") == "none"
    assert texts(page.locator(".picture .line.uncertain text")) == ["?", "?"]


def test_many_namespaces_are_tiles_and_it_is_said_how_many_lines_are_drawn(show):
    page = show("2000")
    assert page.locator(f"{ITEM}.group, {ITEM}.hub").count() == 52
    drawn, every = re.match(r"(\d+) of (\d+) lines drawn", page.locator(".note").inner_text()).groups()
    assert page.locator(".picture .line").count() == int(drawn) < int(every)
    page.get_by_role("button", name="Draw all lines").click()
    assert page.locator(".picture .line").count() == int(every)


def test_edges_that_were_not_asked_for_are_told(page, tmp_path):
    answer = shop_map()
    (tmp_path / "map.html").write_text(render(answer, answer.edges[:20]))
    page.goto((tmp_path / "map.html").as_uri())
    assert f"{len(answer.edges) - 20} other edges" in page.locator("footer").inner_text()


def test_an_empty_map_says_so(show):
    page = show(document([]))
    assert "This map is empty" in page.locator(".note").inner_text()


def test_a_workload_that_calls_itself_has_a_loop(show):
    page = show(document([Edge(shop_at("a"), shop_at("a"), None, 80, "tcp", connections=1)]))
    box = page.locator(".picture .line .stroke").bounding_box()
    assert box["width"] > 5
    assert box["height"] > 5


HOSTILE = [
    "</script><script>document.title='x'</script>",
    "<img src=x onerror=alert(1)>",
    "\"'><b onclick=alert(1)>",
    "--><!--",
    "a\u202egnp.exe",
    "שלום עולם",
    "😀-\U0001f469\u200d\U0001f680",
    "line\u2028break",
    "javascript:alert(1)",
    "constructor",
    "__proto__",
    "x" * 253,
]


@pytest.mark.parametrize("view", ["picture", "list"])
def test_hostile_names_are_shown_as_names(show, view):
    peers = [Workload(name, name, "Deployment") for name in HOSTILE]
    edges = [
        Edge(
            peer, External(peer.name), ServiceRef(peer.name, peer.name), 80, "tcp", 1, details={peer.name: [peer.name]}
        )
        for peer in peers
    ]
    page = show(document(edges), f"#view={view}", title=HOSTILE[0])
    assert page.title() == HOSTILE[0]
    assert page.locator("img, b, script[src], a").count() == 0
    if view == "list":
        assert set(texts(page.locator("tbody td.server"))) == {f"{clean(name)} (external)" for name in HOSTILE}
        page.locator("tbody button").first.click()
        assert page.locator(".panel h2").is_visible()
    else:
        titles = page.locator(f"{ITEM} > title").all_text_contents()
        assert all(any(clean(name) in title for title in titles) for name in HOSTILE)


# Search --------------------------------------------------------------------------------------------------------------


def test_slash_focuses_the_search_and_what_does_not_match_is_dimmed(show):
    page = show("shop")
    page.keyboard.press("/")
    page.keyboard.type("redis")
    assert page.locator(".count").inner_text() == "1 name · 2 pairs"
    assert texts(page.locator(f"{ITEM}.hit .title")) == ["redis"]
    assert "frontend" in texts(page.locator(f"{ITEM}.dim .title"))
    assert "cart" not in texts(page.locator(f"{ITEM}.dim .title"))


@pytest.mark.parametrize(
    ("query", "pairs"), [("5432", 3), (":9090", 2), ("kafka", 2), ("smtp.mail", 1), ("/search", 1), ("data cart", 1)]
)
def test_search_knows_ports_protocols_names_outside_and_details(show, query, pairs):
    page = show("shop", "#view=list")
    page.locator("#search").fill(query)
    assert page.locator(".count").inner_text().endswith(f"{pairs} pair{'s' if pairs > 1 else ''}")
    assert page.locator("tbody tr").count() == pairs


def test_enter_goes_to_the_first_result(show):
    page = show("300")
    page.keyboard.press("/")
    page.keyboard.type("docs/gateway")
    page.keyboard.press("Enter")
    assert page.locator(".crumbs").inner_text() == f"Whole map {TO} docs"
    assert texts(page.locator(f"{ITEM}.selected .title")) == ["gateway"]
    assert page.locator(".panel h2").inner_text() == "docs/gateway"


def test_a_search_without_a_result_says_so(show):
    page = show("shop")
    page.locator("#search").fill("no-such-thing")
    assert page.locator(".count").inner_text() == "0 names · 0 pairs"
    assert "Nothing in this map" in page.locator(".results").inner_text()


def test_results_are_reached_by_arrow_keys(show):
    page = show("300")
    page.keyboard.press("/")
    page.keyboard.type("scheduler")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.locator(".panel h2").inner_text() == "analytics/scheduler"


# Unfolding, details, address ------------------------------------------------------------------------------------------


def test_a_namespace_unfolds_on_click_and_folds_with_the_back_button(show):
    page = show("300")
    item(page, "catalog").click()
    workloads = {edge.client.name for edge in MAPS["300"]().edges if getattr(edge.client, "namespace", "") == "catalog"}
    assert workloads <= set(texts(page.locator(f"{ITEM}.workload .title")))
    page.go_back()
    assert page.locator(f"{ITEM}.workload").count() == 0


def test_the_details_of_an_edge_show_ports_counters_times_and_what_was_asked_for(show):
    page = show("shop")
    item(page, "frontend").click()
    page.locator(".panel .pair").filter(has_text="shop/catalog").click()
    text = page.locator(".panel").inner_text()
    assert "2,210 connections answered" in text
    assert "8,400 requests" in text
    assert "through service shop/catalog" in text
    assert "2027-01-15 07:59:56 UTC (4s before this map)" in text
    assert "/products/{id} GET, PUT" in text
    assert "80/tcp" in text


def test_a_line_of_several_pairs_lists_them(show):
    page = show("300")
    page.locator(".picture .line.observed .target").first.dispatch_event("click")
    wanted = re.search(r"One line for (\d+) pair", page.locator(".panel").inner_text())
    assert page.locator(".panel .pair").count() == int(wanted[1])


def test_an_ambiguous_server_names_its_candidates(show):
    page = show("shop", "#view=list")
    page.locator("tbody tr", has_text="ambiguous").get_by_role("button").click()
    assert texts(page.locator(".warning li")) == ["data/postgres", "data/redis"]


def test_every_pair_is_copied_as_the_list_document_has_it(show, page):
    page.add_init_script(
        "Object.defineProperty(navigator, 'clipboard', {value: {writeText: async (text) => { window.copied = text; }}})"
    )
    answer = shop_map()
    show(answer, "#view=list")
    wanted = {json.dumps(entry, sort_keys=True) for entry in msgspec.to_builtins(build(answer, answer.edges).edges)}
    found = set()
    for button in page.locator("tbody button").all():
        button.click()
        page.get_by_role("button", name="Copy as JSON").click()
        found.add(json.dumps(json.loads(page.evaluate("window.copied")), sort_keys=True))
    assert found == wanted


def test_without_a_clipboard_the_json_is_there_to_be_copied(show, page):
    page.add_init_script(
        "Object.defineProperty(navigator, 'clipboard', {value: {writeText: () => Promise.reject(new Error('no'))}})"
    )
    show("shop", "#view=list")
    page.locator("tbody button").first.click()
    page.get_by_role("button", name="Copy as JSON").click()
    area = page.locator(".copy")
    area.wait_for()
    assert json.loads(area.input_value())["client"]
    assert page.evaluate("getSelection().toString() || document.activeElement.value").startswith("{")


def test_focus_shows_callers_left_and_callees_right(show):
    page = show("shop")
    item(page, "checkout").dblclick()
    assert page.locator(".crumbs").inner_text() == f"Whole map {TO} shop {TO} checkout"
    assert set(texts(page.locator(f"{ITEM} .title"))) == {
        "checkout",
        "cart",
        "frontend",
        "kafka",
        "postgres",
        "api.stripe.example",
    }
    left = item(page, "frontend").bounding_box()["x"]
    right = item(page, "kafka").bounding_box()["x"]
    assert left < page.locator(f"{ITEM}.selected").bounding_box()["x"] < right


def test_the_address_brings_the_same_view_back(show, page):
    show("300")
    item(page, "catalog").click()
    page.locator("#search").fill("gateway")
    page.get_by_role("button", name="Both").click()
    page.get_by_role("button", name="Connections", exact=True).click()
    address = page.url
    before = (texts(page.locator(f"{ITEM} .title")), texts(page.locator("tbody tr")))
    page.goto("about:blank")
    page.goto(address)
    assert (texts(page.locator(f"{ITEM} .title")), texts(page.locator("tbody tr"))) == before
    assert page.locator("th[aria-sort=descending]").inner_text().startswith("Connections")


def test_an_address_of_things_that_are_gone_shows_the_map(show):
    page = show("shop", "#open=namespace:gone&peer=gone&pair=gone&line=%5B1%5D&page=99&focus=gone")
    assert page.locator(ITEM).count() == len(drawn_peers(shop_map()))


def test_the_list_sorts_by_any_column(show):
    page = show("shop", "#view=list")
    column = texts(page.locator("thead th")).index("Connections")

    def values() -> list[int]:
        cells = page.locator("tbody tr").evaluate_all(f"rows => rows.map(row => row.cells[{column}].textContent)")
        return [int(cell.replace(",", "") or 0) for cell in cells]

    page.get_by_role("button", name="Connections", exact=True).click()
    assert values() == sorted(values(), reverse=True)
    page.get_by_role("button", name="Connections", exact=True).click()
    assert values() == sorted(values())


def test_the_list_has_the_scope_of_the_picture(show):
    page = show("300", "#view=both")
    item(page, "docs").click()
    assert "to or from docs" in page.locator(".range").inner_text()
    assert all("docs/" in row for row in texts(page.locator("tbody tr")))


# Moving about ---------------------------------------------------------------------------------------------------------


def test_keys_move_open_and_go_back(show):
    page = show("300")
    page.locator(f'{ITEM}[tabindex="0"]').focus()

    def here() -> str:
        return page.evaluate("document.activeElement.getAttribute('aria-label') ?? ''")

    assert here().startswith("accounts, 16 workloads")
    assert re.fullmatch(r"accounts, \d+ workloads, \d+ callers?, \d+ callees?", here())
    page.keyboard.press("ArrowRight")
    assert here().startswith("analytics,")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    assert here().startswith("accounts,")
    page.keyboard.press("Enter")
    assert page.locator(".crumbs").inner_text() == f"Whole map {TO} accounts"
    assert page.evaluate("document.activeElement.closest('.item') !== null")
    page.keyboard.press("Escape")
    assert page.locator(".crumbs").inner_text() == "Whole map"


def test_the_picture_is_one_stop_of_the_tab_key(show):
    page = show("300")
    assert page.locator(f'{ITEM}[tabindex="0"]').count() == 1
    item(page, "docs").focus()
    assert texts(page.locator(f'{ITEM}[tabindex="0"] .title')) == ["docs"]


def width_of_picture(page) -> float:
    page.wait_for_timeout(300)
    return page.locator(".picture").bounding_box()["width"]


def test_wheel_buttons_and_keys_zoom(show):
    page = show("300")
    widths = [width_of_picture(page)]
    page.mouse.move(600, 400)
    page.mouse.wheel(0, -200)
    widths.append(width_of_picture(page))
    page.get_by_role("button", name="Zoom in").click()
    widths.append(width_of_picture(page))
    page.keyboard.press("+")
    widths.append(width_of_picture(page))
    assert widths == sorted(set(widths))
    page.keyboard.press("0")
    assert width_of_picture(page) == pytest.approx(widths[0], abs=1)


def test_dragging_moves_the_picture_and_opens_nothing(show):
    page = show("300")
    before = page.locator(".picture").bounding_box()
    box = item(page, "docs").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + 120, box["y"] + 70, steps=5)
    page.mouse.up()
    after = page.locator(".picture").bounding_box()
    assert (after["x"] - before["x"], after["y"] - before["y"]) == pytest.approx((100, 60), abs=6)
    assert page.locator(".crumbs").inner_text() == "Whole map"


# Legibility -----------------------------------------------------------------------------------------------------------

MEASURE = """svg => {
  const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
  const small = [], wide = [];
  for (const text of svg.querySelectorAll('.item text, .frame text')) {
    const size = parseFloat(getComputedStyle(text).fontSize) * scale;
    if (size < 10.99) small.push([text.textContent, size]);
    const box = text.parentNode.querySelector('rect').getBoundingClientRect(), own = text.getBoundingClientRect();
    if (own.left < box.left - 1 || own.right > box.right + 1) wide.push(text.textContent);
  }
  const boxes = [...svg.querySelectorAll('.item > rect')].map(item => item.getBoundingClientRect());
  const low = boxes.filter(box => Math.min(box.width, box.height) < 23.99).length;
  let overlaps = 0;
  boxes.forEach((a, i) => boxes.slice(0, i).forEach(b => {
    if (a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom) overlaps += 1;
  }));
  return {small, wide, low, overlaps};
}"""
FINE = {"small": [], "wide": [], "low": 0, "overlaps": 0}


@pytest.mark.parametrize("size", list(MAPS))
@pytest.mark.parametrize("window", [(1440, 900), (1280, 720), (390, 800)])
def test_names_are_large_enough_and_inside_boxes_that_do_not_overlap(show, page, size, window):
    page.set_viewport_size({"width": window[0], "height": window[1]})
    show(size)
    assert page.locator(".picture").evaluate(MEASURE) == FINE


@pytest.mark.parametrize("address", ["#open=namespace:auth", "#open=namespace:docs", "#open=outside"])
def test_open_namespaces_are_legible_too(show, address):
    page = show("2000", address)
    assert page.locator(f"{ITEM}.workload, {ITEM}.external").count() > 20
    assert page.locator(".picture").evaluate(MEASURE) == FINE


def test_a_hub_with_its_callers_is_legible(show):
    answer = MAPS["2000"]()
    calls: dict[Workload, int] = {}
    for edge in answer.edges:
        if isinstance(edge.server, Workload):
            calls[edge.server] = calls.get(edge.server, 0) + 1
    hub = max(calls, key=calls.__getitem__)
    page = show(answer)
    page.keyboard.press("/")
    page.keyboard.type(f"{hub.namespace}/{hub.name}")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Focus").click()
    assert page.locator(".crumbs").inner_text().endswith(f"{TO} {hub.name}")
    assert page.locator(".picture").evaluate(MEASURE) == FINE


@pytest.mark.parametrize("address", ["", "#view=list", "#view=both"])
def test_a_narrow_window_scrolls_one_way_only(show, page, address):
    page.set_viewport_size({"width": 320, "height": 700})
    show("shop", address)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 320


def test_the_theme_follows_the_system_until_it_is_switched(show, page):
    def ground() -> str:
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    page.emulate_media(color_scheme="dark")
    show("shop")
    dark = ground()
    page.get_by_role("button", name="Theme").click()
    assert ground() != dark
    page.get_by_role("button", name="Theme").click()
    assert ground() == dark


def test_print_shows_picture_and_legend_without_controls(show, page):
    show("shop")
    page.emulate_media(media="print")
    assert page.locator(".picture").is_visible()
    assert page.locator(".legend").is_visible()
    assert not page.locator(".controls").is_visible()
    assert not page.locator("#search").is_visible()
    box = page.locator(".picture").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 1441


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "address",
    ["", "#view=both&query=checkout", "#open=namespace:shop", "details"],
)
def test_axe_finds_nothing(show, page, web, scheme, address):
    page.emulate_media(color_scheme=scheme)
    show("shop", address.removeprefix("details"))
    if address == "details":
        item(page, "frontend").click()
        page.locator(".panel .pair").filter(has_text="shop/catalog").click()
    page.evaluate((web / "node_modules/axe-core/axe.min.js").read_text("utf-8"))
    found = page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice']})")
    assert found["passes"]
    assert [(rule["id"], [node["html"][:120] for node in rule["nodes"]]) for rule in found["violations"]] == []


# Speed ----------------------------------------------------------------------------------------------------------------


def test_two_thousand_workloads_open_and_answer_a_search_within_two_seconds(show, page, tmp_path):
    answer = MAPS["2000"]()
    (tmp_path / "map.html").write_text(render(answer, answer.edges))
    page.goto("about:blank")
    taken = []
    for _ in range(3):
        begin = time.monotonic()
        page.goto((tmp_path / "map.html").as_uri())
        page.locator(ITEM).first.wait_for()
        page.keyboard.press("/")
        page.keyboard.type("docs/router")
        page.locator(".results li").first.wait_for()
        assert page.locator(".count").inner_text().startswith("1 name")
        taken.append(time.monotonic() - begin)
        page.goto("about:blank")
    assert min(taken) < OPENS_AND_ANSWERS
