"""The objects of an installation: a rendered profile, and what options change in it.

The files in `profiles/` are what `helm template` makes of our chart, to the letter (`tools/profiles.py`, and a test).
There is no second template engine: an option changes decoded objects at the places where they have a namespace, an
image, pull secrets or a port, and tests compare the result with the chart's for the corresponding values.

Three things tell these objects from a Helm release: `managed-by` says who manages them, a label says which
installation they belong to, so that all of them are found again, and an annotation keeps the options for an upgrade.
"""

from __future__ import annotations

import functools
import importlib.resources
from typing import TYPE_CHECKING, Any, Final

import msgspec

from network_mapper.cli.deploy import image
from network_mapper.cli.deploy.names import NAMESPACE
from network_mapper.cli.deploy.resources import place, resource_of

if TYPE_CHECKING:
    from collections.abc import Iterator

MANAGER: Final = "network-mapper"

_APP: Final = "app.kubernetes.io/"
MANAGED_BY: Final = _APP + "managed-by"
PART_OF: Final = _APP + "part-of"
COMPONENT: Final = _APP + "component"
INSTANCE: Final = _APP + "instance"
VERSION: Final = _APP + "version"
INSTALLATION: Final = "network-mapper.io/installation"
"""Label of every object: the namespace of the installation it belongs to."""
OPTIONS: Final = "network-mapper.io/options"
"""Annotation of the mapper's Deployment: the options that were installed, as JSON."""
_HEALTH_VARIABLE: Final = "NETWORK_MAPPER_HEALTH_PORT"

Object = dict[str, Any]


class Options(msgspec.Struct, frozen=True, omit_defaults=True):
    """What distinguishes one installation from another.

    Attributes:
        profile: One of `names.PROFILES`.
        image: `REPOSITORY[:TAG][@DIGEST]` in place of the profile's image; empty for that. Without a tag and a digest
            it is the tag of this version.
        pull_secrets: Names of secrets with credentials of the registry.
        health_port: Port of the sniffers' health on every node; 0 for the profile's.
    """

    profile: str = "default"
    image: str = ""
    pull_secrets: tuple[str, ...] = ()
    health_port: int = 0


def profile_text(name: str) -> str:
    """The file of a profile."""
    folder = importlib.resources.files(__package__).joinpath("profiles")
    return folder.joinpath(f"{name}.yaml").read_text(encoding="utf-8")


def decode(text: str) -> list[Object]:
    """The objects of a YAML text, without empty documents."""
    import yaml  # noqa: PLC0415  30 ms that only those pay who install

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [item for item in yaml.load_all(text, Loader=loader) if item]


def encode(items: list[Object]) -> str:
    """Objects as documents of YAML, in their order."""
    import yaml  # noqa: PLC0415  as above

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    pieces = (yaml.dump(item, Dumper=dumper, sort_keys=False, width=1000) for item in items)  # a safe dumper
    return "".join(f"---\n{piece}" for piece in pieces)


def objects(options: Options, namespace: str) -> list[Object]:
    """The objects of an installation, in the order in which they are applied."""
    items = as_charted(options, namespace)
    for item in items:
        meta = item["metadata"]
        labels = meta.setdefault("labels", {})
        labels.pop("helm.sh/chart", None)
        labels[MANAGED_BY] = MANAGER
        labels[INSTALLATION] = namespace
        if item["kind"] == "Deployment":
            meta.setdefault("annotations", {})[OPTIONS] = msgspec.json.encode(options).decode()
    return items


def as_charted(options: Options, namespace: str) -> list[Object]:
    """The objects as the chart would make them for these options and this namespace."""
    items = sorted(decode(profile_text(options.profile)), key=place)
    if namespace != NAMESPACE:
        _move(items, namespace)
    for item in items:
        template = _template(item)
        if template is None:
            continue
        if options.image:
            _set_image(template["spec"], options.image)
        if options.pull_secrets:
            template["spec"]["imagePullSecrets"] = [{"name": name} for name in options.pull_secrets]
        if options.health_port and item["kind"] == "DaemonSet":
            _set_health_port(template["spec"], options.health_port)
    return items


# The namespace


def _move(items: list[Object], namespace: str) -> None:
    """Let objects be those of another namespace, wherever the chart writes it."""
    renamed: dict[str, str] = {}
    for item in items:
        meta = item["metadata"]
        if resource_of(item).namespaced:
            meta["namespace"] = namespace
        else:
            # What belongs to the whole cluster is called NAME.NAMESPACE.
            old = meta["name"]
            renamed[old] = meta["name"] = f"{old.removesuffix(f'.{NAMESPACE}')}.{namespace}"
    for item in items:
        for subject in item.get("subjects") or ():
            subject["namespace"] = namespace
        if reference := item.get("roleRef"):
            reference["name"] = renamed.get(reference["name"], reference["name"])
        for rule in item.get("rules") or ():
            if names := rule.get("resourceNames"):
                rule["resourceNames"] = [renamed.get(name, name) for name in names]
        if (template := _template(item)) is not None:
            pod = template["spec"]
            if priority := pod.get("priorityClassName"):
                pod["priorityClassName"] = renamed.get(priority, priority)
            for variable in _variables(pod):
                if "value" in variable:
                    variable["value"] = variable["value"].replace(f".{NAMESPACE}.svc", f".{namespace}.svc")


def _template(item: Object) -> Object | None:
    """The pod template of a Deployment or DaemonSet."""
    return item["spec"]["template"] if item["kind"] in ("Deployment", "DaemonSet") else None


def _variables(pod: Object) -> Iterator[Object]:
    for container in _containers(pod):
        yield from container.get("env") or ()


def _containers(pod: Object) -> Iterator[Object]:
    yield from pod.get("initContainers") or ()
    yield from pod["containers"]


# The image


def _set_image(pod: Object, wanted: str) -> None:
    repository, tag, digest = image.split(wanted)
    for container in _containers(pod):
        _, usual, _ = image.split(container["image"])
        # As in the chart: where there is a digest, it alone decides.
        container["image"] = f"{repository}@{digest}" if digest else f"{repository}:{tag or usual}"


# The port of the sniffers' health


def _set_health_port(pod: Object, port: int) -> None:
    for variable in _variables(pod):
        if variable["name"] == _HEALTH_VARIABLE:
            address, colon, _ = variable["value"].rpartition(":")
            variable["value"] = f"{address}{colon}{port}"
    for container in _containers(pod):
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if probe in container:
                container[probe]["httpGet"]["port"] = port


def health_port(item: Object) -> int:
    """The port of the sniffers' health that a DaemonSet names; 0 for none."""
    for variable in _variables(item["spec"]["template"]["spec"]):
        if variable["name"] == _HEALTH_VARIABLE:
            port = str(variable.get("value") or "").rpartition(":")[2]
            return int(port) if port.isdigit() else 0
    return 0


@functools.cache
def kinds(profile: str) -> frozenset[str]:
    """The kinds of the objects of a profile."""
    return frozenset(item["kind"] for item in decode(profile_text(profile)))
