"""What can be set about the mapper."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from network_mapper.settings import port, seconds, setting


class MapperSettings(msgspec.Struct):
    """Settings of `network-mapper mapper`."""

    snapshot: Annotated[
        str,
        setting(
            "Read the cluster from this file or folder, as `kubectl get -o json|yaml` or `network-mapper snapshot` "
            "writes it, instead of following the Kubernetes API.",
            "PATH",
        ),
    ] = ""
    kubeconfig: Annotated[
        str,
        setting(
            "How to reach the Kubernetes API; else the pod's service account, else $KUBECONFIG, else ~/.kube/config.",
            "PATH",
        ),
    ] = ""
    context: Annotated[str, setting("Context of the kubeconfig; else its current one.", "NAME")] = ""
    listen: Annotated[
        str,
        setting(
            "Where to serve: HOST:PORT, :PORT for all interfaces, or unix:/path; several with commas.", "ADDRESSES"
        ),
    ] = "127.0.0.1:9090"
    metrics_port: Annotated[
        str,
        port(
            "Where /metrics is served alone: a port, or an address with it; 0 for the main address only.",
            model="metrics-port",
        ),
    ] = "0"
    store: Annotated[str, setting("File that keeps the map.", "PATH")] = "network-mapper.db"
    store_sync: Annotated[
        Literal["full", "normal"],
        setting("Durability of an answered report: `full` survives a power cut, `normal` a crash."),
    ] = "full"
    store_max_bytes: Annotated[int, setting("Bound on the file's size; 0 for none.", "BYTES"), msgspec.Meta(ge=0)] = 0
    checkpoint_interval: Annotated[
        float,
        seconds("Seconds between two writes of the changed edges; a few are written after a tenth of that."),
        msgspec.Meta(ge=0.05, le=3600),
    ] = 10.0

    cluster_domain: Annotated[
        str,
        setting("DNS domain of the cluster; detected when it is not given.", "DOMAIN", model="cluster-domain"),
    ] = ""
    excluded_namespaces: Annotated[
        tuple[str, ...],
        setting("Namespaces of which no edge is kept; a comma alone for none.", "NAMES", model="exclude-namespaces"),
    ] = ("istio-system", "linkerd")
    enable_tcp: Annotated[bool, setting("Take reports of TCP connections.", model="enable-tcp")] = True
    enable_dns: Annotated[bool, setting("Take reports of DNS lookups.", model="enable-dns")] = True
    enable_sockets: Annotated[bool, setting("Take reports of open sockets.", model="enable-socket-scanner")] = True
    capture_external: Annotated[
        bool,
        setting("Keep edges that leave the cluster or enter it.", model="capture-external-traffic-enabled"),
    ] = True

    workload_name_annotation: Annotated[
        str,
        setting("Annotation of a pod that names its workload.", "KEY", model="workload-name-override-annotation"),
    ] = "intents.otterize.com/workload-name"
    own_name_annotation: Annotated[str, setting("Another such annotation, asked after it.", "KEY")] = (
        "network-mapper.io/workload-name"
    )
    own_name_label: Annotated[str, setting("Label of a pod that names its workload, asked last.", "KEY")] = (
        "network-mapper.io/workload-name"
    )
    image_names_for_jobs: Annotated[
        bool,
        setting("Name Jobs by the image they run.", model="use-image-name-for-service-id-for-jobs"),
    ] = False
    fold_generated_names: Annotated[
        bool, setting("Make pods without an owner one workload where they share a generateName.")
    ] = False
    control_plane_prefix: Annotated[
        int,
        setting(
            "Length of the IPv4 prefix around each address of the API server that is the control plane too.",
            "BITS",
            model="control-plane-ipv4-cidr-prefix-length",
        ),
        msgspec.Meta(ge=0, le=32),
    ] = 32

    legacy_patience: Annotated[
        float,
        seconds("Seconds for which a sender that cannot retry is held before its report is refused."),
        msgspec.Meta(ge=0, le=60),
    ] = 2.0
    remember_pods: Annotated[
        float,
        seconds("Seconds for which it is remembered whose an address was, after the pod is gone."),
        msgspec.Meta(ge=0, le=604_800),
    ] = 3600.0
    remember_pods_most: Annotated[
        int, setting("Bound on the pods that are remembered so.", "N"), msgspec.Meta(ge=0)
    ] = 100_000

    max_edges: Annotated[
        int, setting("Bound on the number of edges; more are counted and dropped.", "N"), msgspec.Meta(ge=1)
    ] = 200_000
    max_report_bytes: Annotated[int, setting("Largest report that is accepted.", "BYTES"), msgspec.Meta(ge=1024)] = (
        8 * 1024 * 1024
    )
    max_reports: Annotated[
        int, setting("Reports worked on at once; more are asked to come again.", "N"), msgspec.Meta(ge=1)
    ] = 64
