"""What is read of the API: resources, their paths, and the grant that lets somebody read them."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

import msgspec

from network_mapper.cluster import installation, objects

METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
"""Accept header of a list of which only metadata matters; a server that cannot do that sends the whole objects."""
METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
"""The same for a watch, whose events hold one object each."""

VERBS: Final = ("get", "list", "watch")
"""What is granted; `get` shows nothing that `list` does not, and people who look for a fault have it too."""

NEVER_READ: Final = frozenset({"Secret", "ConfigMap"})
"""Kinds that are not read even where they own something: their metadata is not worth asking for such a right."""


class Resource(msgspec.Struct, frozen=True):
    """A kind of object as the API serves it.

    Attributes:
        group: API group; empty for the core group.
        version: The version to ask for.
        plural: Its name in paths and in grants.
        kind: Its name in objects.
        namespaced: Whether its objects live in namespaces.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def group_kind(self) -> str:
        """`Deployment.apps`: how the index names the kind."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @property
    def name(self) -> str:
        """`deployments.apps`: how people and kubectl name the resource."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        """`apps/v1`, as in objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def metadata_only(self) -> bool:
        """Whether nothing but the objects' metadata is needed."""
        return self.group_kind not in objects.INDEXED and self.group_kind != installation.DAEMON_SET

    @property
    def grant(self) -> str:
        """The rule of a ClusterRole that allows to read it."""
        group = self.group or '""'
        return f"{{apiGroups: [{group}], resources: [{self.plural}], verbs: [{', '.join(VERBS)}]}}"

    def path(self, namespace: str = "") -> str:
        """Path of the collection: of the whole cluster, or of one namespace."""
        root = f"/apis/{quote(self.group)}/{quote(self.version)}" if self.group else f"/api/{quote(self.version)}"
        inside = f"/namespaces/{quote(namespace, safe='')}" if namespace and self.namespaced else ""
        return f"{root}{inside}/{quote(self.plural)}"


PODS: Final = Resource("", "v1", "pods", "Pod")
SERVICES: Final = Resource("", "v1", "services", "Service")
NODES: Final = Resource("", "v1", "nodes", "Node", namespaced=False)
NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
ENDPOINT_SLICES: Final = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
ENDPOINTS: Final = Resource("", "v1", "endpoints", "Endpoints")
SERVICE_CIDRS: Final = Resource("networking.k8s.io", "v1", "servicecidrs", "ServiceCIDR", namespaced=False)
CRDS: Final = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False)

REQUIRED: Final = (PODS, SERVICES, ENDPOINT_SLICES, NODES)
"""Without one of these there is no map."""

BUILTIN_OWNERS: Final = (
    Resource("apps", "v1", "replicasets", "ReplicaSet"),
    Resource("apps", "v1", "deployments", "Deployment"),
    Resource("apps", "v1", "statefulsets", "StatefulSet"),
    Resource("apps", "v1", "daemonsets", "DaemonSet"),
    Resource("batch", "v1", "jobs", "Job"),
    Resource("batch", "v1", "cronjobs", "CronJob"),
    Resource("", "v1", "replicationcontrollers", "ReplicationController"),
)
"""What owns pods in any cluster; their metadata is watched from the start."""

KNOWN_OWNERS: Final = (
    ("agones.dev", "fleets", "Fleet"),
    ("agones.dev", "gameservers", "GameServer"),
    ("agones.dev", "gameserversets", "GameServerSet"),
    ("apps.kruise.io", "advancedcronjobs", "AdvancedCronJob"),
    ("apps.kruise.io", "broadcastjobs", "BroadcastJob"),
    ("apps.kruise.io", "clonesets", "CloneSet"),
    ("apps.kruise.io", "daemonsets", "DaemonSet"),
    ("apps.kruise.io", "statefulsets", "StatefulSet"),
    ("apps.kruise.io", "uniteddeployments", "UnitedDeployment"),
    ("apps.openshift.io", "deploymentconfigs", "DeploymentConfig"),
    ("argoproj.io", "cronworkflows", "CronWorkflow"),
    ("argoproj.io", "eventbus", "EventBus"),
    ("argoproj.io", "eventsources", "EventSource"),
    ("argoproj.io", "experiments", "Experiment"),
    ("argoproj.io", "rollouts", "Rollout"),
    ("argoproj.io", "sensors", "Sensor"),
    ("argoproj.io", "workflows", "Workflow"),
    ("batch.volcano.sh", "jobs", "Job"),
    ("build.openshift.io", "buildconfigs", "BuildConfig"),
    ("build.openshift.io", "builds", "Build"),
    ("core.strimzi.io", "strimzipodsets", "StrimziPodSet"),
    ("elasticsearch.k8s.elastic.co", "elasticsearches", "Elasticsearch"),
    ("flink.apache.org", "flinkdeployments", "FlinkDeployment"),
    ("jobset.x-k8s.io", "jobsets", "JobSet"),
    ("kafka.strimzi.io", "kafkabridges", "KafkaBridge"),
    ("kafka.strimzi.io", "kafkaconnects", "KafkaConnect"),
    ("kafka.strimzi.io", "kafkamirrormaker2s", "KafkaMirrorMaker2"),
    ("kafka.strimzi.io", "kafkanodepools", "KafkaNodePool"),
    ("kafka.strimzi.io", "kafkas", "Kafka"),
    ("keda.sh", "scaledjobs", "ScaledJob"),
    ("kubeflow.org", "mpijobs", "MPIJob"),
    ("kubeflow.org", "pytorchjobs", "PyTorchJob"),
    ("kubeflow.org", "tfjobs", "TFJob"),
    ("leaderworkerset.x-k8s.io", "leaderworkersets", "LeaderWorkerSet"),
    ("monitoring.coreos.com", "alertmanagers", "Alertmanager"),
    ("monitoring.coreos.com", "prometheuses", "Prometheus"),
    ("postgresql.cnpg.io", "clusters", "Cluster"),
    ("postgresql.cnpg.io", "poolers", "Pooler"),
    ("ray.io", "rayclusters", "RayCluster"),
    ("ray.io", "rayjobs", "RayJob"),
    ("ray.io", "rayservices", "RayService"),
    ("serving.knative.dev", "configurations", "Configuration"),
    ("serving.knative.dev", "revisions", "Revision"),
    ("serving.knative.dev", "services", "Service"),
    ("sparkoperator.k8s.io", "scheduledsparkapplications", "ScheduledSparkApplication"),
    ("sparkoperator.k8s.io", "sparkapplications", "SparkApplication"),
    ("tekton.dev", "pipelineruns", "PipelineRun"),
    ("tekton.dev", "taskruns", "TaskRun"),
)
"""(group, plural, kind) of owners that common operators bring: what a chart grants from the start.

Any other kind is found through discovery when an object names it as its owner; this list only spares people a grant.
"""


def rules() -> list[dict[str, list[str]]]:
    """The rules of the ClusterRole that lets the mapper read all it may want, one for each API group.

    Endpoints are left out: they are read only where the API serves no EndpointSlices, as none does since 1.21.
    """
    plurals: dict[str, list[str]] = {}
    for resource in (*REQUIRED, *BUILTIN_OWNERS, NAMESPACES, SERVICE_CIDRS, CRDS):
        plurals.setdefault(resource.group, []).append(resource.plural)
    for group, plural, _ in KNOWN_OWNERS:
        plurals.setdefault(group, []).append(plural)
    return [
        {"apiGroups": [group], "resources": sorted(names), "verbs": list(VERBS)} for group, names in plurals.items()
    ]
