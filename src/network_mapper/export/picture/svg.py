"""A scene as SVG: texts as text, a title for everything that stands for something, nothing loaded from elsewhere.

A text says how long it is (`textLength`), so that it also fits its box in a font that is none of those asked for.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from network_mapper.export.picture import MADE_BY
from network_mapper.export.picture.scene import Colour, Group, Path, Rect, Text
from network_mapper.export.picture.text import FAMILY

if TYPE_CHECKING:
    from network_mapper.export.picture.scene import Item, Scene, Theme

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 (section 2.2) does not allow as a character."""
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})


def escape(text: str) -> str:
    """The text for XML, between tags or in double quotes."""
    return _NOT_XML.sub("\ufffd", text).translate(_ESCAPES)


def number(value: float) -> str:
    """A length with one decimal at most."""
    return f"{value:.1f}".removesuffix(".0")


def render(scene: Scene, theme: Theme, *, fitted: bool = True) -> str:
    """The SVG document.

    Args:
        scene: To be drawn.
        theme: Its colours.
        fitted: Whether texts say how long they are; not needed where it is certain which font draws them.
    """
    wide, high = number(scene.width), number(scene.height)
    pieces = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" viewBox="0 0 {wide} {high}"',
        f' role="img" aria-labelledby="map-title map-description" font-family="{escape(FAMILY)}">',
        f"<!-- {MADE_BY} -->",
        f'<title id="map-title">{escape(scene.title)}</title>',
        f'<desc id="map-description">{escape(scene.description)}</desc>',
    ]
    writer = _Writer(theme, fitted)
    writer.write(Rect(0, 0, scene.width, scene.height, Colour.PAPER), pieces)
    for item in scene.items:
        writer.write(item, pieces)
    pieces.append("</svg>\n")
    return "\n".join(pieces)


class _Writer:
    def __init__(self, theme: Theme, fitted: bool) -> None:
        self._theme = theme
        self._fitted = fitted

    def write(self, item: Item, pieces: list[str]) -> None:
        match item:
            case Group():
                data = "".join(f' data-{name}="{escape(value)}"' for name, value in item.data)
                kind = f' class="{item.kind}"' if item.kind else ""
                pieces.append(f"<g{kind}{data}>")
                if item.title:
                    pieces.append(f"<title>{escape(item.title)}</title>")
                for inner in item.items:
                    self.write(inner, pieces)
                pieces.append("</g>")
            case Rect():
                corner = f' rx="{number(item.radius)}"' if item.radius else ""
                pieces.append(
                    f'<rect x="{number(item.x)}" y="{number(item.y)}" width="{number(item.width)}" '
                    f'height="{number(item.height)}"{corner}{self._paint(item)}/>'
                )
            case Path():
                pieces.append(f'<path d="{_outline(item)}"{self._paint(item)}/>')
            case Text():
                pieces.append(self._text(item))

    def _paint(self, item: Rect | Path) -> str:
        fill = f' fill="{self._theme[item.fill]}"' if item.fill else ' fill="none"'
        if not item.stroke:
            return fill
        dash = f' stroke-dasharray="{" ".join(map(number, item.dash))}"' if item.dash else ""
        round_ends = ' stroke-linecap="round"' if item.dash and item.dash[0] < 1 else ""
        return f'{fill} stroke="{self._theme[item.stroke]}" stroke-width="{number(item.thick)}"{dash}{round_ends}'

    def _text(self, item: Text) -> str:
        place = f'x="{number(item.x)}" y="{number(item.y)}"'
        if item.turned:
            place += f' transform="rotate(-90 {number(item.x)} {number(item.y)})"'
        bold = ' font-weight="bold"' if item.bold else ""
        anchor = f' text-anchor="{item.anchor}"' if item.anchor != "start" else ""
        length = f' textLength="{number(item.width)}" lengthAdjust="spacingAndGlyphs"' if self._fitted else ""
        return (
            f'<text {place} font-size="{number(item.size)}"{bold}{anchor} '
            f'fill="{self._theme[item.colour]}"{length}>{escape(item.text)}</text>'
        )


def _outline(path: Path) -> str:
    points = [f"{number(x)} {number(y)}" for x, y in path.points]
    if path.curved:
        commands = ["M" + points[0]] + ["C" + " ".join(points[i : i + 3]) for i in range(1, len(points), 3)]
    else:
        commands = ["M" + points[0], *("L" + point for point in points[1:])]
    return "".join(commands) + ("Z" if path.closed else "")
