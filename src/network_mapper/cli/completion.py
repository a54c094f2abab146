"""`network-mapper completion`: the completion script of a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from network_mapper.cli.command import Command
from network_mapper.cli.errors import CliError

_EXAMPLES = [
    ("completion bash > ~/.local/share/bash-completion/completions/network-mapper", "bash 4.4 or newer, for good"),
    ("completion zsh > ~/.zfunc/_network-mapper", "zsh, with ~/.zfunc in fpath before compinit runs"),
    ("completion fish > ~/.config/fish/completions/network-mapper.fish", "fish, for good"),
    ("completion powershell >> $PROFILE", "PowerShell 5.1 or newer, for good"),
]
_NOW = {
    "bash": "source <(network-mapper completion bash)",
    "zsh": "source <(network-mapper completion zsh)",
    "fish": "network-mapper completion fish | source",
    "powershell": "network-mapper completion powershell | Out-String | Invoke-Expression",
}


@click.command(cls=Command, examples=_EXAMPLES)
@click.argument("shell", type=click.Choice(list(_NOW)))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    It completes commands, options, files, formats, the contexts of the kubeconfig, and the namespaces and workloads of
    the map when a mapper answers within 0.3 seconds. To try it in one shell only, do what the script's first line says.
    """
    from network_mapper.cli.commands import COMPLETE_VARIABLE, PROGRAM  # noqa: PLC0415  it imports this module

    kind = get_completion_class(shell)
    if kind is None:
        raise CliError(f"this version of click writes no completion for {shell}. Install a newer one.")
    completion = kind(ctx.find_root().command, {}, PROGRAM, COMPLETE_VARIABLE)
    # Not source(): for bash it starts the bash on PATH to check its version, which need not be the one in use.
    script = completion.source_template % completion.source_vars()
    text = f"# Completion of {PROGRAM} for {shell}. To try it in this shell: {_NOW[shell]}\n{script.strip()}\n"
    click.echo(text.encode(), nl=False)  # bytes: a shell on Windows that reads the script wants no carriage returns
