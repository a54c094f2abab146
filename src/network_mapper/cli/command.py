"""What all commands share: help with examples, and the options that every one of them has.

An option is declared once; its environment variables follow from its name, ours (`NETWORK_MAPPER_…`) and the one that
the Otterize command line reads (`OTTERIZE_…`). Options that say how this program speaks to people (`--quiet`,
`--debug`, `--no-headers`, `--config`) may stand before or behind the command's name, so they are kept in the State.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

F = TypeVar("F", bound="Callable[..., Any]")


class State:
    """How this run speaks to people.

    Attributes:
        debug: Show the traceback of an error, and what is done on the way.
        quiet: Say on stderr only what is an error or a warning.
        headers: Print the headings of tables.
    """

    def __init__(self) -> None:
        self.debug = False
        self.quiet = False
        self.headers = True


def state() -> State:
    """The State of the command that runs."""
    return click.get_current_context().find_root().ensure_object(State)


def notice(text: str) -> None:
    """Tell a person something on stderr that is no result, unless `--quiet` is given."""
    if not state().quiet:
        click.echo(text, err=True)


def warn(text: str) -> None:
    """Tell of something that is not as it should be, on stderr, whatever is asked for."""
    label = click.style("Warning:", fg="yellow") if colours(err=True) else "Warning:"
    click.echo(f"{label} {text}", err=True)


def colours(*, err: bool = False) -> bool:
    """Whether a stream is a terminal that shows colours (`NO_COLOR` asks for none)."""
    import os  # noqa: PLC0415  cheap, and of use here alone
    import sys  # noqa: PLC0415  likewise

    stream = sys.stderr if err else sys.stdout
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def environment_names(flag: str) -> list[str]:
    """The environment variables of a flag such as `--mapper-url`, ours first."""
    name = flag.lstrip("-").upper().replace("-", "_")
    return [f"NETWORK_MAPPER_{name}", f"OTTERIZE_{name}"]


def option(*names: str, **settings: Any) -> Callable[[F], F]:
    """An option whose environment variables follow from its first long name."""
    long = next(name for name in names if name.startswith("--"))
    settings.setdefault("envvar", environment_names(long.partition("/")[0]))
    return click.option(*names, **settings)


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
        if common:
            kwargs["params"] = [*(kwargs.get("params") or ()), *common_parameters()]
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        program = ctx.find_root().info_name
        with formatter.section("Examples"):
            for arguments, meaning in self.examples:
                formatter.write(f"  # {meaning}\n  {program} {arguments}\n")


def _keep(attribute: str, value: bool) -> Callable[[click.Context, click.Parameter, bool], None]:
    def callback(ctx: click.Context, _: click.Parameter, given: bool) -> None:
        if given:
            setattr(ctx.find_root().ensure_object(State), attribute, value)

    return callback


def _read_config(ctx: click.Context, _: click.Parameter, path: str | None) -> None:
    if path and not ctx.resilient_parsing:
        from network_mapper.cli.config import defaults  # noqa: PLC0415  for those who have a file

        ctx.default_map = {**(ctx.default_map or {}), **defaults(path)}


_SWITCHES = {
    "debug": ("debug", True, "Show the traceback of an error, and what is done on the way."),
    "no-headers": ("headers", False, "Leave out the headings of tables."),
}
_TELEMETRY = ("telemetry-enabled", "telemetry-usage-enabled", "telemetry-errors-enabled")
_TELEMETRY_TEXTS = ("telemetry-errors-address", "telemetry-errors-stage")


def common_parameters() -> list[click.Option]:
    """The options of every command. Those about telemetry are taken and do nothing: there is none."""
    quiet = click.Option(
        ["-q", "--quiet"],
        is_flag=True,
        envvar=environment_names("--quiet"),
        expose_value=False,
        callback=_keep("quiet", True),
        help="Leave out remarks on stderr; results, warnings and errors stay.",
    )
    config = click.Option(
        ["--config"],
        metavar="FILE",
        envvar=environment_names("--config"),
        expose_value=False,
        is_eager=True,
        callback=_read_config,
        help="File with values of options by their names (TOML or YAML).",
    )
    switches = [
        click.Option(
            [f"--{name}"],
            is_flag=True,
            envvar=environment_names(name),
            expose_value=False,
            callback=_keep(attribute, value),
            help=text,
        )
        for name, (attribute, value, text) in _SWITCHES.items()
    ]
    ignored = [
        click.Option([f"--{name}"], is_flag=False, flag_value="true", default=None, hidden=True, expose_value=False)
        for name in _TELEMETRY
    ]
    ignored += [click.Option([f"--{name}"], default=None, hidden=True, expose_value=False) for name in _TELEMETRY_TEXTS]
    return [quiet, *switches, config, *ignored]


def output_option(*formats: str) -> Callable[[F], F]:
    """Add `-o/--output` with these formats; the first is the default."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help="Format of what is printed.",
    )
