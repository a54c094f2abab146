"""What ClientIntents say, whatever the version of the resource.

Names of workloads and services are as these resources have them (`names.shown`). A target's namespace is kept beside
its name and not inside; `shape` puts the two together as the client says them.
"""

from __future__ import annotations

import msgspec

GROUP = "k8s.otterize.com"
KIND = "ClientIntents"


class Resource(msgspec.Struct, frozen=True):
    """A path with methods, or a topic with operations; these are sorted, and in the words of the resource."""

    name: str
    uses: tuple[str, ...]


class KubernetesTarget(msgspec.Struct, frozen=True):
    """A workload.

    Attributes:
        name: Its name.
        namespace: Its namespace.
        kind: Its kind; empty where it is not known.
        twin: Whether its name and namespace belong to workloads of other kinds too.
        http: The paths that are asked for, sorted.
    """

    name: str
    namespace: str
    kind: str
    twin: bool = False
    http: tuple[Resource, ...] = ()


class ServiceTarget(msgspec.Struct, frozen=True):
    """A Kubernetes Service, with the paths that are asked for, sorted."""

    name: str
    namespace: str
    http: tuple[Resource, ...] = ()


class KafkaTarget(msgspec.Struct, frozen=True):
    """A Kafka server, with its topics, sorted."""

    name: str
    namespace: str
    topics: tuple[Resource, ...] = ()


class CloudTarget(msgspec.Struct, frozen=True):
    """Something in a cloud, with what is done to it, sorted.

    Attributes:
        provider: `aws`, `gcp` or `azure`.
        name: Amazon Resource Name, Google's resource, or Azure's scope.
        actions: AWS and Azure actions, Google's permissions.
        data_actions: Azure's data actions.
    """

    provider: str
    name: str
    actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()


class InternetTarget(msgspec.Struct, frozen=True):
    """Something outside the cluster.

    Attributes:
        name: A domain, an address or a block of addresses (CIDR).
        is_address: Whether it is one of the latter two.
        ports: That were dialled, sorted; empty where only the name was looked up.
    """

    name: str
    is_address: bool
    ports: tuple[int, ...] = ()


Target = KubernetesTarget | ServiceTarget | KafkaTarget | CloudTarget | InternetTarget


class Document(msgspec.Struct, frozen=True):
    """The intents of one client.

    Attributes:
        name: Of the resource: a name that Kubernetes takes, which no other document of the namespace has.
        namespace: Of the client.
        workload: The client's name.
        kind: Its kind; empty where it is not known.
        twin: As in `KubernetesTarget`.
        targets: What it calls, sorted by name, then namespace; never empty.
    """

    name: str
    namespace: str
    workload: str
    kind: str
    twin: bool
    targets: tuple[Target, ...]
