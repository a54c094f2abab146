"""Putting an installation in its place: trial, apply, removal of what is left of the former one, wait, and report.

`install` and `upgrade` differ in what must be there before; from then on they are this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from network_mapper import __version__
from network_mapper.cli.console import notice, warn
from network_mapper.cli.deploy import apply, manifests, namespace, remove, rollout, watching
from network_mapper.cli.deploy.apply import Done
from network_mapper.cli.errors import CliError
from network_mapper.cli.progress import progress

if TYPE_CHECKING:
    from network_mapper.cli.deploy.manifests import Options
    from network_mapper.cli.deploy.namespace import Namespace
    from network_mapper.cli.deploy.session import Session

KEPT = "kept"


class Request(msgspec.Struct, frozen=True):
    """What a person asked for.

    Attributes:
        options: What is installed.
        label: Whether the namespace is labelled; None for: if it is ours.
        force: Whether fields of others are taken over.
        dry_run: `none`, `client` or `server`.
        wait: Whether to wait until it runs.
        seconds: For how long.
        output: `text`, `json` or `yaml`.
        kubeconfig: Of the cluster; empty for the usual places.
        context: Of the kubeconfig; empty for its current one.
    """

    options: Options
    label: bool | None
    force: bool
    dry_run: str
    wait: bool
    seconds: float
    output: str
    kubeconfig: str
    context: str


class Document(msgspec.Struct):
    """What was done, for programs.

    Attributes:
        namespace: Of the installation.
        profile: Its profile.
        version: Of the program that is installed.
        previous_version: Of the one that was there before; empty for none.
        dry_run: Whether nothing was really changed.
        objects: What was done with each object.
        parts: The state of the mapper and of the sniffers; empty where it was not waited for.
        problems: What keeps them from running.
        running: Whether everything runs; None where it was not waited for.
        reporting: How many sniffers have reported; None where that is not known.
    """

    namespace: str
    profile: str
    version: str
    previous_version: str
    dry_run: bool
    objects: list[Done]
    parts: list[rollout.Part] = []
    problems: list[str] = []
    running: bool | None = None
    reporting: int | None = None


def print_manifests(items: list[dict[str, Any]], output: str) -> None:
    """Print objects: as YAML, or as one List in JSON."""
    if output == "json":
        whole = {"apiVersion": "v1", "kind": "List", "items": items}
        click.echo(msgspec.json.format(msgspec.json.encode(whole), indent=2).decode())
    else:
        click.echo(manifests.encode(items), nl=False)


def put(
    session: Session, request: Request, name: str, *, former: list[dict[str, Any]], kept: bool, previous: str = ""
) -> None:
    """Install, and report.

    Args:
        session: With the cluster.
        request: What was asked for.
        name: Of the namespace.
        former: Objects of this installation that are there now; those that it has no more are removed.
        kept: Whether volumes with the map are left where they would be removed.
        previous: The version that is there now; empty for none.

    Raises:
        CliError: The cluster refuses, or not everything runs in time.
    """
    items = manifests.objects(request.options, name)
    place = session.run(namespace.look(session.api, name, label=request.label))
    hopeless = place.forbids
    if hopeless:
        warn(hopeless + ".")
    extra = _extra(items, former)
    staying = [item for item in extra if kept and remove.is_data(item)]
    going = remove.order([item for item in extra if item not in staying])
    dry = request.dry_run == "server"
    with progress("applying"):
        done = _applied(session, request, place, items)
        if dry:
            done += [Done.of(item, apply.REMOVED) for item in going]
        else:
            done += session.run(remove.remove(session.api, going))
    done += [Done.of(item, KEPT) for item in staying]
    document = Document(name, request.options.profile, __version__, previous, dry, done)
    if request.output == "text":
        for one in done:
            click.echo(one.line + (" (server dry run)" if dry else ""))
    for text in session.api.warnings:
        if "PodSecurity" not in text:  # told above, with the remedy
            warn(f"the API server remarks: {text}")
    if staying:
        notice("The volume with the map stays; --delete-data removes it.")
    if dry or not request.wait:
        _print(document, request.output)
    if dry:
        return
    if not request.wait:
        if request.output == "text":
            notice(f"See how it comes up: network-mapper status{watching.flags(name)}")
    else:
        _wait(session, request, document, rollout.Rollout(session.api, items, name, _without(hopeless)))
    if hopeless:
        raise CliError(
            f"namespace {name} forbids the sniffers, so its map stays empty; the warning above says what to do. "
            f"'network-mapper upgrade -n {name} --label-namespace' allows and starts them."
        )


def _without(hopeless: str) -> frozenset[str]:
    return frozenset({"sniffers"}) if hopeless else frozenset()


def _key(item: dict[str, Any]) -> tuple[str, str, str]:
    meta = item["metadata"]
    return item["kind"], meta.get("namespace") or "", meta["name"]


def _extra(items: list[dict[str, Any]], former: list[dict[str, Any]]) -> list[dict[str, Any]]:
    wanted = {_key(item) for item in items}
    return [item for item in former if _key(item) not in wanted]


def _applied(session: Session, request: Request, place: Namespace, items: list[dict[str, Any]]) -> list[Done]:
    """Try everything, then apply it; a new namespace is made in between, for nothing can be tried in it before."""
    api, where, force = session.api, session.where, request.force
    first = [place.change] if place.change else []
    # Who asks for the labels wants them, whoever has set others.
    labels = force or bool(request.label)
    absent = "" if place.exists else place.name
    rest = [(item, force) for item in items]
    tried = session.run(apply.try_all(api, [*((item, labels) for item in first), *rest], where, absent=absent))
    if request.dry_run == "server":
        return tried
    done = session.run(apply.apply_all(api, first, where, force=labels))
    if absent:
        session.run(apply.try_all(api, rest, where))
    return done + session.run(apply.apply_all(api, items, where, force=force))


def _wait(session: Session, request: Request, document: Document, waiting: rollout.Rollout) -> None:
    try:
        outcome = watching.wait(session, waiting, request.seconds)
    except KeyboardInterrupt:
        notice(f"What was applied stays. 'network-mapper uninstall{_same(document.namespace)}' removes it.")
        raise
    name = document.namespace
    sniffers = next((part for part in outcome.parts if part.name == "sniffers"), None)
    if outcome.running and sniffers and sniffers.wanted:
        outcome.reporting = watching.first_reports(
            request.kubeconfig, request.context, name, sniffers.wanted, request.seconds
        )
    document.parts, document.problems = outcome.parts, outcome.problems
    document.running, document.reporting = outcome.running, outcome.reporting
    if request.output != "text":
        _print(document, request.output)
    if not outcome.running:
        raise CliError(
            f"not everything runs after {request.seconds:g} s: {outcome.text}. What was applied stays; "
            f"'network-mapper upgrade{_same(name)}' waits again, 'network-mapper uninstall{_same(name)}' removes it."
        )
    if sniffers and not sniffers.wanted:
        warn("no node takes a sniffer, so nothing is watched. 'kubectl get nodes' shows the nodes of the cluster.")
    if request.output == "text":
        heard = "" if outcome.reporting is None or sniffers is None else f", {outcome.reporting} reporting"
        click.echo(f"network-mapper {document.version} runs in namespace {name}: {outcome.text}{heard}.")
        notice(f"See the map: network-mapper list{watching.flags(name)}")


def _same(name: str) -> str:
    return f" -n {name}"


def _print(document: Document, output: str) -> None:
    if output == "text":
        return
    from network_mapper.export import encode  # noqa: PLC0415  one format is loaded, not all

    click.echo(encode.to_json(document) if output == "json" else encode.to_yaml(document), nl=False)
