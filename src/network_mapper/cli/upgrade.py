"""`network-mapper upgrade`: bring an installation to this version, or to other options."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from network_mapper.cli.command import Command, option, output_option
from network_mapper.cli.console import notice
from network_mapper.cli.deploy.options import chosen, cluster_options, content_options, wait_options
from network_mapper.cli.errors import CliError

if TYPE_CHECKING:
    from network_mapper.cli.deploy.find import Installation

_EXAMPLES = [
    ("upgrade", "bring what is installed to the version of this program"),
    ("upgrade --profile persistent", "from now on with the map on a volume"),
    ("upgrade --dry-run=server", "what would change"),
]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version.partition("+")[0])[:3])


def choose(found: list[Installation], namespace: str, where: str, verb: str) -> Installation | None:
    """The installation that is meant; None for none.

    Args:
        found: All that are known.
        namespace: That was named; empty for any.
        where: How messages name the cluster.
        verb: Helm's command for the same.

    Raises:
        CliError: It is not ours, or several could be meant.
    """
    here = [one for one in found if one.namespace == namespace] if namespace else found
    ours = [one for one in here if one.ours]
    if len(ours) > 1:
        places = ", ".join(one.namespace for one in ours)
        raise CliError(f"there are installations in several namespaces of {where}: {places}. Choose one with -n.")
    if here and not ours:
        one = here[0]
        how = f"Use 'helm {verb} {one.release} -n {one.namespace}'" if one.manager == "Helm" else "Do it in that way"
        raise CliError(f"network-mapper in namespace {one.namespace} of {where} was installed {one.by}. {how}.")
    return ours[0] if ours else None


@click.command(cls=Command, examples=_EXAMPLES)
@content_options
@option("--delete-data", is_flag=True, help="Remove the volume with the map where the new profile has none.")
@option("--allow-downgrade", is_flag=True, help="Replace a newer version by this older one.")
@wait_options("5m")
@output_option("text", "json", "yaml")
@cluster_options("Namespace of the installation; else it is looked for in all.")
def command(  # noqa: PLR0917  click passes them by name
    profile: str | None,
    image: str | None,
    image_pull_secrets: tuple[str, ...],
    health_port: int | None,
    label_namespace: bool | None,
    force_conflicts: bool,
    dry_run: str,
    delete_data: bool,
    allow_downgrade: bool,
    wait: bool,
    timeout: int,
    output: str,
    namespace: str,
    kubeconfig: str,
    context: str,
) -> None:
    """Bring an installation to this version, or to other options.

    The version is that of the program that runs the command. Options that are not given stay as they were installed; of
    an image of your own the repository stays, with the tag of the new version. What the installation does not have any
    more is removed, but never the volume with the map unless --delete-data is given.
    """
    from network_mapper import __version__  # noqa: PLC0415  --help needs nothing of a cluster
    from network_mapper.cli.deploy import find, manifests, place  # noqa: PLC0415  likewise
    from network_mapper.cli.deploy.names import NAMESPACE  # noqa: PLC0415  likewise
    from network_mapper.cli.deploy.session import Session  # noqa: PLC0415  likewise

    with Session(kubeconfig, context) as session:
        found = session.run(find.installations(session.api, namespace or NAMESPACE))
        here = choose(found, namespace, session.where, "upgrade")
        if here is None:
            where = f"namespace {namespace}" if namespace else "any namespace"
            raise CliError(
                f"network-mapper is not installed in {where} of {session.where}. 'network-mapper install' installs it."
            )
        options = chosen(profile, image, image_pull_secrets, health_port, here.options)
        if dry_run == "client":
            place.print_manifests(manifests.objects(options, here.namespace), output)
            return
        if _numbers(here.version) > _numbers(__version__) and not allow_downgrade:
            raise CliError(
                f"namespace {here.namespace} has version {here.version}, which is newer than this program "
                f"({__version__}), and may keep its map in a form that this one cannot read. Upgrade with the newer "
                "program, or give --allow-downgrade."
            )
        find.refuse_port(found, here.namespace, options)
        kinds = manifests.kinds(options.profile) | manifests.kinds(here.options.profile if here.options else "default")
        former = session.run(find.objects(session.api, here.namespace, kinds))
        if here.version and here.version != __version__:
            notice(f"Upgrading from version {here.version} to {__version__}.")
        request = place.Request(
            options, label_namespace, force_conflicts, dry_run, wait, timeout / 1000, output, kubeconfig, context
        )
        place.put(session, request, here.namespace, former=former, kept=not delete_data, previous=here.version)
