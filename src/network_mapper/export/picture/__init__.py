"""The map as a picture that stands still, and as text that other programs draw.

A picture is laid out once, into a scene of boxes, lines and texts, whose sizes are known before anything is drawn. Each
file format is a writer of that scene, so that all of them show the same.
"""

from typing import Final

MADE_BY: Final = "Made by network-mapper"
"""Stands in the first bytes of every file, so that a later run knows that it may replace it."""
