"""A scene as pixels. The SVG is drawn by resvg, a library without needs of its own, with the font that comes along."""

from __future__ import annotations

import io
import math
import struct
import zlib
from typing import TYPE_CHECKING

from network_mapper.export.picture import MADE_BY, svg
from network_mapper.export.picture.scene import texts
from network_mapper.export.picture.text import covered, font_file

if TYPE_CHECKING:
    from network_mapper.export.picture.scene import Scene, Theme

MOST_PIXELS = 80_000_000
"""Four bytes each while the picture is drawn."""
_JPEG_SIDE = 65_000
"""A JPEG file holds no more than 65,535 in a row or column (ITU-T T.81, B.2.2)."""


def fitting_scale(scene: Scene, wanted: float) -> float:
    """The largest scale up to the wanted one at which the picture is not too large to be drawn."""
    by_area = math.sqrt(MOST_PIXELS / (scene.width * scene.height))
    return min(wanted, by_area, _JPEG_SIDE / scene.width, _JPEG_SIDE / scene.height)


def png(scene: Scene, theme: Theme, scale: float) -> bytes:
    """The PNG file; `scale` pixels for each of the scene's."""
    import resvg_py  # noqa: PLC0415  for those who ask for pixels

    own_font_is_enough = all(covered(text.text) for text in texts(scene.items))
    drawn: bytes = resvg_py.svg_to_bytes(
        svg_string=svg.render(scene, theme, fitted=False),
        zoom=scale,
        skip_system_fonts=own_font_is_enough,
        font_files=[str(font_file(bold=bold)) for bold in (False, True)],
        font_family="Arimo",
        sans_serif_family="Arimo",
    )
    return _signed(bytes(drawn))


def _signed(content: bytes) -> bytes:
    """The PNG file with a text chunk (PNG specification, 11.3.4) behind its header, which is 33 bytes long."""
    chunk = b"tEXtSoftware\0" + MADE_BY.encode()
    framed = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return content[:33] + framed + content[33:]


def jpeg(scene: Scene, theme: Theme, scale: float) -> bytes:
    """The JPEG file; needs Pillow."""
    from PIL import Image  # noqa: PLC0415  an extra

    out = io.BytesIO()
    with Image.open(io.BytesIO(png(scene, theme, scale))) as image:
        image.convert("RGB").save(out, "JPEG", quality=88, optimize=True, comment=MADE_BY)
    return out.getvalue()
