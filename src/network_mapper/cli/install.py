"""`network-mapper install`: put mapper and sniffers into a cluster, without Helm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from network_mapper.cli.command import Command, option, output_option
from network_mapper.cli.deploy.names import NAMESPACE
from network_mapper.cli.deploy.options import chosen, cluster_options, content_options, wait_options
from network_mapper.cli.errors import CliError

if TYPE_CHECKING:
    from network_mapper.cli.deploy.find import Installation
    from network_mapper.cli.deploy.manifests import Options

_EXAMPLES = [
    ("install", "into namespace network-mapper of the current context, and wait until it runs"),
    ("install --profile persistent --context staging", "with the map on a volume, in another cluster"),
    ("install --dry-run=client > network-mapper.yaml", "the manifests, to look at or to apply with kubectl"),
    ("install --image registry.example.com/network-mapper --image-pull-secret my-registry", "from a registry of yours"),
]


def refuse_others(found: list[Installation], namespace: str, where: str, *, allow_second: bool) -> None:
    """Refuse to install beside or over something else.

    Raises:
        CliError: There is something; the message says what to do.
    """
    here = next((one for one in found if one.namespace == namespace), None)
    others = [one for one in found if one.namespace != namespace]
    if here and not here.ours:
        raise CliError(f"{_is_there(here, where)}. {_instead(here)}")
    if others and not here and not allow_second:
        raise CliError(
            f"{_is_there(others[0], where)}. A second one watches every connection once more on every node, both want "
            "the same port for the sniffers' health, and other commands need --mapper-namespace to choose. Remove the "
            "first one, or add --allow-second --sniffer-health-port PORT (19592, for example)."
        )


def _is_there(one: Installation, where: str) -> str:
    return f"network-mapper is in namespace {one.namespace} of {where} already, installed {one.by}"


def _instead(one: Installation) -> str:
    if one.manager == "Helm":
        return (
            f"Change it with 'helm upgrade {one.release} … -n {one.namespace}', or remove it with "
            f"'helm uninstall {one.release} -n {one.namespace}' first."
        )
    return "Change it in the way in which it was installed, or remove it first."


def _refuse_change(here: Installation, options: Options, version: str) -> None:
    """Let nothing be changed by a second `install` that `upgrade` should do, where it is seen to be meant."""
    upgrade = f"'network-mapper upgrade -n {here.namespace}"
    if here.version not in ("", version):
        raise CliError(
            f"version {here.version} is in namespace {here.namespace} already. {upgrade}' makes it {version}."
        )
    if here.version and here.options != options:
        raise CliError(
            f"it is in namespace {here.namespace} already, with other options (profile "
            f"{here.options.profile if here.options else 'default'}). {upgrade} …' changes them."
        )


@click.command(cls=Command, examples=_EXAMPLES)
@content_options
@option("--allow-second", is_flag=True, help="Install although the cluster has another installation.")
@wait_options("5m")
@output_option("text", "json", "yaml")
@cluster_options(f"Namespace to install into, which is made where it does not exist; else {NAMESPACE}.")
def command(  # noqa: PLR0917  click passes them by name
    profile: str | None,
    image: str | None,
    image_pull_secrets: tuple[str, ...],
    health_port: int | None,
    label_namespace: bool | None,
    force_conflicts: bool,
    dry_run: str,
    allow_second: bool,
    wait: bool,
    timeout: int,
    output: str,
    namespace: str,
    kubeconfig: str,
    context: str,
) -> None:
    """Put mapper and sniffers into a cluster, without Helm.

    What is applied is what the Helm chart makes of its default values, or of those of another profile. Everything is
    tried before the first object is made, so a missing right or a rule of the cluster changes nothing. A pod that does
    not start is told of, with the reason and what to do.

    docs/install.md lists the rights that this takes. Where Helm is at hand, the chart can set more.
    """
    from network_mapper.cli.deploy import manifests, place  # noqa: PLC0415  --help needs nothing of a cluster

    options = chosen(profile, image, image_pull_secrets, health_port)
    name = namespace or NAMESPACE
    if dry_run == "client":
        from network_mapper.cli.deploy.namespace import new  # noqa: PLC0415  as above

        first = new(name, label=label_namespace is not False)
        place.print_manifests([first, *manifests.objects(options, name)], output)
        return
    from network_mapper import __version__  # noqa: PLC0415  as above
    from network_mapper.cli.deploy import find  # noqa: PLC0415  as above
    from network_mapper.cli.deploy.session import Session  # noqa: PLC0415  as above

    with Session(kubeconfig, context) as session:
        found = session.run(find.installations(session.api, name))
        refuse_others(found, name, session.where, allow_second=allow_second)
        find.refuse_port(found, name, options)
        here = next((one for one in found if one.namespace == name), None)
        if here:
            _refuse_change(here, options, __version__)
        request = place.Request(
            options, label_namespace, force_conflicts, dry_run, wait, timeout / 1000, output, kubeconfig, context
        )
        place.put(session, request, name, former=[], kept=True)
