"""Draws the pictures of docs/visualize.md anew, from made-up maps: `python tools/example_pictures.py [FOLDER]`.

The files stay small by a palette: a picture has few colours.
"""

from __future__ import annotations

import io
import pathlib
import sys

from PIL import Image

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import synthetic_map  # noqa: E402  found by the line above

from network_mapper.export.picture import raster, svg  # noqa: E402  likewise
from network_mapper.export.picture.draw import Fold, Options, scene  # noqa: E402  likewise
from network_mapper.export.picture.graph import build  # noqa: E402  likewise
from network_mapper.export.picture.scene import THEMES, Scene  # noqa: E402  likewise

PICTURES = {
    "shop": (synthetic_map.shop_map, Options("A shop"), "light", 1.5),
    "shop-dark": (synthetic_map.shop_map, Options("A shop"), "dark", 1.5),
    "shop-folded": (synthetic_map.shop_map, Options("A shop, folded", fold=Fold.ALWAYS), "light", 1.5),
    "45-workloads": (lambda: synthetic_map.synthetic_map(45, 5, 110), Options("45 workloads"), "light", 1.5),
    "300-workloads": (lambda: synthetic_map.synthetic_map(300, 20, 1500), Options("300 workloads"), "light", 1),
    "2000-workloads": (lambda: synthetic_map.synthetic_map(2000, 50, 9329), Options("2,000 workloads"), "light", 1),
}
VECTORS = ("shop",)


def drawn(name: str) -> Scene:
    """One of the pictures."""
    make, options, _, _ = PICTURES[name]
    return scene(build(make().edges), options)


def vector(name: str) -> str:
    """Its SVG."""
    return svg.render(drawn(name), THEMES[PICTURES[name][2]])


def pixels(name: str) -> bytes:
    """Its PNG with a palette."""
    _, _, theme, scale = PICTURES[name]
    out = io.BytesIO()
    with Image.open(io.BytesIO(raster.png(drawn(name), THEMES[theme], scale))) as image:
        small = image.convert("RGB").quantize(160, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        small.save(out, "PNG", optimize=True)
    return out.getvalue()


def main() -> None:
    """Write all of them."""
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for name in PICTURES:
        (folder / f"{name}.png").write_bytes(pixels(name))
        if name in VECTORS:
            (folder / f"{name}.svg").write_text(vector(name), encoding="utf-8", newline="\n")
    for path in sorted(folder.iterdir()):
        print(f"{path.stat().st_size:9,} {path.name}")


if __name__ == "__main__":
    main()
