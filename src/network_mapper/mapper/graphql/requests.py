"""What watchers say that ends asked of each other: topics, paths and calls of a cloud's API, to rows of our report.

A request whose name is known but not its action (a path with no method that the schema knows) has an empty action, so
that the name is not lost.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from network_mapper.mapper.graphql.times import milliseconds
from network_mapper.model import Drop
from network_mapper.wire import party
from network_mapper.wire.report import Request

if TYPE_CHECKING:
    from network_mapper.mapper.graphql.inputs import (
        AwsOperation,
        AzureOperation,
        GcpOperation,
        IstioResults,
        KafkaResults,
    )
    from network_mapper.mapper.graphql.sightings import Batch

KAFKA_OPERATIONS: Final = {
    "read": "CONSUME",
    "write": "PRODUCE",
    "create": "CREATE",
    "delete": "DELETE",
    "alter": "ALTER",
    "describe": "DESCRIBE",
    "clusteraction": "CLUSTER_ACTION",
    "describeconfigs": "DESCRIBE_CONFIGS",
    "alterconfigs": "ALTER_CONFIGS",
    "idempotentwrite": "IDEMPOTENT_WRITE",
}
"""From a broker's log, in lower case, to the schema's words."""

_MINUTE = 60_000
_LONGEST = 4096
_LONGEST_ACTION = 1024
_NAME = re.compile(r"[A-Za-z0-9](?:[-_A-Za-z0-9.]{0,251}[A-Za-z0-9])?", re.ASCII)


class Requests:
    """Folds the requests of a batch: equal ones of a minute become one row with a count.

    Not those of other minutes: a time that makes no sense must not take the rows beside it along.
    """

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._held: dict[tuple[str, str, str, str, str, str, int], Request] = {}

    def add(self, client: str, request: Request) -> None:
        """Add one sighting."""
        minute = (self._batch.base + request.last) // _MINUTE
        key = (client, request.server, request.protocol, request.name, request.action, request.service, minute)
        held = self._held.get(key)
        if held is None:
            self._held[key] = request
            self._batch.client(client).requests.append(request)
            return
        held.count += request.count
        held.first = min(held.first, request.first)
        held.last = max(held.last, request.last)


def kafka(report: KafkaResults, batch: Batch) -> None:
    """Accesses to topics.

    Raises:
        TimeError: A time is none.
    """
    requests = Requests(batch)
    for item in report.results:
        seen = milliseconds(item.last_seen) - batch.base
        client = batch.source(item.src_ip, "", 1)
        if client is None:
            continue
        server = _named(party.POD, item.server_namespace, item.server_pod_name)
        operation = KAFKA_OPERATIONS.get(item.operation.lower())
        if server is None or operation is None or not 0 < len(item.topic) <= _LONGEST:
            batch.drops.add(Drop.ROW_MALFORMED)
            continue
        requests.add(client, Request(server, "kafka", item.topic, operation, 1, seen, seen))


def http(report: IstioResults, batch: Batch) -> None:
    """HTTP requests of a mesh, whose ends are known by the label that Istio gives its workloads.

    Raises:
        TimeError: A time is none.
    """
    requests = Requests(batch)
    for item in report.results:
        seen = milliseconds(item.last_seen) - batch.base
        methods: list[str] = [*item.methods] or [""]
        client = _named(party.APPLICATION, item.src_workload_namespace, item.src_workload)
        server = _named(party.APPLICATION, item.dst_workload_namespace, item.dst_workload)
        service = item.dst_service_name
        if client is None or server is None or not 0 < len(item.path) <= _LONGEST:
            batch.drops.add(Drop.ROW_MALFORMED, len(methods))
            continue
        # What is no name of a Service (a host outside, for one) says nothing about a Service; the rest still holds.
        via = f"{item.dst_workload_namespace}/{service}" if _NAME.fullmatch(service) else ""
        for method in methods:
            requests.add(client, Request(server, "http", item.path, method, 1, seen, seen, via))


def aws(report: list[AwsOperation], batch: Batch) -> None:
    """Calls of the AWS API, as of now."""
    calls = _Calls(batch, "aws")
    for item in report:
        actions = [("actions", action) for action in item.actions]
        if item.iam_role:
            actions.append(("iamRole", item.iam_role))
        actions = actions or [("actions", "")]
        calls.add(_caller(batch, item, len(actions)), item.resource, actions)


def gcp(report: list[GcpOperation], batch: Batch) -> None:
    """Calls of the Google Cloud API, as of now."""
    calls = _Calls(batch, "gcp")
    for item in report:
        actions = [("permissions", permission) for permission in item.permissions] or [("permissions", "")]
        calls.add(_caller(batch, item, len(actions)), item.resource, actions)


def azure(report: list[AzureOperation], batch: Batch) -> None:
    """Calls of the Azure API, as of now."""
    calls = _Calls(batch, "azure")
    for item in report:
        actions = [("actions", action) for action in item.actions]
        actions += [("dataActions", action) for action in item.data_actions]
        client = _named(party.WORKLOAD, item.client_namespace, item.client_name)
        if client is None:
            batch.drops.add(Drop.ROW_MALFORMED, max(1, len(actions)))
        calls.add(client, item.scope, actions or [("actions", "")])


class _Calls:
    """Calls of a cloud's API."""

    def __init__(self, batch: Batch, protocol: str) -> None:
        self._requests = Requests(batch)
        self._drops = batch.drops
        self._protocol = protocol

    def add(self, client: str | None, resource: str, actions: list[tuple[str, str]]) -> None:
        """Add the actions on one resource; without a client they are counted already."""
        if client is None:
            return
        server = party.external(resource)
        for name, action in actions:
            if not resource or len(server) > _LONGEST or len(action) > _LONGEST_ACTION:
                self._drops.add(Drop.ROW_MALFORMED)
            else:
                self._requests.add(client, Request(server, self._protocol, name, action, 1, 0, 0))


def _caller(batch: Batch, item: AwsOperation | GcpOperation, rows: int) -> str | None:
    """The client that is named, else the one at the address; None, with its rows counted, where neither is given."""
    named = item.client
    if named is None and item.src_ip:
        return batch.source(item.src_ip, "", rows)
    client = _named(party.WORKLOAD, named.namespace, named.name) if named is not None else None
    if client is None:
        batch.drops.add(Drop.ROW_MALFORMED, rows)
    return client


def _named(kind: str, namespace: str, name: str) -> str | None:
    """The party of an object; None for what can be no object's name."""
    return party.write(kind, namespace, name) if _NAME.fullmatch(namespace) and _NAME.fullmatch(name) else None
