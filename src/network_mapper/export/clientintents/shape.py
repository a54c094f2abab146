"""ClientIntents as the fields of one version of the resource, in the order in which they are written.

The versions of 2 tell workloads, services and other things apart by the field that a target stands in. Version 1 has a
list of calls, with `svc:` before the name of a service, and here leaves kinds away but where the name alone would mean
several workloads. Fields that the resource requires are there even when they are empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from network_mapper.export.clientintents.model import CloudTarget, InternetTarget, KafkaTarget, ServiceTarget

if TYPE_CHECKING:
    from collections.abc import Iterable

    from network_mapper.export.clientintents.model import Document, Resource, Target

Fields = dict[str, Any]
"""Fields in order; values are texts, numbers, lists and fields."""


def spec(document: Document, version: str) -> Fields:
    """The field `spec`; `version` is a value of `versions.VERSIONS`."""
    home = document.namespace
    who: Fields = {"name": document.workload}
    if version == "v1alpha3":
        if document.twin and document.kind:
            who["kind"] = document.kind
        return {"service": who, "calls": [_call(target, home) for target in document.targets]}
    if document.kind:
        who["kind"] = document.kind
    return {"workload": who, "targets": [_target(target, home) for target in document.targets]}


def _from(home: str, name: str, namespace: str) -> str:
    """The name of a target as its client says it."""
    return name if namespace in {home, ""} else f"{name}.{namespace}"


def _http(resources: Iterable[Resource]) -> list[Fields]:
    return [{"path": resource.name, "methods": list(resource.uses)} for resource in resources]


def _topics(resources: Iterable[Resource]) -> list[Fields]:
    return [{"name": resource.name, "operations": list(resource.uses)} for resource in resources]


def _internet(target: InternetTarget) -> Fields:
    fields: Fields = {"ips" if target.is_address else "domains": [target.name]}
    if target.ports:
        fields["ports"] = list(target.ports)
    return fields


def _target(target: Target, home: str) -> Fields:
    if isinstance(target, InternetTarget):
        return {"internet": _internet(target)}
    if isinstance(target, CloudTarget):
        return {target.provider: _cloud(target)}
    fields: Fields = {"name": _from(home, target.name, target.namespace)}
    if isinstance(target, KafkaTarget):
        if target.topics:
            fields["topics"] = _topics(target.topics)
        return {"kafka": fields}
    is_service = isinstance(target, ServiceTarget)
    if not isinstance(target, ServiceTarget) and target.kind:
        fields["kind"] = target.kind
    if target.http:
        fields["http"] = _http(target.http)
    return {"service" if is_service else "kubernetes": fields}


def _cloud(target: CloudTarget) -> Fields:
    match target.provider:
        case "aws":
            return {"arn": target.name, "actions": list(target.actions)}
        case "gcp":
            return {"resource": target.name, "permissions": list(target.actions)}
    fields: Fields = {"scope": target.name}
    if target.actions:
        fields["actions"] = list(target.actions)
    if target.data_actions:
        fields["dataActions"] = list(target.data_actions)
    return fields


def _call(target: Target, home: str) -> Fields:
    if isinstance(target, InternetTarget):
        return {"type": "internet", "internet": _internet(target)}
    if isinstance(target, CloudTarget):  # Azure's actions have no place here: `convert.Options.azure_actions`
        field = "awsActions" if target.provider == "aws" else "gcpPermissions"
        return {"name": target.name, "type": target.provider, field: list(target.actions)}
    name = _from(home, target.name, target.namespace)
    if isinstance(target, KafkaTarget):
        topics = {"kafkaTopics": _topics(target.topics)} if target.topics else {}
        return {"name": name, "type": "kafka", **topics}
    http = {"type": "http", "HTTPResources": _http(target.http)} if target.http else {}
    if isinstance(target, ServiceTarget):
        return {"name": f"svc:{name}", **http}
    kind = {"kind": target.kind} if target.twin and target.kind else {}
    return {"name": name, **kind, **http}
