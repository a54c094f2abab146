"""The program `network-mapper`, also installed as the kubectl plugin `kubectl network-mapper`.

A command's module is imported when that command runs. The help of the whole program therefore knows the commands'
summaries itself, and costs no more than Python and click do.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import PurePath
from typing import TYPE_CHECKING

import click

from network_mapper import __version__
from network_mapper.cli.command import CONTEXT, Command, State, common_parameters

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = "network-mapper"
COMPLETE_VARIABLE = "_NETWORK_MAPPER_COMPLETE"
INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""

COMMANDS = {
    "list": "Show who calls whom.",
    "export": "Write the map as ClientIntents, or for tools of your own.",
    "visualize": "Draw the map: SVG, PNG, PDF, DOT, Mermaid, or a page to explore it.",
    "status": "Show what watches, what reports, and what did not reach the map.",
    "reset": "Empty the map.",
    "mapper": "Run the mapper: gather reports, draw the map, serve it.",
    "sniffer": "Run the node agent: see connections and DNS lookups, report them to a mapper.",
    "snapshot": "Write what the mapper would read of a cluster.",
    "completion": "Print the completion script of a shell.",
    "version": "Print the version of this program.",
}


class LazyGroup(click.Group):
    """The commands of COMMANDS, each in the module of its name (click's documented pattern for lazy loading)."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """The names, in the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  likewise
        """Import and return one command."""
        if cmd_name not in COMMANDS:
            return None
        command: Command = importlib.import_module(f"network_mapper.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one may have been meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib  # noqa: PLC0415  only needed after a typo

            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            if not close:
                raise
            raise click.UsageError(f"No such command {args[0]!r}, did you mean {close[0]!r}?", error.ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  likewise
        """Write the summaries without loading the commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(f"{PROGRAM} {__version__}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings=CONTEXT, no_args_is_help=False, invoke_without_command=True)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print it.")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Draw the map of who talks to whom inside a Kubernetes cluster.

    A sniffer on each node sees connections and DNS lookups and reports them to the mapper; the other commands ask the
    mapper. Every option can also be set by an environment variable, NETWORK_MAPPER_ and the option's name.

    \b
    Try it on this machine, in three terminals:
      network-mapper mapper --snapshot cluster.yaml
      network-mapper sniffer --pcap traffic.pcap
      network-mapper list
    """  # noqa: D301  \b is click's mark for "do not wrap"
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


cli.params.extend(common_parameters())


def program_name(started_as: str) -> str:
    """What usage texts call the program; kubectl starts its plugins as `kubectl-NAME`, with dashes as underscores."""
    name = PurePath(started_as).name
    return f"kubectl {PROGRAM}" if name.startswith("kubectl-") else PROGRAM


def _complain(message: str) -> None:
    label = "Error:"
    if sys.stderr.isatty() and not os.environ.get("NO_COLOR"):
        label = click.style(label, fg="red", bold=True)
    click.echo(f"{label} {' '.join(message.split())}", err=True)


def _message(error: Exception) -> str:
    if isinstance(error, click.UsageError):
        message = error.format_message().rstrip(".")
        command = error.ctx.command_path if error.ctx else PROGRAM
        return f"{message}{'' if message.endswith('?') else '.'} Try '{command} --help'."
    if isinstance(error, click.ClickException):
        return error.format_message()
    kind = type(error).__name__
    return f"unexpected {kind}: {error}. This is a fault of this program; --debug shows where it happened."


def main(args: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        args: Arguments without the program's name; those of the process by default.

    Returns:
        The exit code: 0, 1 for a failure, 2 for a wrong usage, 130 when interrupted.
    """
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that knows no UTF-8 still gets every line
    state = State()
    try:
        result = cli.main(
            args=None if args is None else list(args),
            prog_name=program_name(sys.argv[0]),
            complete_var=COMPLETE_VARIABLE,
            standalone_mode=False,
            obj=state,
        )
    except click.exceptions.Abort as error:
        if isinstance(error.__context__, EOFError):
            _complain("no answer was given, so nothing was done.")
            return 1
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001  whatever it is, a person gets one line, and the traceback on request
        _complain(_message(error))
        if state.debug:
            import traceback  # noqa: PLC0415  only for people who look for a fault

            traceback.print_exception(error)
        return error.exit_code if isinstance(error, click.ClickException) else 1
    return result if isinstance(result, int) else 0
