"""Commands that run a component until they are stopped: their options come from the component's settings.

A flag, its environment variable, its default and its place in the help are one declaration (`network_mapper.settings`),
and the check of a value is there too, so that a bad value reads the same wherever it came from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from network_mapper.cli.command import Command, State
from network_mapper.cli.errors import CliError
from network_mapper.settings import PREFIX, Setting, SettingError, load, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Runner = Callable[[Any, dict[str, Any]], int]

LOG_FORMATS = ("auto", "text", "json")


def describe(setting: Setting) -> str:
    """The help of a setting with its variable and its default."""
    notes = [f"env {setting.env}"]
    if setting.default is msgspec.NODEFAULT:
        notes.append("required")
    elif setting.type is bool:
        notes.append(f"default: {'on' if setting.default else 'off'}")
    elif isinstance(setting.default, float):
        notes.append(f"default: {setting.default:g}")
    elif setting.default not in ("", None):
        notes.append(f"default: {setting.default}")
    return f"{setting.help} [{'; '.join(notes)}]"


def option(setting: Setting) -> click.Option:
    """The flag of a setting; a boolean is a pair, `--x/--no-x`. None means that the flag was not given."""
    if setting.type is bool:
        names = [f"{setting.flag}/--no-{setting.flag.removeprefix('--')}", setting.field]
        return click.Option(names, default=None, help=describe(setting))
    return click.Option([setting.flag, setting.field], metavar=setting.metavar or None, help=describe(setting))


def _log_options() -> list[click.Parameter]:
    def remember(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
        state = ctx.find_root().ensure_object(State)
        state.debug = state.debug or value
        return state.debug

    return [
        click.Option(
            ["--debug"],
            is_flag=True,
            envvar=PREFIX + "DEBUG",
            callback=remember,
            help="Log more, and show the traceback of an error.",
        ),
        click.Option(
            ["--log-format"],
            type=click.Choice(LOG_FORMATS),
            default="auto",
            envvar=PREFIX + "LOG_FORMAT",
            show_default=True,
            help="Log lines for people or JSON objects; auto is text on a terminal.",
        ),
    ]


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
    settings = settings_of(component)
    extra_names = [parameter.name for parameter in extra]

    def callback(debug: bool, log_format: str, **given: Any) -> int:
        from network_mapper import logs  # noqa: PLC0415  --help needs no logging

        others = {key: given.pop(key) for key in extra_names if key}
        try:
            loaded = load(component, given)
        except (SettingError, TypeError) as error:
            raise click.UsageError(str(error)) from error
        logs.setup(debug=debug, log_format=log_format)
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
        params=[*extra, *(option(setting) for setting in settings), *_log_options()],
        callback=callback,
        help=text,
        examples=examples,
    )
