"""The network of a plan: every node and pod is a network namespace, and packets take the ways of a real cluster.

Pods hang on a bridge of their node. Each has a host address (/32, /128) and reaches everything through the bridge's
own address, as with most container networks, so that also the answer of a neighbour passes the node's address
translation; with on-link neighbours that would need the br_netfilter module, which an ordinary user cannot load. Where
no service address is dialled, `bridged` makes them neighbours all the same: their packets then never meet routing.
Nodes hang on one backbone bridge and route each other's blocks. Service addresses are translated in each node as
kube-proxy's nftables mode does: one verdict map, a random endpoint, masquerading for a pod that gets itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from network_mapper.testing import netns

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

    from network_mapper.testing.plan import NodePlan, Plan, PodPlan, ServicePlan

BACKBONE = "backbone"

_ROUTER = {
    "ipv4/ip_forward": "1",
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/send_redirects": "0",
    "ipv4/neigh/default/gc_thresh3": "4096",
    "ipv6/conf/all/forwarding": "1",
    # Where the module is loaded it would translate in the bridge; without it nothing would. Routing does it always.
    "bridge/bridge-nf-call-iptables": "0",
    "bridge/bridge-nf-call-ip6tables": "0",
}

# A node would tell its pods that they are neighbours, and IPv6 has no switch on the router's side (RFC 4861, 8).
_POD = {"ipv6/conf/default/accept_redirects": "0", "ipv4/conf/default/accept_redirects": "0"}


class Network:
    """The namespaces of a plan, from the start to the end of the `with` block.

    Each node has its network namespace, of the node's name, and a process-id namespace shared with its pods.

    Args:
        plan: What to build.
        bridged: Let the pods of a node reach each other through the bridge alone.

    Raises:
        OSError: Namespaces are not allowed here, or a name is taken; start it inside `sandbox`.
    """

    def __init__(self, plan: Plan, *, bridged: bool = False) -> None:
        self.plan = plan
        self._bridged = bridged
        self.hosts: dict[str, netns.Host] = {}
        self._namespaces = netns.Namespaces()

    def __enter__(self) -> Self:
        plan = self.plan
        try:
            self._namespaces.add(BACKBONE, *plan.nodes, *(pod.netns for pod in plan.pods))
            netns.ip(BACKBONE, [*_bridge("br0"), *_uplinks(plan)])
            rules = ruleset(plan)
            for node in plan.nodes.values():
                pods = [pod for pod in plan.pods if pod.node == node.name]
                netns.sysctl(node.name, _ROUTER)
                for pod in pods:
                    netns.sysctl(pod.netns, _POD)
                netns.ip(node.name, _node_lines(plan, node, pods))
                netns.nft(node.name, rules)
                for pod in pods:
                    netns.ip(pod.netns, _pod_lines(node, pod, bridged=self._bridged))
            for pod in plan.pods:
                silent = [str(port.pod_port) for port in pod.workload.ports if port.state == "silent"]
                if silent:
                    netns.nft(pod.netns, _SILENCE.format(ports=", ".join(silent)))
            for name in plan.nodes:
                self.hosts[name] = netns.Host()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for host in self.hosts.values():
            host.close()
        self._namespaces.close()

    def spawn_on_node(self, node: str, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a process of the node itself; stop it with `netns.interrupt`."""
        return self.hosts[node].spawn(node, argv, **options)

    def spawn_in_pod(self, pod: PodPlan, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a process of a pod; stop it with `netns.interrupt`."""
        return self.hosts[pod.node].spawn(pod.netns, argv, **options)


_SILENCE = """
table inet silence {{
  chain input {{
    type filter hook input priority filter
    tcp dport {{ {ports} }} drop
  }}
}}
"""


def _bridge(name: str) -> list[str]:
    return [f"link add {name} type bridge forward_delay 0 mcast_snooping 0", *_up(name)]


def _up(name: str) -> list[str]:
    # No link-local address by itself: its duplicate detection would hold back IPv6 for a second.
    return [f"link set {name} addrgenmode none", f"link set {name} up"]


def _uplinks(plan: Plan) -> list[str]:
    lines = []
    for number, node in enumerate(plan.nodes):
        lines.append(f"link add port{number} type veth peer name eth0 netns {node}")
        lines.append(f"link set port{number} master br0")
        lines += _up(f"port{number}")
    return lines


def _node_lines(plan: Plan, node: NodePlan, pods: list[PodPlan]) -> list[str]:
    lines = [
        *_up("eth0"),
        f"address add {node.address4}/24 dev eth0",
        f"address add {node.address6}/64 dev eth0 nodad",
        # A router asks for neighbours from its link-local address (RFC 4861, 7.2.2).
        f"address add fe80::{node.address6.rpartition(':')[2]}/64 dev eth0 nodad",
        *_bridge("cni0"),
        f"address add {node.gateway4}/{node.pods4.partition('/')[2]} dev cni0",
        f"address add {node.gateway6}/{node.pods6.partition('/')[2]} dev cni0 nodad",
        "address add fe80::1/64 dev cni0 nodad",
    ]
    for other in plan.nodes.values():
        if other is not node:
            lines.append(f"route add {other.pods4} via {other.address4}")
            lines.append(f"route add {other.pods6} via {other.address6}")
    for number, pod in enumerate(pods):
        lines.append(f"link add veth{number} type veth peer name eth0 netns {pod.netns}")
        lines.append(f"link set veth{number} master cni0")
        lines += _up(f"veth{number}")
    return lines


def _pod_lines(node: NodePlan, pod: PodPlan, *, bridged: bool) -> list[str]:
    prefix4 = node.pods4.partition("/")[2] if bridged else "32"
    prefix6 = node.pods6.partition("/")[2] if bridged else "128"
    return [
        *_up("eth0"),
        f"address add {pod.address4}/{prefix4} dev eth0",
        f"address add {pod.address6}/{prefix6} dev eth0 nodad",
        f"route add default via {node.gateway4} dev eth0 onlink",
        f"route add ::/0 via {node.gateway6} dev eth0 onlink",
    ]


def ruleset(plan: Plan) -> str:
    """The nftables rules of every node, after those of kube-proxy (KEP-3866)."""
    chains: dict[str, list[str]] = {}
    elements: dict[int, list[str]] = {4: [], 6: []}
    for number, service in enumerate(plan.services.values()):
        if service.headless:
            continue
        for family in (4, 6):
            for port in service.ports:
                for protocol in service.protocols:
                    chain = f"service-{number}-{family}-{protocol.lower()}-{port.port}"
                    dialled = f"{service.address(family)} . {protocol.lower()} . {port.port}"
                    elements[family].append(f"{dialled} : goto {chain}")
                    chains |= _endpoints(chain, service, family, protocol.lower(), port.pod_port)
    text = "table inet kube-proxy {\n"
    for family, kind in ((4, "ipv4_addr"), (6, "ipv6_addr")):
        text += f"  map services{family} {{\n    type {kind} . inet_proto . inet_service : verdict\n"
        text += f"    elements = {{ {', '.join(elements[family])} }}\n  }}\n"
    for name, rules in chains.items():
        text += f"  chain {name} {{\n" + "".join(f"    {rule}\n" for rule in rules) + "  }\n"
    text += "  chain services {\n"
    text += "    ip daddr . meta l4proto . th dport vmap @services4\n"
    text += "    ip6 daddr . meta l4proto . th dport vmap @services6\n  }\n"
    for hook in ("prerouting", "output"):
        text += f"  chain {hook} {{\n    type nat hook {hook} priority -100\n    jump services\n  }}\n"
    text += (
        "  chain postrouting {\n    type nat hook postrouting priority srcnat\n    meta mark 0x4000 masquerade\n  }\n"
    )
    return text + "}\n"


def _endpoints(chain: str, service: ServicePlan, family: int, protocol: str, port: int) -> dict[str, list[str]]:
    word = "ip" if family == 4 else "ip6"
    chains: dict[str, list[str]] = {}
    choices = []
    for number, pod in enumerate(service.pods):
        address = pod.address(family)
        target = f"{address}:{port}" if family == 4 else f"[{address}]:{port}"
        name = f"endpoint-{number}-{chain.removeprefix('service-')}"
        choices.append(f"{number} : goto {name}")
        chains[name] = [
            f"{word} saddr {address} meta mark set 0x4000",
            f"meta l4proto {protocol} dnat {word} to {target}",
        ]
    # A chain has to be there before a rule goes to it.
    chains[chain] = [f"numgen random mod {len(choices)} vmap {{ {', '.join(choices)} }}"]
    return chains
