"""What can be set about the mapper."""

from __future__ import annotations

from typing import Annotated

import msgspec

from network_mapper.settings import setting


class MapperSettings(msgspec.Struct):
    """Settings of `network-mapper mapper`."""

    snapshot: Annotated[
        str, setting("File or folder with the cluster's objects, as `kubectl get -o json|yaml` writes them.", "PATH")
    ] = ""
    listen: Annotated[
        str,
        setting(
            "Where to serve: HOST:PORT, :PORT for all interfaces, or unix:/path; several with commas.", "ADDRESSES"
        ),
    ] = "127.0.0.1:9090"
    store: Annotated[str, setting("File that keeps the map.", "PATH")] = "network-mapper.db"
    store_sync: Annotated[
        str, setting("Durability of an answered report: `full` survives a power cut, `normal` a crash.", "full|normal")
    ] = "full"
    store_max_bytes: Annotated[int, setting("Bound on the file's size; 0 for none.", "BYTES"), msgspec.Meta(ge=0)] = 0
    checkpoint_interval: Annotated[
        float, setting("Seconds between two writes of the changed edges.", "SECONDS"), msgspec.Meta(ge=0.05, le=3600)
    ] = 10.0
    cluster_domain: Annotated[str, setting("DNS domain of the cluster.", "DOMAIN")] = "cluster.local"
    max_edges: Annotated[
        int, setting("Bound on the number of edges; more are counted and dropped.", "N"), msgspec.Meta(ge=1)
    ] = 200_000
    max_report_bytes: Annotated[int, setting("Largest report that is accepted.", "BYTES"), msgspec.Meta(ge=1024)] = (
        8 * 1024 * 1024
    )
    max_reports: Annotated[
        int, setting("Reports worked on at once; more are asked to come again.", "N"), msgspec.Meta(ge=1)
    ] = 64
