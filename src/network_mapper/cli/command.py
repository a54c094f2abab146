"""What all commands share: help with examples, `-h`, `--debug` and `--mapper-url`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DEFAULT_URL = "http://localhost:9090"
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

F = TypeVar("F", bound="Callable[..., Any]")


class State:
    """What the top level has to know after a command has failed."""

    def __init__(self) -> None:
        self.debug = False


class Command(click.Command):
    """A command whose help ends with examples.

    Args:
        examples: Pairs of arguments, as they follow the program's name, and what they do. The name is put in front of
            them as the program was started: `network-mapper` or `kubectl network-mapper`.
    """

    def __init__(self, *args: Any, examples: Sequence[tuple[str, str]] = (), **kwargs: Any) -> None:
        kwargs["context_settings"] = CONTEXT
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        program = ctx.find_root().info_name
        with formatter.section("Examples"):
            for arguments, meaning in self.examples:
                formatter.write(f"  # {meaning}\n  {program} {arguments}\n")


def _remember_debug(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
    state = ctx.find_root().ensure_object(State)
    state.debug = state.debug or value
    return state.debug


def debug_option(function: F) -> F:
    """Add `--debug`, which is kept in the State and not passed on."""
    return click.option(
        "--debug",
        is_flag=True,
        envvar="NETWORK_MAPPER_DEBUG",
        expose_value=False,
        callback=_remember_debug,
        help="Show the traceback of an error.",
    )(function)


def mapper_url_option(function: F) -> F:
    """Add `--mapper-url`."""
    return click.option(
        "--mapper-url",
        envvar="NETWORK_MAPPER_MAPPER_URL",
        default=DEFAULT_URL,
        metavar="URL",
        show_default=True,
        show_envvar=True,
        help="Where the mapper answers: http://host:port, https://host:port or unix:/path; /query at its end is left "
        "out.",
    )(function)


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
