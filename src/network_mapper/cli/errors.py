"""Errors that a person can do something about."""

from __future__ import annotations

import click


class CliError(click.ClickException):
    """Shown as one line, `Error: …`, with exit code 1. The message says what happened, why, and what to do next."""
