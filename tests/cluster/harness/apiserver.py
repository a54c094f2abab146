"""kube-apiserver, as a real cluster runs it: RBAC, node restriction, service accounts, dual-stack services."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.processes import Daemon, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from harness.pki import Certificate

STARTING = 60.0


@dataclass(frozen=True)
class Addresses:
    """Where the API server is, and the addresses of services.

    Attributes:
        listen: Address it listens on.
        advertise: Address the endpoints of the service `kubernetes` name. Kubernetes refuses a loopback address there;
            the default is one that documentation may use, and nothing answers at it.
        services: Blocks of the services' addresses; the first one's family is preferred.
    """

    listen: str = "127.0.0.1"
    advertise: str = "192.0.2.10"
    services: tuple[str, ...] = ("10.96.0.0/16", "fd00:10:96::/112")


class ApiServer:
    """One kube-apiserver over one etcd, on a free port that a restart keeps.

    Args:
        program: Path of the program.
        folder: Where its log goes.
        etcd_url: Where its etcd is.
        addresses: Where it listens and what it tells others.
        client_ca: Authority of its clients' certificates.
        serving: Its own certificate.
        token_key: Key of the service accounts' tokens.
        options: More flags.
        prefix: See `Daemon`.
    """

    def __init__(
        self,
        *,
        program: Path,
        folder: Path,
        etcd_url: str,
        addresses: Addresses,
        client_ca: Path,
        serving: Certificate,
        token_key: Path,
        options: Sequence[str] = (),
        prefix: Sequence[str] = (),
    ) -> None:
        self.port = free_port(addresses.listen)
        host = f"[{addresses.listen}]" if ":" in addresses.listen else addresses.listen
        self.url = f"https://{host}:{self.port}"
        command = [
            str(program),
            f"--etcd-servers={etcd_url}",
            f"--bind-address={addresses.listen}",
            f"--advertise-address={addresses.advertise}",
            f"--secure-port={self.port}",
            f"--cert-dir={folder / 'apiserver'}",
            f"--tls-cert-file={serving.cert}",
            f"--tls-private-key-file={serving.key}",
            f"--client-ca-file={client_ca}",
            f"--service-account-key-file={token_key}",
            f"--service-account-signing-key-file={token_key}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-cluster-ip-range={','.join(addresses.services)}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            "--profiling=false",
            # Tests post as fast as they can, and one of them must not wait for another.
            "--max-requests-inflight=1000",
            "--max-mutating-requests-inflight=1000",
            *options,
        ]
        self.daemon = Daemon("kube-apiserver", command, folder, prefix=prefix)

    def start(self, ready: Callable[[], bool]) -> None:
        """Start it and wait until `ready`, which asks it, says so."""
        self.daemon.start()
        self.daemon.wait_until(ready, STARTING)
