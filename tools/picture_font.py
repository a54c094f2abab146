"""Makes the font files of the pictures: parts of Arimo, and the widths of its characters.

Run it when the font or the choice of characters changes:
`npm pack @expo-google-fonts/arimo`, unpack it, and `python tools/picture_font.py package/`. It needs fontTools. Arimo
(SIL Open Font License 1.1, no reserved name) has the widths of Arial and Helvetica, so that an SVG looks the same with
whichever of them a machine has.
"""

from __future__ import annotations

import json
import pathlib
import sys

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

TARGET = pathlib.Path(__file__).parents[1] / "src/network_mapper/export/picture/font"
FACES = {"regular": "400Regular/Arimo_400Regular.ttf", "bold": "700Bold/Arimo_700Bold.ttf"}
CHARACTERS = [
    *range(0x20, 0x7F),
    *range(0xA0, 0x180),  # Latin of Europe
    *range(0x370, 0x460),  # Greek and Cyrillic
    *(ord(character) for character in "–—‘’“”•…←↑→↓↔€"),  # noqa: RUF001  these are meant
]


def make(face: str, source: pathlib.Path) -> dict[str, int]:
    """Write one face and return the advance width of each character in thousandths of the size."""
    font = TTFont(source)
    options = Options()
    options.hinting = False
    options.layout_features = []
    options.name_IDs = [0, 1, 2, 3, 4, 5, 6, 13, 14]
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=CHARACTERS)
    subsetter.subset(font)
    font.save(TARGET / f"arimo-{face}.ttf")
    unit = font["head"].unitsPerEm
    return {chr(code): round(1000 * font["hmtx"][name][0] / unit) for code, name in sorted(font.getBestCmap().items())}


def main() -> None:
    """Write both faces and the table of widths."""
    package = pathlib.Path(sys.argv[1])
    TARGET.mkdir(parents=True, exist_ok=True)
    widths = {face: make(face, package / path) for face, path in FACES.items()}
    text = json.dumps(widths, ensure_ascii=False, separators=(",", ":"))
    (TARGET / "widths.json").write_text(text + "\n", encoding="utf-8")
    (TARGET / "OFL.txt").write_bytes((package / "LICENSE_FONT").read_bytes())


if __name__ == "__main__":
    main()
