"""Boxes placed by Graphviz, where it is installed: an alternative to `layered.place`, drawn in the same way.

Graphviz is told the sizes of boxes and gives back places and curves; texts, colours and arrows stay ours, so that a
picture looks the same whoever laid it out.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any, Final

import msgspec

from network_mapper.export.picture.layered import Placed
from network_mapper.export.picture.text import width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from network_mapper.export.picture.layered import Box
    from network_mapper.export.picture.scene import Point

PROGRAM: Final = "dot"
TIMEOUT: Final = 60.0
_INCH: Final = 72.0


class LayoutError(ValueError):
    """There is no picture to be had in this way; the message says why."""


def installed() -> str | None:
    """Path of the program, if there is one."""
    return shutil.which(PROGRAM)


def place(boxes: Sequence[Box], frames: Sequence[float], links: Sequence[tuple[int, int]]) -> Placed:
    """Lay out; as `layered.place`.

    Raises:
        LayoutError: The program is missing, fails, or takes too long.
    """
    if not boxes:
        return Placed([], [], [], 0, 0)
    program = installed()
    if program is None:
        raise LayoutError("Graphviz is not installed: there is no program 'dot' on the PATH")
    try:
        ran = subprocess.run(
            [program, "-Tjson"],
            input=_source(boxes, frames, links).encode(),
            capture_output=True,
            timeout=TIMEOUT,
            check=True,
        )
        return _read(msgspec.json.decode(ran.stdout), len(boxes), len(frames), len(links))
    except subprocess.TimeoutExpired as error:
        raise LayoutError(f"Graphviz did not end within {TIMEOUT:.0f} s; the map is too large for it") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()
        raise LayoutError(f"Graphviz failed: {said[-1] if said else f'exit code {error.returncode}'}") from error
    except (OSError, msgspec.DecodeError, KeyError, ValueError) as error:
        raise LayoutError(f"Graphviz gave no usable answer: {error}") from error


def _source(boxes: Sequence[Box], frames: Sequence[float], links: Sequence[tuple[int, int]]) -> str:
    lines = [
        "digraph {",
        "graph [rankdir=LR, nodesep=0.3, ranksep=0.7, splines=true]",
        'node [shape=box, fixedsize=true, label=""]',
        "edge [arrowhead=none]",
    ]
    for frame, least in enumerate(frames):
        # A label of that many letters reserves the place of the name.
        letters = "x" * max(1, round((least - 28) / width("x", 12)))
        members = "; ".join(f"n{n}" for n, box in enumerate(boxes) if box.frame == frame)
        lines.append(
            f'subgraph cluster_{frame} {{ graph [label="{letters}", labeljust=l, fontsize=12, margin=14]; {members} }}'
        )
    lines += [f"n{n} [width={box.width / _INCH:.4f}, height={box.height / _INCH:.4f}]" for n, box in enumerate(boxes)]
    lines += [f"n{a} -> n{b} [id=e{number}]" for number, (a, b) in enumerate(links)]
    return "\n".join([*lines, "}"])


def _read(answer: dict[str, Any], boxes: int, frames: int, links: int) -> Placed:
    left, bottom, right, top = map(float, answer["bb"].split(","))
    objects = {item["name"]: item for item in answer.get("objects", [])}

    def point(text: str) -> Point:
        x, y = map(float, text.split(","))
        return x - left, top - y

    placed = []
    for n in range(boxes):
        item = objects[f"n{n}"]
        wide, high = float(item["width"]) * _INCH, float(item["height"]) * _INCH
        x, y = point(item["pos"])
        placed.append((x - wide / 2, y - high / 2, wide, high))
    rectangles = []
    for frame in range(frames):
        x0, y0, x1, y1 = map(float, objects[f"cluster_{frame}"]["bb"].split(","))
        rectangles.append((x0 - left, top - y1, x1 - x0, y1 - y0))
    routes: list[list[Point]] = [[] for _ in range(links)]
    for edge in answer.get("edges", []):
        routes[int(edge["id"][1:])] = [point(text) for text in edge["pos"].split(" ") if text[1] != ","]
    return Placed(placed, rectangles, routes, right - left, top - bottom)
