"""Measures the page that `visualize --format html` writes: how long it takes to make, to open, to search and to move.

A headless Chromium opens the file and does what a person does: it waits for the picture, types a search, waits for its
results, unfolds the largest namespace, and drags the picture. Times are of the whole way, the browser's driver
included; making the file is CPU time. There is no graphics card, so every pixel is drawn by the processor.

    python bench/page.py [RUNS]
"""

from __future__ import annotations

import gzip
import pathlib
import shutil
import sys
import tempfile
import time
from importlib import resources
from typing import TYPE_CHECKING, Any

from medians import report

from network_mapper.export.page import render

sys.path.append(str(pathlib.Path(__file__).parent.parent / "tests" / "support"))
from synthetic_map import shop_map, synthetic_map

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from network_mapper.wire.api import MapDocument

SEARCH = "accounts/api"
FRAMES = """async () => {
  const stage = document.querySelector('.stage'), at = {bubbles: true, pointerId: 1, pointerType: 'touch', button: 0};
  stage.setPointerCapture = () => undefined;
  const send = (type, x) => stage.dispatchEvent(new PointerEvent(type, {...at, clientX: x, clientY: 400}));
  const frame = () => new Promise(done => requestAnimationFrame(done));
  send('pointerdown', 500);
  const taken = [];
  let last = await frame();
  for (let step = 1; step <= 60; step += 1) {
    send('pointermove', 500 + 4 * (step < 30 ? step : 60 - step));
    const now = await frame();
    taken.push(now - last);
    last = now;
  }
  send('pointerup', 500);
  return taken.sort((a, b) => a - b);
}"""


def measure(page: Page, answer: MapDocument, file: pathlib.Path, search: str) -> dict[str, Any]:
    """One visit; milliseconds."""
    begin = time.process_time()
    text = render(answer, answer.edges)
    made = time.process_time() - begin
    file.write_text(text, "utf-8")
    figures: dict[str, Any] = {"kB": len(text.encode()) // 1000, "gzip kB": len(gzip.compress(text.encode())) // 1000}
    figures["made, CPU ms"] = round(made * 1000, 1)

    start = last = time.monotonic()

    def lap(name: str) -> None:
        nonlocal last
        now = time.monotonic()
        figures[name] = round((now - last) * 1000)
        last = now

    page.goto(file.as_uri())
    page.locator(".picture .item").first.wait_for()
    lap("opened and drawn, ms")
    page.keyboard.press("/")
    page.keyboard.type(search)
    page.locator(".results li").first.wait_for()
    lap("search typed and answered, ms")
    figures["both, ms"] = round((last - start) * 1000)
    page.keyboard.press("Enter")
    page.locator(".panel h2").wait_for()
    lap("gone to the first result, ms")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    frames = page.evaluate(FRAMES)
    figures["drag, frame ms"] = round(frames[len(frames) // 2], 1)
    figures["drag, 95 % of frames within ms"] = round(frames[len(frames) * 95 // 100], 1)
    page.goto("about:blank")
    return figures


def main() -> None:
    """Measure maps of three sizes."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    program = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)
    if program is None:
        sys.exit("bench: no Chromium: on Debian, apt install chromium")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  said above what is missing first

    assets = resources.files("network_mapper.export.page").joinpath("assets")
    code = b"".join(assets.joinpath(name).read_bytes() for name in ("page.js", "style.css"))
    print(f'{{"code, kB": {len(code) / 1000:.1f}, "code, gzip kB": {len(gzip.compress(code)) / 1000:.1f}}}', flush=True)
    maps = {
        "11 workloads, 24 edges": (shop_map(), "checkout"),
        "300 workloads, 1,500 edges": (synthetic_map(300, 20, 1_500), SEARCH),
        "2,000 workloads, 9,300 edges": (synthetic_map(2_000, 50, 9_300), SEARCH),
    }
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        for name, (answer, search) in maps.items():
            file = pathlib.Path(folder) / "map.html"
            report(name, runs, lambda answer=answer, file=file, search=search: measure(page, answer, file, search))
        browser.close()


if __name__ == "__main__":
    main()
