"""The file of `--config`: values of options, so that they need not be typed each time.

Keys are the options' names without their dashes; a table with a command's name holds values for that command alone.
TOML is ours; YAML is read too, because the Otterize command line keeps its settings so.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import click

from network_mapper.cli.errors import CliError


def defaults(path: str) -> dict[str, Any]:
    """The values for the command that runs, by parameter name.

    Raises:
        CliError: The file cannot be read, or is no mapping of names to values.
    """
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(
            f"the configuration file {path} cannot be read ({error}). Check --config and NETWORK_MAPPER_CONFIG."
        ) from None
    values = _parse(path, text)
    context = click.get_current_context(silent=True)
    own = values.pop(context.info_name or "", {}) if context else {}
    merged = {**values, **(own if isinstance(own, dict) else {})}
    return {key.replace("-", "_"): value for key, value in merged.items() if not isinstance(value, dict)}


def _parse(path: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        toml_error = error
    import yaml  # noqa: PLC0415  for those whose file is none of TOML

    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError:
        values = None
    if not isinstance(values, dict):
        raise CliError(f"the configuration file {path} is neither TOML nor YAML with options' names ({toml_error}).")
    return {str(key): value for key, value in values.items()}
