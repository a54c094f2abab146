"""The program `network-mapper`, also installed as the kubectl plugin `kubectl network-mapper`.

A command's module is imported when that command runs. The help of the whole program therefore knows the commands'
summaries itself, and costs no more than Python and click do.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from network_mapper import __version__
from network_mapper.cli.command import CONTEXT, common_parameters, parse
from network_mapper.cli.commands import COMMANDS, COMPLETE_VARIABLE, PROGRAM, load
from network_mapper.cli.console import State, colours, forget, printable, tell
from network_mapper.cli.errors import FAILED, INTERRUPTED, OUTPUT_CLOSED

if TYPE_CHECKING:
    from collections.abc import Sequence


class LazyGroup(click.Group):
    """The commands of COMMANDS, each in the module of its name (click's documented pattern for lazy loading)."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """The names, in the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  likewise
        """Import and return one command."""
        return load(cmd_name) if cmd_name in COMMANDS else None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse what stands before the command's name; switches may be written `--switch=false`."""
        try:
            return parse(self, ctx, args, super().parse_args)
        except click.NoSuchOption as error:
            said = error.format_message().rstrip(".")
            raise click.UsageError(f"{said}; an option of a command stands behind the command's name", ctx) from None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one may have been meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            raise click.exceptions.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=error.ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  likewise
        """Write the summaries without loading the commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(f"{PROGRAM} {__version__}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings=CONTEXT, no_args_is_help=False, invoke_without_command=True)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print the version."
)
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
    label = click.style("Error:", fg="red", bold=True) if colours(err=True) else "Error:"
    tell(f"{label} {printable(' '.join(message.split()))}")


def _origin(error: click.UsageError) -> str:
    """Where a bad value came from, when it was not typed; empty otherwise."""
    if not (isinstance(error, click.BadParameter) and error.ctx and error.param and error.param.name):
        return ""
    source = error.ctx.get_parameter_source(error.param.name)
    if source is ParameterSource.ENVIRONMENT:
        names = [error.param.envvar] if isinstance(error.param.envvar, str) else error.param.envvar or ()
        return next((f"the variable {name}" for name in names if os.environ.get(name)), "")
    if source is ParameterSource.DEFAULT_MAP:
        from network_mapper.cli.config import USED  # noqa: PLC0415  needed in this case only

        key = max(error.param.opts, key=len).removeprefix("--")
        return f"'{key}' in {error.ctx.meta.get(USED)}"
    return ""


def _message(error: Exception) -> str:
    if isinstance(error, click.UsageError):
        origin = _origin(error)
        message = (f"Invalid value of {origin}: {error.message}" if origin else error.format_message()).rstrip(".")
        command = error.ctx.command_path if error.ctx else PROGRAM
        return f"{message}{'' if message.endswith(('?', '?)')) else '.'} Try '{command} --help'."
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, OSError) and error.errno in _FULL:
        return f"the output cannot be written ({error.strerror}). Write it somewhere else, or make room."
    kind = type(error).__name__
    return f"unexpected {kind}: {error}. This is a fault of this program; --debug shows where it happened."


_FULL = frozenset({errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EBADF, getattr(errno, "EDQUOT", errno.ENOSPC)})


def _is_output_closed(error: Exception) -> bool:
    """Whether the reader of a pipe went away. Windows calls that an invalid argument."""
    return isinstance(error, BrokenPipeError) or (
        sys.platform == "win32" and isinstance(error, OSError) and error.errno == errno.EINVAL and not error.filename
    )


def _escape(error: UnicodeError) -> tuple[str, int]:
    r"""Write what an encoding lacks as `\uXXXX`, which is right inside JSON and YAML too."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2)), error.end


def _prepare_streams() -> None:
    """Let every character be written whatever the terminal's encoding is, and replace streams that are closed.

    A closed stream is None, and the next file to be opened would get its number. What stands in for a closed standard
    output cannot be written to, so that a result is not lost in silence. With PYTHONUNBUFFERED Python takes a write of
    which a pipe or a full disk took only a part for a whole one; a buffer writes the rest, or finds out why not.
    """
    codecs.register_error("network-mapper", _escape)
    for name in ("stdin", "stdout", "stderr"):
        stream: Any = getattr(sys, name)
        if stream is None:
            nowhere = os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(nowhere, mode, encoding="utf-8"))  # noqa: PTH123,SIM115  as long as the process
            continue
        if name == "stdout" and isinstance(getattr(stream, "buffer", None), io.RawIOBase):
            encoding = stream.encoding
            stream = sys.stdout = io.TextIOWrapper(io.BufferedWriter(stream.detach()), encoding, write_through=True)
        if name != "stdin" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="network-mapper")


def _run(args: Sequence[str], state: State) -> int:
    """Complete a command line for a shell, or run one. click's own main() would decide what to do about each error."""
    if instruction := os.environ.get(COMPLETE_VARIABLE):
        from click.shell_completion import shell_complete  # noqa: PLC0415  for shells

        return shell_complete(cli, {}, PROGRAM, COMPLETE_VARIABLE, instruction)
    try:
        with cli.make_context(program_name(sys.argv[0]), list(args), obj=state) as context:
            result = cli.invoke(context)
    except click.exceptions.Exit as ended:
        result = ended.exit_code
    sys.stdout.flush()
    return result if isinstance(result, int) else 0


def main(args: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        args: Arguments without the program's name; those of the process by default.

    Returns:
        The exit code, one of `errors.EXIT_CODES`.
    """
    _prepare_streams()
    state = State()
    try:
        return _run(sys.argv[1:] if args is None else args, state)
    except KeyboardInterrupt:
        return _interrupted()
    except click.exceptions.Abort as error:
        if not isinstance(error.__context__, EOFError):
            return _interrupted()
        _complain("no answer was given, so nothing was done.")
    except Exception as error:  # noqa: BLE001  whatever it is, a person gets one line, and the traceback on request
        if _is_output_closed(error):
            forget(sys.stdout)
            return OUTPUT_CLOSED
        _complain(_message(error))
        if state.debug:
            import traceback  # noqa: PLC0415  only for people who look for a fault

            traceback.print_exception(error)
        if isinstance(error, OSError):
            forget(sys.stdout)
        return error.exit_code if isinstance(error, click.ClickException) else FAILED
    return FAILED


def _interrupted() -> int:
    if sys.stderr.isatty():
        click.echo(err=True)  # the terminal shows ^C where the cursor was
    return INTERRUPTED
