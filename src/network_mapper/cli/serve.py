"""Commands that run a component until they are stopped: their options come from the component's settings.

A flag, its environment variables, its key in a file, its default and its place in the help are one declaration
(`network_mapper.settings`), and the check of a value is there too, so that a bad value reads the same wherever it came
from.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

import click
import msgspec

from network_mapper.cli.command import Command, ConfigOption
from network_mapper.cli.console import State
from network_mapper.cli.errors import CliError
from network_mapper.settings import (
    CONFIG_ENV,
    LogSettings,
    Setting,
    SettingError,
    load,
    read_file,
    settings_of,
    without_effect,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Runner = Callable[[Any, dict[str, Any]], int]

logger = logging.getLogger(__name__)

CONFIG_HELP = "TOML file with settings by the names of their flags, without the dashes before them."


def default_text(setting: Setting) -> str:
    """The default for people; empty where there is none to speak of."""
    if setting.default is msgspec.NODEFAULT or setting.default in ("", None, ()):
        return ""
    if setting.form == "switch":
        return "on" if setting.default else "off"
    if isinstance(setting.default, float):
        return f"{setting.default:.15g}"
    if setting.form == "words":
        return ",".join(setting.default)
    return str(setting.default)


def describe(setting: Setting) -> str:
    """The help of a setting with its variables and its default."""
    notes = [f"env {' or '.join([setting.env, *setting.model_env])}"]
    if setting.default is msgspec.NODEFAULT:
        notes.append("required")
    elif text := default_text(setting):
        notes.append(f"default: {text}")
    return f"{setting.help} [{'; '.join(notes)}]"


def option(setting: Setting) -> click.Option:
    """The flag of a setting; a boolean is a pair, `--x/--no-x`. None means that the flag was not given."""
    if setting.form == "switch":
        names = [f"{setting.flag}/--no-{setting.key}", setting.field]
        return click.Option(names, default=None, help=describe(setting))
    return click.Option([setting.flag, setting.field], metavar=setting.metavar or None, help=describe(setting))


def _config_option() -> click.Option:
    return ConfigOption(
        ["--config"], metavar="FILE", envvar=CONFIG_ENV, help=f"{CONFIG_HELP} [env {CONFIG_ENV}]", default=None
    )


def _state() -> State:
    return click.get_current_context().find_root().ensure_object(State)


def serve_command(
    name: str,
    component: type[msgspec.Struct],
    runner: Runner,
    *,
    text: str,
    examples: Sequence[tuple[str, str]],
    extra: Sequence[click.Parameter] = (),
) -> Command:
    """Make a command from a component's settings.

    Args:
        name: Of the command.
        component: The declaration of its settings.
        runner: Called with the loaded settings and the values of the `extra` parameters; returns the exit code.
        text: The help.
        examples: As for `Command`.
        extra: Parameters that are no settings, because they make sense on a command line only.
    """
    common = settings_of(LogSettings)
    extra_names = [parameter.name for parameter in extra]

    def callback(config: str | None, **given: Any) -> int:
        from network_mapper import logs  # noqa: PLC0415  --help needs no logging

        others = {key: given.pop(key) for key in extra_names if key}
        log_given = {setting.field: given.pop(setting.field) for setting in common}
        if _state().debug and log_given["debug"] is None:
            log_given["debug"] = True
        try:
            file = read_file(config, LogSettings, component) if config else None
            log = load(LogSettings, log_given, file=file)
            _state().debug = log.debug
            logs.setup(debug=log.debug, log_format=log.log_format)
            loaded = load(component, given, file=file)
        except (SettingError, TypeError) as error:
            raise click.UsageError(str(error)) from error
        if unread := without_effect(os.environ, LogSettings, component):
            logger.info("these variables have no effect here, see docs/migration.md: %s", ", ".join(unread))
        try:
            return runner(loaded, others)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("network_mapper"):
                raise
            raise CliError(
                f"'network-mapper {name}' needs the package {error.name}, which is not installed. "
                f"Install it with: pip install 'network-mapper[{name}]'"
            ) from error

    return Command(
        name=name,
        params=[*extra, _config_option(), *(option(setting) for setting in (*settings_of(component), *common))],
        callback=callback,
        help=text,
        examples=examples,
        common=False,
    )
