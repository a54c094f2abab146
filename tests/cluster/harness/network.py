"""The network of a cluster: a bridge that joins the nodes, a namespace for each of them, and the routes to their pods.

The control plane stays in the sandbox's own namespace, which holds the bridge. So whatever runs there reaches the API
server, nodes, pods, and, by way of a node that lives, services. Everything is dual stack.
"""

from __future__ import annotations

import ipaddress
import socket
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.processes import HarnessError
from network_mapper.testing import netns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

BRIDGE = "nodes0"
PODS_BRIDGE = "cni0"
# Learning who wants multicast, and asking whether an address is taken, would lose the first second of IPv6.
LINK = "type bridge mcast_snooping 0"
BLOCKS = ("172.30.0.0/24", "fd00:172:30::/64")
FIRST = 11  # the last number of the first node's addresses
SETTINGS = {
    "ipv4/ip_forward": "1",
    "ipv6/conf/all/forwarding": "1",
    "ipv6/conf/default/accept_dad": "0",
    # Answers between two pods of one node must pass the address translation as well.
    "bridge/bridge-nf-call-iptables": "1",
    "bridge/bridge-nf-call-ip6tables": "1",
}


def _hardware(kind: int, number: int) -> str:
    """A hardware address. A bridge without one takes it from its ports, so it changes as pods come and go."""
    return f"02:00:00:00:{kind:02x}:{number:02x}"


def _address(block: str, number: int) -> str:
    return str(ipaddress.ip_network(block)[number])


GATEWAY = tuple(_address(block, 1) for block in BLOCKS)
"""Addresses of the control plane, which for the nodes is also the way out."""


@dataclass(frozen=True)
class Place:
    """Where a node is.

    Attributes:
        name: The node's name, and its network namespace's.
        addresses: Its own, IPv4 and IPv6.
        pods: Blocks of its pods' addresses, IPv4 and IPv6.
    """

    name: str
    addresses: tuple[str, str]
    pods: tuple[str, str]


def places(names: Sequence[str], blocks: tuple[str, str], prefixes: tuple[int, int]) -> list[Place]:
    """Give every node its addresses and its share of the pods' blocks.

    Args:
        names: The nodes' names.
        blocks: Blocks of all pods' addresses, IPv4 and IPv6.
        prefixes: Prefix lengths of the share of one node.

    Raises:
        HarnessError: There are more nodes than shares.
    """
    shares = [ipaddress.ip_network(block).subnets(new_prefix=prefix)
              for block, prefix in zip(blocks, prefixes, strict=True)]  # fmt: skip
    made = []
    for number, name in enumerate(names):
        try:
            pods = (str(next(shares[0])), str(next(shares[1])))
        except StopIteration as error:
            raise HarnessError(f"{' and '.join(blocks)} have no block of pods for {name}") from error
        made.append(Place(name, (_address(BLOCKS[0], FIRST + number), _address(BLOCKS[1], FIRST + number)), pods))
    return made


class Network:
    """A bridge in this namespace, and nodes that come and go.

    Args:
        nodes: The places of all nodes.
        services: Blocks of the services' addresses.
    """

    def __init__(self, nodes: Sequence[Place], services: Iterable[str]) -> None:
        self._nodes = list(nodes)
        self._services = list(services)
        self._joined: dict[str, netns.Namespaces] = {}

    def start(self) -> None:
        """Make the bridge.

        Raises:
            HarnessError: It is there: another cluster runs here.
        """
        if BRIDGE in (name for _, name in socket.if_nameindex()):
            raise HarnessError("a cluster runs in this sandbox already; another one needs another sandbox")
        _ip(
            [
                f"link add {BRIDGE} address {_hardware(0, 1)} {LINK}",
                *_addresses(BRIDGE, GATEWAY, BLOCKS),
                f"link set {BRIDGE} up",
            ]
        )

    def stop(self) -> None:
        """Remove everything."""
        for node in self._nodes:
            if node.name in self._joined:
                self._joined.pop(node.name).close()
        subprocess.run(["ip", "link", "delete", BRIDGE], check=False, capture_output=True)

    def join(self, node: Place) -> None:
        """Make the namespace of a node, with its way to all others."""
        namespaces = self._joined[node.name] = netns.Namespaces()
        namespaces.add(node.name)
        number = node.addresses[0].rpartition(".")[2]
        # A node that comes back has the hardware address that the others remember.
        _ip([f"link add eth0 address {_hardware(0, int(number))} netns {node.name} type veth peer name n-{number}",
             f"link set n-{number} master {BRIDGE} up"])  # fmt: skip
        netns.sysctl(node.name, SETTINGS)
        others = [other for other in self._nodes if other is not node]
        netns.ip(node.name, [
            *_addresses("eth0", node.addresses, BLOCKS),
            "link set eth0 up",
            f"link add {PODS_BRIDGE} address {_hardware(1, int(number))} {LINK}",
            *_addresses(PODS_BRIDGE, [_address(block, 1) for block in node.pods], node.pods),
            f"link set {PODS_BRIDGE} up",
            *(f"route add default via {address}" for address in GATEWAY),
            *(f"route add {block} via {address}"
              for other in others for block, address in zip(other.pods, other.addresses, strict=True)),
        ])  # fmt: skip
        _ip(f"route replace {block} via {address}" for block, address in zip(node.pods, node.addresses, strict=True))
        self._reach_services()

    def leave(self, node: Place) -> None:
        """Remove the namespace of a node at once, as when its cable is pulled."""
        if node.name not in self._joined:
            return
        subprocess.run(["ip", "link", "delete", f"n-{node.addresses[0].rpartition('.')[2]}"], check=False)
        self._joined.pop(node.name).close()
        self._reach_services()

    def _reach_services(self) -> None:
        alive = next((node for node in self._nodes if node.name in self._joined), None)
        if alive:
            _ip(f"route replace {block} via {alive.addresses[':' in block]}" for block in self._services)


def _addresses(device: str, addresses: Sequence[str], blocks: Sequence[str]) -> list[str]:
    return [
        f"address add {address}/{ipaddress.ip_network(block).prefixlen} dev {device}{' nodad' if ':' in block else ''}"
        for address, block in zip(addresses, blocks, strict=True)
    ]


def _ip(lines: Iterable[str]) -> None:
    done = subprocess.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n", check=False, capture_output=True,
                          text=True)  # fmt: skip
    if done.returncode:
        raise HarnessError(f"ip: {done.stderr.strip()}")
