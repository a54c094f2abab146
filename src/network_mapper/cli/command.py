"""What all commands share: help with examples, and the options that every one of them has.

An option is declared once; its environment variables follow from its name, ours (`NETWORK_MAPPER_…`) and the one that
the Otterize command line reads (`OTTERIZE_…`). A flag wins over a variable, that over the file of `--config`, that over
the default. Options that say how this program speaks to people (`--quiet`, `--debug`, `--no-headers`, `--config`) may
stand before or behind the command's name, so they are kept in the State.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from network_mapper.cli.console import state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from click.shell_completion import CompletionItem

CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

F = TypeVar("F", bound="Callable[..., Any]")


def environment_names(flag: str) -> list[str]:
    """The environment variables of a flag such as `--mapper-url`, ours first."""
    name = flag.lstrip("-").upper().replace("-", "_")
    return [f"NETWORK_MAPPER_{name}", f"OTTERIZE_{name}"]


def _complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    from network_mapper.cli import candidates  # noqa: PLC0415  only a shell that completes asks

    return candidates.of(ctx, parameter, incomplete)


def option(*names: str, **settings: Any) -> Callable[[F], F]:
    """An option whose environment variables follow from its first long name, and which a shell can complete."""
    long = next(name for name in names if name.startswith("--"))
    settings.setdefault("envvar", environment_names(long.partition("/")[0]))
    if "type" not in settings and not settings.get("is_flag"):
        settings.setdefault("shell_complete", _complete)
    return click.option(*names, **settings)


_TRUE, _FALSE = frozenset({"true", "1", "t"}), frozenset({"false", "0", "f"})


def _take_switches(
    parameters: Iterable[click.Parameter], args: list[str], until: Collection[str] = ()
) -> tuple[list[str], list[click.Option]]:
    """Take `--switch=true` for `--switch`, and out what is `--switch=false`: so other programs write them.

    Args:
        parameters: Of the command.
        args: Its arguments.
        until: Words behind which the arguments belong to somebody else, as those behind `--` do.

    Returns:
        The arguments for click, and the options that are switched off.
    """
    switches = {
        name: parameter
        for parameter in parameters
        if isinstance(parameter, click.Option) and parameter.is_flag and not parameter.secondary_opts
        for name in parameter.opts
    }
    left: list[str] = []
    off: list[click.Option] = []
    for place, arg in enumerate(args):
        if arg == "--" or arg in until:
            return left + args[place:], off
        name, sign, value = arg.partition("=")
        if sign and name in switches and value.lower() in _FALSE:
            off.append(switches[name])
        else:
            left.append(name if sign and name in switches and value.lower() in _TRUE else arg)
    return left, off


def parse(command: click.Command, ctx: click.Context, args: list[str], parser: Callable[..., list[str]]) -> list[str]:
    """Parse arguments with click's parser of the command, and give switches that are off the last word."""
    until = command.list_commands(ctx) if isinstance(command, click.Group) else ()
    args, off = _take_switches(command.get_params(ctx), args, until)
    try:
        left = parser(ctx, args)
    except click.UsageError as error:
        error.ctx = error.ctx or ctx  # not every fault says whose it is, and the message names the command's help
        raise
    for switch in off:
        if isinstance(switch, _StateSwitch):
            setattr(state_of(ctx), switch.attribute, not switch.meaning)
        elif switch.expose_value and switch.name:
            ctx.params[switch.name] = False
    return left


class Command(click.Command):
    """A command whose help ends with examples.

    Args:
        examples: Pairs of arguments, as they follow the program's name, and what they do. The name is put in front of
            them as the program was started: `network-mapper` or `kubectl network-mapper`.
        common: Whether it takes the common options; commands whose settings have options of these names do not.
    """

    def __init__(
        self, *args: Any, examples: Sequence[tuple[str, str]] = (), common: bool = True, **kwargs: Any
    ) -> None:
        kwargs["context_settings"] = CONTEXT
        kwargs["params"] = [
            *(kwargs.get("params") or ()),
            *(common_parameters() if common else _telemetry_parameters()),
        ]
        super().__init__(*args, **kwargs)
        self.examples = examples
        self.common = common

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; switches may be written `--switch=false`."""
        return parse(self, ctx, args, super().parse_args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        program = ctx.find_root().info_name
        with formatter.section("Examples"):
            for arguments, meaning in self.examples:
                formatter.write(f"  # {meaning}\n  {program} {arguments}\n")


class _StateSwitch(click.Option):
    """A switch that changes the State."""

    def __init__(self, names: list[str], attribute: str, *, meaning: bool, text: str) -> None:
        super().__init__(
            names, is_flag=True, envvar=environment_names(names[-1]), expose_value=False, callback=self._keep, help=text
        )
        self.attribute = attribute
        self.meaning = meaning

    def _keep(self, ctx: click.Context, _: click.Parameter, given: bool) -> None:
        if given:
            setattr(state_of(ctx), self.attribute, self.meaning)


class ConfigOption(click.Option):
    """`--config`: before the command's name it wins over a variable, as it does behind it."""

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[Any, ParameterSource]:
        """The value and where it is from."""
        value, source = super().consume_value(ctx, opts)
        before = state_of(ctx).config
        if before is not None and source is not ParameterSource.COMMANDLINE:
            return before, ParameterSource.COMMANDLINE
        return value, source


def _read_config(ctx: click.Context, parameter: click.Parameter, path: str | None) -> None:
    if isinstance(ctx.command, click.Group):
        if parameter.name and ctx.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE:
            state_of(ctx).config = path
        return
    from network_mapper.cli import config  # noqa: PLC0415  main imports this module for --help

    config.apply(ctx, path)


def _telemetry_parameters() -> list[click.Option]:
    """Taken wherever the Otterize command line takes them, and without effect: there is no telemetry."""
    switches = ("telemetry-enabled", "telemetry-usage-enabled", "telemetry-errors-enabled")
    texts = ("telemetry-errors-address", "telemetry-errors-stage")
    return [click.Option([f"--{name}"], is_flag=True, hidden=True, expose_value=False) for name in switches] + [
        click.Option([f"--{name}"], hidden=True, expose_value=False) for name in texts
    ]


def common_parameters() -> list[click.Option]:
    """The options of every command, and of the program before a command's name."""
    return [
        _StateSwitch(
            ["-q", "--quiet"],
            "quiet",
            meaning=True,
            text="Leave out remarks on stderr; results, warnings and errors stay.",
        ),
        _StateSwitch(
            ["--debug"], "debug", meaning=True, text="Show the traceback of an error, and what is done on the way."
        ),
        _StateSwitch(["--no-headers"], "headers", meaning=False, text="Leave out the headings of tables."),
        ConfigOption(
            ["--config"],
            metavar="FILE",
            envvar=environment_names("--config"),
            expose_value=False,
            is_eager=True,
            callback=_read_config,
            shell_complete=_complete,
            help="File with values of options by their names (TOML or YAML); else config.toml of your account's folder "
            "of settings, if it is there.",
        ),
        *_telemetry_parameters(),
    ]


def output_option(*formats: str) -> Callable[[F], F]:
    """Add `-o/--output` with these formats; the first is the default. The Otterize command line says `--format`."""
    return click.option(
        "-o",
        "--output",
        "--format",
        "output",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        envvar=environment_names("--format"),
        help="Format of what is printed.",
    )
