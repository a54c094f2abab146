"""What a mutation brings, as typed messages: the inputs of `schema.graphql` in the form in which they decode fastest.

They are strict: whatever GraphQL would have to coerce (one value for a list of one, a number for a text) does not
decode here, and is coerced first (`coerce`). Unknown fields are errors in GraphQL, so they are errors here.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

Int = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
HttpMethod = Literal["GET", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT", "ALL"]


def _camel(name: str) -> str:
    """`src_ip` to `srcIp`."""
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)


class Input(msgspec.Struct, rename=_camel, forbid_unknown_fields=True, gc=False):
    """A message with the model's field names."""


class Destination(Input):
    """An address or a name, and when it was last seen. The times are read later (`times`)."""

    destination: str
    last_seen: str
    destination_ip: str | None = msgspec.field(name="destinationIP", default=None)
    destination_port: Int | None = None
    ttl: Int | None = msgspec.field(name="TTL", default=None)
    src_ports: list[Int] | None = None


class Source(Input):
    """`RecordedDestinationsForSrc`."""

    src_ip: str
    src_hostname: str
    destinations: list[Destination]


class Capture(Input):
    """`CaptureResults`, `CaptureTCPResults` and `SocketScanResults`."""

    results: list[Source]


class KafkaResult(Input):
    """`KafkaMapperResult`."""

    src_ip: str
    server_pod_name: str
    server_namespace: str
    topic: str
    operation: str
    last_seen: str


class KafkaResults(Input):
    """`KafkaMapperResults`."""

    results: list[KafkaResult]


class IstioConnection(Input):
    """`IstioConnection`."""

    src_workload: str
    src_workload_namespace: str
    dst_workload: str
    dst_service_name: str
    dst_workload_namespace: str
    path: str
    methods: list[HttpMethod]
    last_seen: str


class IstioResults(Input):
    """`IstioConnectionResults`."""

    results: list[IstioConnection]


class NamespacedName(Input):
    """`NamespacedName`."""

    name: str
    namespace: str


class AwsOperation(Input):
    """`AWSOperation`."""

    resource: str
    actions: list[str]
    src_ip: str | None = None
    iam_role: str | None = None
    client: NamespacedName | None = None


class GcpOperation(Input):
    """`GCPOperation`."""

    resource: str
    permissions: list[str]
    src_ip: str | None = None
    client: NamespacedName | None = None


class AzureOperation(Input):
    """`AzureOperation`."""

    scope: str
    actions: list[str]
    data_actions: list[str]
    client_name: str
    client_namespace: str


class TrafficLevel(Input):
    """`TrafficLevelResult`."""

    src_ip: str = msgspec.field(name="srcIP")
    dst_ip: str = msgspec.field(name="dstIP")
    bytes_sent: Int
    flows: Int


class TrafficLevels(Input):
    """`TrafficLevelResults`."""

    results: list[TrafficLevel]


ARGUMENTS: Final = {
    "reportCaptureResults": ("results", "CaptureResults!", Capture),
    "reportTCPCaptureResults": ("results", "CaptureTCPResults!", Capture),
    "reportSocketScanResults": ("results", "SocketScanResults!", Capture),
    "reportKafkaMapperResults": ("results", "KafkaMapperResults!", KafkaResults),
    "reportIstioConnectionResults": ("results", "IstioConnectionResults!", IstioResults),
    "reportAWSOperation": ("operation", "[AWSOperation!]!", list[AwsOperation]),
    "reportAzureOperation": ("operation", "[AzureOperation!]!", list[AzureOperation]),
    "reportGCPOperation": ("operation", "[GCPOperation!]!", list[GcpOperation]),
    "reportTrafficLevelResults": ("results", "TrafficLevelResults!", TrafficLevels),
}
"""For each reporting mutation its argument: name, type in the schema, type here."""
