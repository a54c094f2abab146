"""`network-mapper snapshot`: write what the mapper would read of a cluster."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from network_mapper.cli.command import Command, option
from network_mapper.cli.console import State
from network_mapper.cli.errors import CliError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from network_mapper.cluster.live.once import Reading
    from network_mapper.cluster.write_snapshot import Collected

_EXAMPLES = [
    ("snapshot -o cluster/", "of the current context; then: mapper --snapshot cluster/"),
    ("snapshot --context staging -n shop -n payment -o shop/ --force", "two namespaces, replacing an older snapshot"),
    ("snapshot -o - | gzip > cluster.json.gz", "one document"),
]
_STDOUT = "-"


@click.command(cls=Command, examples=_EXAMPLES)
@option(
    "-o",
    "--output",
    default="cluster-snapshot",
    show_default=True,
    metavar="FOLDER",
    help="Where to write a file for each kind; - prints one document.",
)
@option("--force", is_flag=True, help="Replace a folder that holds another snapshot.")
@option(
    "-n",
    "--namespaces",
    "--namespace",
    "namespaces",
    multiple=True,
    envvar=["NETWORK_MAPPER_NAMESPACES", "NETWORK_MAPPER_NAMESPACE", "OTTERIZE_NAMESPACES"],
    metavar="NAME[,NAME]",
    help="Only this namespace; may be repeated. All by default.",
)
@option(
    "--annotation",
    "annotations",
    multiple=True,
    metavar="KEY",
    help="Keep this annotation too, for a mapper that takes names from it; may be repeated.",
)
@option(
    "--kubeconfig",
    default="",
    metavar="FILE",
    help="The kubeconfig; else $KUBECONFIG, the pod's account, ~/.kube/config.",
)
@option(
    "--context",
    default="",
    metavar="NAME",
    help="Context of the kubeconfig; else its current one.",
)
def command(  # noqa: PLR0917  click passes them by name
    output: str, force: bool, namespaces: Sequence[str], annotations: Sequence[str], kubeconfig: str, context: str
) -> None:
    """Write what the mapper would read of a cluster.

    The result is for `mapper --snapshot`, on another machine or for somebody who looks for a fault. It holds pods,
    services, endpoints, nodes, and the names of what owns pods; of all of them only the fields that the map needs: no
    Secrets, no ConfigMaps, no environment, no annotations but those that name workloads.
    """
    try:
        from network_mapper.cluster import write_snapshot  # noqa: PLC0415  --help needs nothing of a cluster

        _log()
        if output != _STDOUT:
            write_snapshot.check(Path(output), force=force)
        collected = write_snapshot.Collected()
        reading = _read(collected, namespaces, annotations, kubeconfig, context)
        if output == _STDOUT:
            collected.write_list(sys.stdout.buffer)
            sys.stdout.flush()
        else:
            collected.write_folder(Path(output), force=force)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("network_mapper"):
            raise
        raise CliError(
            f"'network-mapper snapshot' needs the package {error.name}, which is not installed. "
            f"Install it with: pip install 'network-mapper[mapper]'"
        ) from error
    except write_snapshot.WriteError as error:
        raise CliError(str(error)) from error
    for line in reading.warnings:
        click.echo(f"Warning: {line}", err=True)
    counts = ", ".join(f"{count} {name}" for name, count in reading.counts.items() if count)
    click.echo(f"Wrote {counts or 'no objects'}{'' if output == _STDOUT else f' to {output}'}.", err=True)


def _log() -> None:
    """What the mapper would log on the way is told as warnings at the end, unless somebody looks for a fault."""
    import logging  # noqa: PLC0415  as above

    if click.get_current_context().find_root().ensure_object(State).debug:
        from network_mapper import logs  # noqa: PLC0415  as above

        logs.setup(debug=True, log_format="text")
    else:
        logging.getLogger("network_mapper").addHandler(logging.NullHandler())


def _read(
    collected: Collected, namespaces: Sequence[str], annotations: Sequence[str], kubeconfig: str, context: str
) -> Reading:
    import asyncio  # noqa: PLC0415  as above

    from network_mapper.cluster.identity import IdentityKeys  # noqa: PLC0415  as above
    from network_mapper.cluster.live.once import read_once  # noqa: PLC0415  as above
    from network_mapper.kube.client import ApiClient  # noqa: PLC0415  as above
    from network_mapper.kube.config import find_access  # noqa: PLC0415  as above
    from network_mapper.kube.errors import ApiError, KubeConfigError  # noqa: PLC0415  as above

    names = list(dict.fromkeys(filter(None, (name.strip() for value in namespaces for name in value.split(",")))))
    usual = IdentityKeys()
    keys = IdentityKeys((*usual.annotations, *annotations), usual.labels)
    progress = _Progress()

    def take(resource: Any, item: Any) -> None:
        collected.add(resource.name, resource.api_version, resource.kind, item)

    async def read() -> Reading:
        client = ApiClient(find_access(kubeconfig, context))
        try:
            return await read_once(client, take, keys=keys, namespaces=names, say=progress.say)
        finally:
            await client.close()

    try:
        return asyncio.run(read())
    except (ApiError, KubeConfigError) as error:
        raise CliError(str(error)) from error
    finally:
        progress.end()


class _Progress:
    """One line on a terminal that says what is being read."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._written = False

    def say(self, name: str, count: int) -> None:
        if self._shown:
            self._written = True
            click.echo(f"\r\x1b[KReading {name}: {count}", err=True, nl=False)

    def end(self) -> None:
        if self._written:
            click.echo("\r\x1b[K", err=True, nl=False)
