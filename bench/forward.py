"""Measures what `list` of 1,000 edges costs by way of a kubeconfig and a port-forward, and what each step of it adds.

    python bench/forward.py [RUNS]

The API server and the port-forward handler are real (tests/cluster/harness); a mapper's answer is played by a small
server in this process, so that only the command is measured: the user and system time that the kernel accounts to it,
from exec to exit. Medians of several runs, after one that fills the caches. The kubeconfig is YAML with embedded
certificates, as kubeadm writes it, alone and among thirty clusters.
"""

from __future__ import annotations

import base64
import json
import os
import pathlib
import statistics
import sys
import tempfile
import threading
from http.server import ThreadingHTTPServer

import cli

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / folder) for folder in ("tests/cluster", "tools")]

import kubernetes  # noqa: E402  found through the line above
import yaml  # noqa: E402
from harness import objects, pods  # noqa: E402
from harness.control_plane import ControlPlane  # noqa: E402
from harness.kubelet import Kubelet  # noqa: E402

LIMIT = 400
"""Promised CPU milliseconds."""
MANY = 30


def install(plane: ControlPlane, kubelet: Kubelet, port: int) -> None:
    """Make the objects of a mapper that listens at a port of this machine."""
    place = plane.make_namespace("network-mapper")
    labels = {"app.kubernetes.io/name": "network-mapper", "app.kubernetes.io/component": "mapper"}
    service = objects.service(place, "network-mapper", 9090, port, app="mapper", meta={"labels": labels})
    plane.admin.create(service)
    pods.run_pod(plane.admin, objects.pod(place, "mapper"), "172.30.0.9", node=kubelet.node)


def kubeconfig(plane: ControlPlane, file: pathlib.Path, clusters: int) -> str:
    """Write a kubeconfig of so many clusters in YAML, of which the last one is ours."""
    config = json.loads(plane.kubeconfig(file).read_text())
    entry = config["clusters"][0]["cluster"]
    authority = pathlib.Path(entry.pop("certificate-authority")).read_bytes()
    entry["certificate-authority-data"] = base64.b64encode(authority).decode()
    for kind in ("cluster", "user", "context"):
        (own,) = config[f"{kind}s"]
        others = [{**own, "name": f"other-{number}"} for number in range(clusters - 1)]
        config[f"{kind}s"] = json.loads(json.dumps([*others, own]))
    file.write_text(yaml.safe_dump(config))
    return str(file)


def main(runs: int) -> int:
    """Print a table; returns 1 when `list` costs more than promised."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), cli.Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ.pop("KUBECONFIG", None)
    with (
        tempfile.TemporaryDirectory() as made,
        ControlPlane(kubernetes.programs()) as plane,
        Kubelet(plane, kubernetes.kubelet()) as kubelet,
    ):
        folder = pathlib.Path(made)
        install(plane, kubelet, server.server_port)
        one, many = kubeconfig(plane, folder / "one.yaml", 1), kubeconfig(plane, folder / "many.yaml", MANY)
        program = [sys.executable, "-m", "network_mapper", "list"]
        named = ["--mapper-namespace", "network-mapper", "--mapper-service-name", "network-mapper"]
        commands = {
            "by URL": [*program, "--mapper-url", f"http://127.0.0.1:{server.server_port}"],
            "port-forward": [*program, "--kubeconfig", one],
            "port-forward, named": [*program, "--kubeconfig", one, *named],
            f"port-forward, {MANY} clusters": [*program, "--kubeconfig", many],
        }
        failed = False
        print(f"list of {cli.EDGES} edges, Kubernetes {plane.version()}, median of {runs} runs")
        for name, command in commands.items():
            cli.cost(command)
            cpu = statistics.median(cli.cost(command) for _ in range(runs))
            limit = cli.LIMITS["list"] if name == "by URL" else LIMIT
            failed |= cpu > limit
            print(f"{name:26} {cpu:6.0f} ms CPU (at most {limit})")
    server.shutdown()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else 9))
