"""A scene as PDF: one page as large as the picture, lines as lines, texts as texts that can be searched and copied."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

from network_mapper.export.picture import MADE_BY
from network_mapper.export.picture.scene import Colour, Group, Path, Rect, Text
from network_mapper.export.picture.text import face, font_file

if TYPE_CHECKING:
    from network_mapper.export.picture.scene import Item, Scene, Theme

_POINT: Final = 0.75
"""Points in a pixel, of which an inch has 96."""
_COMMENT: Final = b"ReportLab Generated PDF document (opensource)"
_LONGEST_SIDE: Final = 14_400.0
"""Points that a page may have at most (ISO 32000-1, annex C.2)."""


def render(scene: Scene, theme: Theme) -> bytes:
    """The PDF file; needs ReportLab."""
    from reportlab.pdfbase import pdfmetrics  # type: ignore[import-untyped]  # noqa: PLC0415  an extra
    from reportlab.pdfbase.ttfonts import TTFont  # type: ignore[import-untyped]  # noqa: PLC0415  likewise
    from reportlab.pdfgen.canvas import Canvas  # type: ignore[import-untyped]  # noqa: PLC0415  likewise

    for bold in (False, True):
        pdfmetrics.registerFont(TTFont(_font(bold=bold), str(font_file(bold=bold))))
    scale = min(_POINT, _LONGEST_SIDE / scene.width, _LONGEST_SIDE / scene.height)
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(scene.width * scale, scene.height * scale), invariant=1)
    canvas.setTitle(scene.title)
    canvas.setSubject(scene.description)
    canvas.setCreator("network-mapper")
    canvas.transform(scale, 0, 0, -scale, 0, scene.height * scale)
    writer = _Writer(canvas, theme)
    writer.draw(Rect(0, 0, scene.width, scene.height, Colour.PAPER))
    for item in scene.items:
        writer.draw(item)
    canvas.showPage()
    canvas.save()
    content = out.getvalue()
    # A comment of the library stands behind the header; ours is as long, because offsets follow.
    return content.replace(_COMMENT, MADE_BY.encode().ljust(len(_COMMENT)), 1)


def _font(*, bold: bool) -> str:
    return f"arimo-{face(bold=bold)}"


class _Writer:
    def __init__(self, canvas: Any, theme: Theme) -> None:
        self._canvas = canvas
        self._theme = theme

    def draw(self, item: Item) -> None:
        match item:
            case Group():
                for inner in item.items:
                    self.draw(inner)
            case Rect():
                self._paint(item)
                radius = min(item.radius, item.width / 2, item.height / 2)
                self._canvas.roundRect(
                    item.x, item.y, item.width, item.height, radius, stroke=bool(item.stroke), fill=bool(item.fill)
                )
            case Path():
                self._paint(item)
                self._canvas.drawPath(self._outline(item), stroke=bool(item.stroke), fill=bool(item.fill))
            case Text():
                self._text(item)

    def _paint(self, item: Rect | Path) -> None:
        if item.fill:
            self._canvas.setFillColor(self._theme[item.fill])
        if item.stroke:
            self._canvas.setStrokeColor(self._theme[item.stroke])
            self._canvas.setLineWidth(item.thick)
            self._canvas.setDash(list(item.dash))
            self._canvas.setLineCap(1 if item.dash and item.dash[0] < 1 else 0)

    def _outline(self, item: Path) -> Any:
        outline = self._canvas.beginPath()
        outline.moveTo(*item.points[0])
        rest = item.points[1:]
        if item.curved:
            for n in range(0, len(rest), 3):
                outline.curveTo(*rest[n], *rest[n + 1], *rest[n + 2])
        else:
            for point in rest:
                outline.lineTo(*point)
        if item.closed:
            outline.close()
        return outline

    def _text(self, item: Text) -> None:
        shift = {"start": 0.0, "middle": 0.5, "end": 1.0}[item.anchor] * item.width
        self._canvas.saveState()
        self._canvas.translate(item.x, item.y)
        if item.turned:
            self._canvas.rotate(-90)
        self._canvas.scale(1, -1)
        self._canvas.setFillColor(self._theme[item.colour])
        self._canvas.setFont(_font(bold=item.bold), item.size)
        self._canvas.drawString(-shift, 0, item.text)
        self._canvas.restoreState()
