"""Who had this address, or this name, at that time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from network_mapper.cluster.address import canonical
from network_mapper.cluster.entries import MISSING, OUTSIDE

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from network_mapper.cluster.entries import Claim, Contested, Entry, NoOwner
    from network_mapper.cluster.objects import Object
    from network_mapper.model import Workload

__all__ = ["MISSING", "OUTSIDE", "Index", "canonical"]


class Index:
    """Who had this address, or this name, at that time."""

    on_change: Callable[[str], None] | None

    def __init__(self, domain: str = "cluster.local", on_change: Callable[[str], None] | None = None) -> None:
        self.domain = domain
        self.on_change = on_change

    def at(self, address: str, instant: int) -> Claim | Contested | None:
        """The owner of a canonical address at an instant."""
        raise NotImplementedError

    def dialled(self, address: str, port: int, protocol: str, instant: int) -> Claim | Contested | None:
        """`at`, for a server: where services share an address, the port decides between them."""
        raise NotImplementedError

    def name(self, dns_name: str, instant: int) -> Entry | Contested | NoOwner:
        """What an in-cluster DNS name stood for: an entry, several possible ones, MISSING or OUTSIDE."""
        raise NotImplementedError

    def key_of(self, dns_name: str) -> str | None:
        """The key that `on_change` gets when the answer to `name(dns_name)` may have changed; None if it cannot."""
        raise NotImplementedError

    def apply(self, kind: str, item: Object) -> None:
        """Take in a new or changed object; `kind` as `objects.group_kind` writes it."""
        raise NotImplementedError

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Forget an object."""
        raise NotImplementedError

    def workloads(self) -> list[tuple[Workload, int, dict[str, str]]]:
        """(workload, live pods, labels of the newest pod), sorted."""
        raise NotImplementedError

    def pods_of(self, workload: Workload) -> int:
        """How many live pods a workload has."""
        raise NotImplementedError

    def nodes(self) -> list[str]:
        """Names of all nodes, sorted."""
        raise NotImplementedError

    def counts(self) -> dict[Literal["pods", "services", "nodes", "workloads"], int]:
        """For the status document."""
        raise NotImplementedError
