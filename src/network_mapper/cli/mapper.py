"""`network-mapper mapper`: run the mapper."""

from __future__ import annotations

from typing import Any

from network_mapper.cli.errors import CliError
from network_mapper.cli.serve import serve_command
from network_mapper.mapper.settings import MapperSettings


def _run(settings: MapperSettings, _: dict[str, Any]) -> int:
    from network_mapper.mapper.run import StartError, run  # noqa: PLC0415  --help needs no server

    try:
        return run(settings)
    except StartError as error:
        raise CliError(str(error)) from error


command = serve_command(
    "mapper",
    MapperSettings,
    _run,
    text="""Run the mapper: gather reports, draw the map, serve it.

    It takes the sniffers' reports, finds out whose addresses they name, keeps the map on disk, and answers the other
    commands. It follows the cluster through the Kubernetes API: the one whose pod it is, or the one of a kubeconfig.
    With --snapshot it reads the objects as kubectl prints them instead, from one file or a folder.
    """,
    examples=[
        ("mapper --listen :9090 --store /var/lib/network-mapper/map.db", "in a pod of the cluster"),
        ("mapper --context staging", "for the cluster of a context of the kubeconfig"),
        (
            "mapper --snapshot cluster.yaml",
            "with: kubectl get pods,services,nodes,endpointslices,replicasets -A -o yaml > cluster.yaml",
        ),
        ("mapper --config mapper.toml", "with settings from a file"),
    ],
)
