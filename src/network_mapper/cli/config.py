"""The file of `--config`: values of options, so that they need not be typed each time.

Keys are the options' names without their dashes; a table with a command's name holds values for that command alone.
TOML is ours; YAML is read too, because the Otterize command line keeps its settings so. A key that no command has is
told of and passed over, so that one file serves several versions; a value that is of no use is an error.

Without `--config` the file of the account is read if it is there: the folder is the one that command lines use on the
system, `%APPDATA%` on Windows and `$XDG_CONFIG_HOME` or `~/.config` elsewhere, macOS among them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from network_mapper.cli.commands import COMMANDS, load
from network_mapper.cli.console import warn
from network_mapper.cli.errors import CliError

LARGEST = 64 * 1024
"""Bytes; a file with every option in it has a tenth of that."""
USED = "network_mapper.config"
"""Where the context's `meta` says which file was read."""

SERVERS = frozenset({"mapper", "sniffer"})
"""Commands whose settings are in a file of their own (docs/configuration.md)."""
_OTTERIZE_CLOUD = frozenset({"api-address", "client-id", "client-secret", "interactive", "org-id", "token",
                             "token-expiry"})  # fmt: skip
"""Keys of the Otterize command line that say how its cloud is reached: of no use here, and no mistake."""


def default_path() -> Path | None:
    """The file of this account; None when the system names no folder for it."""
    try:
        if sys.platform == "win32":
            folder = Path(os.environ["APPDATA"])
        else:
            folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    except (KeyError, RuntimeError):  # no such variable; no home
        return None
    return folder / "network-mapper" / "config.toml"


def apply(ctx: click.Context, given: str | None) -> None:
    """Let the file's values be the defaults of a command.

    Args:
        ctx: Of the command.
        given: The file; None for the account's, if there is one; an empty text for none.

    Raises:
        CliError: The file cannot be read, or is no mapping of names to values.
        click.UsageError: It holds a value of a type that an option cannot have.
    """
    if given == "":
        return
    path = Path(given) if given else default_path()
    if path is None or (given is None and not path.is_file()):
        return
    try:
        values = _for_command(ctx.command, ctx.info_name or "", _read(path), path)
    except click.ClickException:
        if ctx.resilient_parsing:  # a shell that completes has no place for errors
            return
        raise
    ctx.meta[USED] = str(path)
    ctx.default_map = {**(ctx.default_map or {}), **values}


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.expanduser().open("rb") as stream:
            content = stream.read(LARGEST + 1)
        text = content.decode()
    except UnicodeDecodeError:
        raise CliError(f"the configuration file {path} is no text in UTF-8. Check --config.") from None
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CliError(
            f"the configuration file {path} cannot be read ({reason}). Check --config and NETWORK_MAPPER_CONFIG."
        ) from None
    if len(content) > LARGEST:
        raise CliError(f"the configuration file {path} is larger than {LARGEST} bytes, so it is none.")
    return {str(key): value for key, value in _parse(path, text).items()}


def _parse(path: Path, text: str) -> dict[Any, Any]:
    import tomllib  # noqa: PLC0415  for those who have a file

    if path.suffix in {".yaml", ".yml", ".json"}:
        toml_error: Exception | None = None
    else:
        try:
            return tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            if path.suffix == ".toml":
                raise CliError(f"the configuration file {path} is no TOML ({error}).") from None
            toml_error = error
    import yaml  # noqa: PLC0415  for those whose file is none of TOML

    try:
        values = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # ValueError: a date that is none
        values, toml_error = None, toml_error or error
    if values is None and not toml_error:
        return {}
    if not isinstance(values, dict):
        reason = f" ({' '.join(str(toml_error).split())})" if toml_error else ""
        raise CliError(f"the configuration file {path} is neither TOML nor YAML with options' names{reason}.")
    return values


def keys(command: click.Command) -> dict[str, click.Option]:
    """The keys that a file may have for a command."""
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    return {
        name.removeprefix("--"): option
        for option in options
        for name in option.opts
        if name.startswith("--") and name != "--config"
    }


def _everywhere() -> set[str]:
    """The keys of all commands, and the commands' names. It loads them, so it is asked about unknown keys alone."""
    known = set(COMMANDS) - SERVERS
    for name in COMMANDS.keys() - SERVERS:
        known |= keys(load(name)).keys()
    return known


def _warn_unknown(path: Path, key: str, known: set[str]) -> None:
    import difflib  # noqa: PLC0415  only needed after a typo

    close = difflib.get_close_matches(key, sorted(known), n=1)
    hint = f"did you mean '{close[0]}'?" if close else "see 'network-mapper COMMAND --help' for what there is."
    warn(f"{path}: no option is called '{key}', {hint}")


def _for_command(command: click.Command, name: str, table: dict[str, Any], path: Path) -> dict[str, Any]:
    own = keys(command)
    values: dict[str, Any] = {}
    unknown: list[str] = []
    section: dict[str, Any] = {}
    for written, value in table.items():
        key = _key(written)
        if key == name and isinstance(value, dict):
            section = {str(inner): content for inner, content in value.items()}
        elif key in own:
            values[str(own[key].name)] = _value(own[key], value, f"{path}: {written}")
        elif key not in _OTTERIZE_CLOUD:
            unknown.append(key)
    if unknown:
        known = _everywhere()
        for key in unknown:
            if key not in known:
                _warn_unknown(path, key, known)
    for written, value in section.items():
        key = _key(written)
        if key in own:
            values[str(own[key].name)] = _value(own[key], value, f"{path}: {name}.{written}")
        else:
            _warn_unknown(path, key, set(own))
    return {key: value for key, value in values.items() if value is not None}


def _key(written: str) -> str:
    return written.lower().replace("_", "-")


def _value(option: click.Option, value: Any, where: str) -> Any:
    """The value as click takes it from its default map.

    Raises:
        click.UsageError: It is of another type; `where` names the file and the key.
    """
    if value is None:  # a key of YAML without a value
        return None
    if option.is_flag:
        if not isinstance(value, bool):
            raise click.UsageError(f"{where} is {value!r}, but wants true or false.")
        return value
    if option.multiple:
        items = value if isinstance(value, list) else [value]
        if not all(isinstance(item, str) for item in items):
            raise click.UsageError(f"{where} is {value!r}, but wants a text or a list of texts.")
        return items
    if isinstance(option.type, click.types.IntParamType):
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise click.UsageError(f"{where} is {value!r}, but wants a whole number.")
        return value
    if isinstance(option.type, click.types.FloatParamType):
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise click.UsageError(f"{where} is {value!r}, but wants a number.")
        return value
    if not isinstance(value, str):
        raise click.UsageError(f"{where} is {value!r}, but wants a text (in quotes).")
    return value
