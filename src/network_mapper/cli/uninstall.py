"""`network-mapper uninstall`: remove what `network-mapper install` has made."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from network_mapper.cli.command import Command, option, output_option
from network_mapper.cli.console import notice
from network_mapper.cli.deploy.names import NAMESPACE
from network_mapper.cli.deploy.options import cluster_options, wait_options
from network_mapper.cli.errors import CliError
from network_mapper.cli.upgrade import choose

if TYPE_CHECKING:
    from collections.abc import Sequence

    from network_mapper.cli.deploy.session import Session

_EXAMPLES = [
    ("uninstall", "shows what will be removed, and asks"),
    ("uninstall --yes --delete-data --delete-namespace", "everything, the map on its volume too, in a script"),
]
_POLL = 0.5


def _others(pods: Sequence[dict[str, Any]]) -> list[str]:
    """Names of pods of a namespace that are not ours."""
    part_of = "app.kubernetes.io/part-of"
    return sorted(
        pod["metadata"]["name"]
        for pod in pods
        if (pod["metadata"].get("labels") or {}).get(part_of) != "network-mapper"
        and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
    )


def _removable(session: Session, name: str) -> dict[str, Any] | None:
    """The namespace, where this command may remove it; None where it is gone.

    Raises:
        CliError: Somebody else made it, or uses it.
    """
    from network_mapper.cli.deploy import manifests, resources  # noqa: PLC0415  --help needs nothing of a cluster

    found = session.run(session.api.get(resources.NAMESPACE.path(name=name)))
    if found is None or found["metadata"].get("deletionTimestamp"):
        return None
    if (found["metadata"].get("labels") or {}).get(manifests.MANAGED_BY) != manifests.MANAGER:
        raise CliError(
            f"namespace {name} was not made by 'network-mapper install', so it is not removed. Leave out "
            f"--delete-namespace, and remove it with 'kubectl delete namespace {name}' if nobody needs it."
        )
    pods = session.run(session.api.list(resources.POD.path(name)))
    if others := _others(pods):
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        raise CliError(
            f"namespace {name} has pods of others ({', '.join(others[:3])}{more}), which would go with it. Leave out "
            "--delete-namespace, or remove them first."
        )
    return found


def _ask(items: Sequence[dict[str, Any]], kept: Sequence[dict[str, Any]], name: str, where: str) -> None:
    """Show what will be removed, and ask.

    Raises:
        CliError: The answer is no.
    """
    from network_mapper.cli.deploy import resources  # noqa: PLC0415  as above

    lines = [f"  {resources.title_of(item)}" for item in items]
    stays = "".join(f"\n  {resources.title_of(item)} stays, with the map (--delete-data)" for item in kept)
    click.echo(f"In {where}, for the installation in namespace {name}:\n" + "\n".join(lines) + stays, err=True)
    if not click.confirm(f"Remove {len(items)} object{'s' if len(items) != 1 else ''}?", err=True):
        raise CliError("nothing was removed.")


def _wait(session: Session, items: Sequence[dict[str, Any]], name: str, seconds: float) -> None:
    """Wait until all of it is gone.

    Raises:
        CliError: It is not gone in time.
    """
    from network_mapper.cli.deploy import remove  # noqa: PLC0415  as above
    from network_mapper.cli.progress import progress  # noqa: PLC0415  as above

    deadline = time.monotonic() + seconds
    with progress("waiting until it is gone") as line:
        while left := session.run(remove.left(session.api, items, name)):
            if time.monotonic() >= deadline:
                shown = ", ".join(left[:5]) + (", …" if len(left) > 5 else "")
                raise CliError(
                    f"still there after {seconds:g} s: {shown}. They go when their nodes and controllers answer; "
                    f"'kubectl -n {name} get all' shows them."
                )
            line.update(f"waiting until it is gone: {len(left)} left")
            time.sleep(_POLL)


@click.command(cls=Command, examples=_EXAMPLES)
@option("-y", "--yes", is_flag=True, help="Do not ask.")
@option("--delete-data", is_flag=True, help="Remove the volume with the map too.")
@option("--delete-namespace", is_flag=True, help="Remove the namespace too, if 'install' made it and nobody uses it.")
@wait_options("2m")
@output_option("text", "json", "yaml")
@cluster_options("Namespace of the installation; else it is looked for in all.")
def command(  # noqa: PLR0917  click passes them by name
    yes: bool,
    delete_data: bool,
    delete_namespace: bool,
    wait: bool,
    timeout: int,
    output: str,
    namespace: str,
    kubeconfig: str,
    context: str,
) -> None:
    """Remove what install has made.

    It shows what that is and asks. The volume with the map and the namespace stay unless their removal is asked for.
    What Helm installed is Helm's to remove.
    """
    from network_mapper.cli.deploy import find, manifests, remove  # noqa: PLC0415  --help needs nothing of a cluster
    from network_mapper.cli.deploy.apply import Done  # noqa: PLC0415  likewise
    from network_mapper.cli.deploy.session import Session  # noqa: PLC0415  likewise

    with Session(kubeconfig, context) as session:
        found = session.run(find.installations(session.api, namespace or NAMESPACE))
        here = choose(found, namespace, session.where, "uninstall")
        name = here.namespace if here else namespace or NAMESPACE
        profile = here.options.profile if here and here.options else "default"
        needed = manifests.kinds(profile) | ({"PersistentVolumeClaim"} if delete_data else frozenset())
        everything = session.run(find.objects(session.api, name, needed if here else frozenset()))
        kept = [item for item in everything if remove.is_data(item) and not delete_data]
        items = remove.order([item for item in everything if item not in kept])
        if delete_namespace and (own := _removable(session, name)):
            items.append(own)
        if not items:
            _nothing(namespace, session.where, output, len(kept))
            return
        if not yes:
            if not sys.stdin.isatty():
                raise CliError("uninstall asks before it removes anything, but there is no terminal. Give --yes.")
            _ask(items, kept, name, session.where)
        done = session.run(remove.remove(session.api, items))
        done += [Done.of(item, "kept") for item in kept]
        if output == "text":
            for one in done:
                click.echo(one.line)
        if wait:
            _wait(session, items, name, timeout / 1000)
        if output != "text":
            _print(name, done, output)
        elif kept:
            notice("The volume with the map stays; 'network-mapper uninstall --delete-data' removes it.")


def _nothing(namespace: str, where: str, output: str, kept: int) -> None:
    if output == "text":
        place = f"namespace {namespace}" if namespace else "any namespace"
        click.echo(f"network-mapper is not installed in {place} of {where}; nothing was removed.")
        if kept:
            notice("A volume with a map is left; 'network-mapper uninstall --delete-data' removes it.")
    else:
        _print(namespace, [], output)


def _print(name: str, done: list[Any], output: str) -> None:
    from network_mapper.cli.deploy.apply import Removed  # noqa: PLC0415  as above
    from network_mapper.export import encode  # noqa: PLC0415  one format is loaded, not all

    document = Removed(name, done)
    click.echo(encode.to_json(document) if output == "json" else encode.to_yaml(document), nl=False)
