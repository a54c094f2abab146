"""`network-mapper completion`: the completion script of a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from network_mapper.cli.command import Command
from network_mapper.cli.errors import CliError

_EXAMPLES = [
    ("completion bash > ~/.local/share/bash-completion/completions/network-mapper", "bash, for good"),
    ("completion zsh > ~/.zfunc/_network-mapper", "zsh, with ~/.zfunc in fpath before compinit runs"),
    ("completion fish > ~/.config/fish/completions/network-mapper.fish", "fish, for good"),
]
_NOW = {
    "bash": "source <(network-mapper completion bash)",
    "zsh": "source <(network-mapper completion zsh)",
    "fish": "network-mapper completion fish | source",
}


@click.command(cls=Command, examples=_EXAMPLES)
@click.argument("shell", type=click.Choice(list(_NOW)))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell."""
    from network_mapper.cli.main import COMPLETE_VARIABLE, PROGRAM  # noqa: PLC0415  it imports this module

    kind = get_completion_class(shell)
    if kind is None:
        raise CliError(f"this version of click writes no completion for {shell}.")
    completion = kind(ctx.find_root().command, {}, PROGRAM, COMPLETE_VARIABLE)
    # Not source(): for bash it starts the bash on PATH to check its version, which need not be the one in use.
    script = completion.source_template % completion.source_vars()
    click.echo(f"# Completion of {PROGRAM} for {shell}. To try it in this shell: {_NOW[shell]}")
    click.echo(script.strip())
