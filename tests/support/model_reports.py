"""What the model's sniffers, watchers and command line send to a mapper, as they write it.

Requests are plain dictionaries, so that nothing of ours has a say in what they look like.
"""

from __future__ import annotations

import datetime as dt

TYPES = {
    "reportCaptureResults": ("results", "CaptureResults!"),
    "reportTCPCaptureResults": ("results", "CaptureTCPResults!"),
    "reportSocketScanResults": ("results", "SocketScanResults!"),
    "reportKafkaMapperResults": ("results", "KafkaMapperResults!"),
    "reportIstioConnectionResults": ("results", "IstioConnectionResults!"),
    "reportTrafficLevelResults": ("results", "TrafficLevelResults!"),
    "reportAWSOperation": ("operation", "[AWSOperation!]!"),
    "reportAzureOperation": ("operation", "[AzureOperation!]!"),
    "reportGCPOperation": ("operation", "[GCPOperation!]!"),
}

_IDENTITY = """{
  name namespace labels { key value } nameResolvedUsingAnnotation kubernetesService
  podOwnerKind { group version kind }
  resolutionData {
    host podHostname procfsHostname port isService uptime lastSeen extraInfo hasLinkerdSidecar
    tcpDestResolveFixData { isSrcControlPlane resolvedUsingIp }
  }
}"""

INTENTS = f"""query Intents(
  $namespaces: [String!], $includeLabels: [String!], $excludeServiceWithLabels: [String!],
  $includeAllLabels: Boolean, $server: ServerFilter
) {{
  intents(
    namespaces: $namespaces, includeLabels: $includeLabels, excludeServiceWithLabels: $excludeServiceWithLabels,
    includeAllLabels: $includeAllLabels, server: $server
  ) {{
    client {_IDENTITY} server {_IDENTITY} type resolutionData awsActions
    kafkaTopics {{ name operations }} httpResources {{ path methods }}
  }}
}}"""

SERVICE_INTENTS = f"""query ServiceIntents(
  $namespaces: [String!], $includeLabels: [String!], $includeAllLabels: Boolean
) {{
  serviceIntents(namespaces: $namespaces, includeLabels: $includeLabels, includeAllLabels: $includeAllLabels) {{
    client {_IDENTITY} intents {_IDENTITY}
  }}
}}"""


def time(offset: float = 0) -> str:
    """The present, so many seconds later, as Go writes times."""
    now = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=offset)
    return now.strftime("%Y-%m-%dT%H:%M:%S.%f") + "123Z"


def mutation(field: str, value: object) -> dict[str, object]:
    """The body of a report."""
    name, kind = TYPES[field]
    text = f"mutation {field}(${name}: {kind}) {{ {field}({name}: ${name}) }}"
    return {"query": text, "operationName": field, "variables": {name: value}}


def source(ip: str, *destinations: dict[str, object], hostname: str = "") -> dict[str, object]:
    """One client and what it talked to."""
    return {"srcIp": ip, "srcHostname": hostname, "destinations": list(destinations)}


def answer(name: str, ip: str | None = None, *, at: float = 0, ttl: int | None = 30) -> dict[str, object]:
    """A DNS answer, as one of the destinations of a report."""
    return {
        "destination": name,
        "destinationIP": ip,
        "destinationPort": None,
        "TTL": ttl,
        "lastSeen": time(at),
        "srcPorts": None,
    }


def connection(
    ip: str, port: int = 80, *, name: str = "", at: float = 0, ports: tuple[int, ...] = (40112,)
) -> dict[str, object]:
    """A TCP connection, as one of the destinations; `name` is written in the place of the address."""
    return {
        "destination": name or ip,
        "destinationIP": ip,
        "destinationPort": port,
        "TTL": None,
        "lastSeen": time(at),
        "srcPorts": list(ports),
    }


def socket(ip: str, port: int = 80, *, at: float = 0, own: int = 40112) -> dict[str, object]:
    """An open socket, as the model's sniffer sends it: its own port in the place of the server's, and the reverse."""
    return {
        "destination": ip,
        "destinationIP": ip,
        "destinationPort": own,
        "TTL": None,
        "lastSeen": time(at),
        "srcPorts": [port],
    }


def topic(ip: str, namespace: str, pod: str, name: str, operation: str, *, at: float = 0) -> dict[str, object]:
    """An access to a topic, from a broker's log."""
    return {
        "srcIp": ip,
        "serverPodName": pod,
        "serverNamespace": namespace,
        "topic": name,
        "operation": operation,
        "lastSeen": time(at),
    }


def http(
    client: tuple[str, str], server: tuple[str, str], path: str, *methods: str, service: str = "", at: float = 0
) -> dict[str, object]:
    """HTTP requests, from a mesh; the ends are (namespace, canonical name)."""
    return {
        "srcWorkload": client[1],
        "srcWorkloadNamespace": client[0],
        "dstWorkload": server[1],
        "dstServiceName": service,
        "dstWorkloadNamespace": server[0],
        "path": path,
        "methods": list(methods),
        "lastSeen": time(at),
    }
