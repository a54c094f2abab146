"""A model of the index: it holds the present objects and works every answer out anew, slowly and obviously.

Names are short: all pods, services and owners are in namespace `shop`, but for the API's service. There is one node.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any, NamedTuple

from kube import end, endpoint_slice, instant, kind_of, obj, pod, service

from network_mapper.cluster.index import FOREVER
from network_mapper.model import Workload

SECOND = 1000
REMEMBER = 6000
REMEMBER_MOST = 3
API_PORT = 6443


class Seen(NamedTuple):
    """A pod as it answers. Two of one name are told apart by their uid."""

    name: str
    uid: str
    start: int
    end: int
    ips: tuple[str, ...]
    host: bool
    ports: tuple[int, ...]
    labels: dict[str, str]
    named: bool
    workload: Workload


def pod_object(name, ips, *, start=0, ended=None, host=False, owner=None, labels=None, uid="", ports=()):
    spec = {"hostNetwork": host, "containers": [{"name": "c", "ports": [{"containerPort": port} for port in ports]}]}
    return pod(name, *ips, start=start, ended=ended, spec=spec, labels=labels or {}, uid=uid, **(owner or {}))


def service_object(name, ips, external, node_port, host):
    item = service(name, *ips, externalIPs=external, type="NodePort" if node_port else "ClusterIP")
    item["spec"]["ports"][0]["nodePort"] = node_port
    item["status"] = {"loadBalancer": {"ingress": [{"hostname": host}] if host else []}}
    return item


def api_objects(addresses):
    """The API's service and its endpoints."""
    yield obj(
        "Service",
        "kubernetes",
        "default",
        spec={"clusterIPs": [], "externalIPs": [], "ports": [{"port": 443, "targetPort": API_PORT}]},
    )
    item = endpoint_slice("kubernetes", "kubernetes", *(end(address) for address in addresses))
    item["metadata"]["namespace"] = "default"
    yield item


def key_of(item):
    return kind_of(item), item["metadata"].get("namespace", ""), item["metadata"]["name"]


def parent_of(item):
    references = item["metadata"].get("ownerReferences")
    if not references:
        return None
    kind = references[0]["kind"]
    return (kind if kind == "Pod" else f"{kind}.apps", "shop", references[0]["name"])


def once(method):
    """Work an answer out once between two changes."""

    def kept(self, *asked):
        key = (method.__name__, *asked)
        if key not in self.kept:
            self.kept[key] = method(self, *asked)
        return self.kept[key]

    return kept


class Model:
    """The present objects, the parents of deleted ones that something present descends from, and pods that are gone."""

    def __init__(self):
        self.objects: dict[Any, Any] = {}
        self.orphaned: dict[Any, Any] = {}
        self.gone: list[Seen] = []
        self.kept: dict[Any, Any] = {}

    # Changes

    def apply(self, item):
        key = key_of(item)
        old = self.objects.get(key)
        if key[0] == "Pod" and old:
            uids = {old["metadata"]["uid"], item["metadata"]["uid"]}
            if len(uids) == 2 and "" not in uids:
                self.bury(key[2], instant(0) + SECOND)
        self.orphaned.pop(key, None)
        self.objects[key] = item
        self.prune()
        self.kept.clear()

    def delete(self, item, at):
        key = key_of(item)
        if key not in self.objects:
            return
        if key[0] == "Pod" and at is not None:
            self.bury(key[2], at)
        parent = parent_of(self.objects.pop(key))
        if parent:
            self.orphaned[key] = parent
        self.prune()
        self.kept.clear()

    def bury(self, name, at):
        found = self.pod(name)
        if found.ips:
            self.gone.append(found._replace(end=min(found.end, max(at, found.start + SECOND))))
            self.gone = self.gone[-REMEMBER_MOST:]

    def forget(self, now):
        while self.gone and self.gone[0].end + REMEMBER <= now:
            del self.gone[0]
        self.kept.clear()

    def prune(self):
        self.orphaned = {key: parent for key, parent in self.orphaned.items() if self.has_living(key)}

    def has_living(self, key):
        return any(key in self.chain(living)[1:] for living in self.objects if self.parent(living))

    def parent(self, key):
        return parent_of(self.objects[key]) if key in self.objects else self.orphaned.get(key)

    def chain(self, key):
        """The way up, where a circle is closed by its first member once more."""
        way = [key]
        while (parent := self.parent(way[-1])) is not None:
            way.append(parent)
            if parent in way[:-1]:
                break
        return way

    # Objects

    @once
    def of_kind(self, kind):
        return {key[2]: item for key, item in self.objects.items() if key[0] == kind}

    @once
    def pod(self, name):
        item = self.of_kind("Pod")[name]
        status = item["status"]
        ended = status.get("containerStatuses")
        return Seen(
            name,
            item["metadata"]["uid"],
            instant(int(status["startTime"][-3:-1])),
            instant(int(ended[0]["state"]["terminated"]["finishedAt"][-3:-1]) + 1) if ended else FOREVER,
            tuple(each["ip"] for each in status["podIPs"]),
            item["spec"]["hostNetwork"],
            tuple(each["containerPort"] for each in item["spec"]["containers"][0]["ports"]),
            item["metadata"]["labels"],
            bool(item["metadata"]["labels"].get("otterize/service-name")),
            self.workload(name),
        )

    @once
    def pods(self):
        return [self.pod(name) for name in self.of_kind("Pod")]

    @once
    def all_pods(self):
        return [*self.pods(), *self.gone]

    def workload(self, name):
        way = self.chain(("Pod", "shop", name))
        root = way[-1]
        if root in way[:-1]:
            root = min(way[way.index(root) :])
        given = self.of_kind("Pod")[name]["metadata"]["labels"].get("otterize/service-name")
        return Workload(given or root[2], "shop", root[0].partition(".")[0])

    # Addresses

    @once
    def claims(self, address):
        """(owner as (kind, name, detail), start, end) of all that ever had the address."""
        found = [
            (owner_of(seen), seen.start, seen.end) for seen in self.all_pods() if address in seen.ips and not seen.host
        ]
        for name, item in self.of_kind("Service").items():
            if address in item["spec"]["clusterIPs"] + item["spec"]["externalIPs"]:
                found.append((self.service(name), instant(0), FOREVER))
        if self.has_node(address):
            found.append((self.node(), instant(0), FOREVER))
        return found

    @once
    def has_node(self, address):
        nodes = self.of_kind("Node").values()
        return any(item["status"]["addresses"][0]["address"] == address for item in nodes)

    @once
    def node(self):
        return "Node", "n1", tuple(sorted(seen.name for seen in self.all_pods() if seen.host))

    @once
    def service(self, name):
        return "Service", name, tuple(self.backends(name))

    @once
    def at(self, address, when):
        claims = self.claims(address)
        if not claims and when >= instant(0) and self.has_gateway(address):
            return {self.node()}
        valid = {owner for owner, start, end in claims if start <= when < end}
        return {owner for owner in valid if owner[0] != "Service"} or valid

    def has_gateway(self, address):
        blocks = [block for item in self.of_kind("Node").values() for block in item["spec"].get("podCIDRs", [])]
        return any(
            len(own) > 2 and address in own[:2] for own in (list(map(str, ip_network(block))) for block in blocks)
        )

    @once
    def control_plane(self):
        item = self.objects.get(("EndpointSlice.discovery.k8s.io", "default", "kubernetes"))
        return {each["addresses"][0] for each in item["endpoints"]} if item else set()

    def dialled(self, address, port, when):
        speakers = self.at(address, when)
        if when < instant(0):
            return speakers
        services = self.of_kind("Service").items()
        shared = {
            self.service(name)
            for name, item in services
            if address in item["spec"]["clusterIPs"] + item["spec"]["externalIPs"]
            and item["spec"]["ports"][0]["port"] == port
        }
        if shared:
            return shared
        on_node = all(kind == "Node" for kind, *_ in speakers)
        if self.has_node(address):
            forwarded = {
                self.service(name) for name, item in services if item["spec"]["ports"][0].get("nodePort") == port
            }
            if forwarded:
                return forwarded
        if on_node and address in self.control_plane() and port == API_PORT and "kubernetes" in self.of_kind("Service"):
            return {self.service("kubernetes")}
        if self.has_node(address):
            pods = [seen for seen in self.all_pods() if seen.host and port in seen.ports]
            pods = [seen for seen in pods if seen.start <= when < seen.end]
            if len({seen.workload for seen in pods}) == 1:
                return {owner_of(min(pods, key=lambda seen: (-seen.start, seen.name)))}
        return speakers

    # Services and names

    def endpoints(self, service):
        slices = [
            item
            for item in self.of_kind("EndpointSlice.discovery.k8s.io").values()
            if item["metadata"]["labels"]["kubernetes.io/service-name"] == service
        ]
        if slices:
            return [each for item in slices for each in item["endpoints"]]
        old = self.of_kind("Endpoints").get(service)
        return [{"addresses": [each["ip"]]} for each in old["subsets"][0]["addresses"]] if old else []

    @once
    def backends(self, service):
        found = set()
        for each in self.endpoints(service):
            if "targetRef" in each:
                names = {each["targetRef"]["name"]} & self.of_kind("Pod").keys()
            else:
                address = each["addresses"][0]
                names = {
                    seen.name for seen in self.pods() if address in seen.ips and not seen.host and seen.end == FOREVER
                }
                names = names if len(names) == 1 else set()
            found |= {self.workload(name) for name in names}
        return sorted(found, key=lambda workload: (workload.name, workload.kind))

    def host(self, service, host, when, addresses):
        """The owners that `host.service` stands for."""
        targets = [each for each in self.endpoints(service) if "targetRef" in each]
        named = (
            {each["targetRef"]["name"] for each in targets if each.get("hostname") == host},
            {each["targetRef"]["name"] for each in targets if each["targetRef"]["name"] == host},
            {each["targetRef"]["name"] for each in targets if dashed(each["addresses"][0]) == host},
        )
        pods = next((found for found in named if found), set())
        if len(pods) == 1:
            seen = self.lived(next(iter(pods)), when)
            if seen:
                return {owner_of(seen)}
        for address in addresses:
            found = self.at(address, when)
            if dashed(address) == host and found and (len(found) > 1 or next(iter(found))[0] == "Pod"):
                return found
        return {self.service(service)}

    def name(self, question, when, addresses):
        balanced = {
            name
            for name, item in self.of_kind("Service").items()
            if {"hostname": question} in item.get("status", {}).get("loadBalancer", {}).get("ingress", [])
        }
        if not question.endswith(".cluster.local"):
            return {self.service(name) for name in balanced}
        *above, name, _, kind, _, _ = question.split(".")
        if kind == "pod":
            return next(self.at(address, when) for address in addresses if dashed(address) == name)
        if name not in self.of_kind("Service"):
            return set()
        return self.host(name, above[0], when, addresses) if above else {self.service(name)}

    def lived(self, name, when):
        """The pod of that name that lived, the present one before those that are gone, the last of these first."""
        seen = [self.pod(name)] if name in self.of_kind("Pod") else []
        seen += [each for each in reversed(self.gone) if each.name == name]
        return next((each for each in seen if each.start <= when < each.end), None)

    def hosted(self, name, address, when):
        """The workload of the pod of that name that had the address."""
        pods = [seen for seen in self.all_pods() if seen.name == name and seen.start <= when < seen.end]
        has_node = self.has_node(address) and when >= instant(0)
        fitting = [seen for seen in pods if (has_node if seen.host else address in seen.ips)]
        found = {seen.workload for seen in fitting}
        return found.pop() if len(found) == 1 else None

    def applications(self, name, when):
        found = [seen for seen in self.all_pods() if seen.labels.get("app") == name]
        return {seen.workload for seen in found if seen.start <= when < seen.end}

    # Workloads

    def known(self):
        """Workloads with all their pods, those that are gone last."""
        found: dict[Workload, list[Seen]] = {}
        for seen in self.all_pods():
            found.setdefault(seen.workload, []).append(seen)
        return found

    def labels(self, workload):
        present = [seen for seen in self.pods() if seen.workload == workload]
        if present:
            return max(present, key=lambda seen: (seen.start, seen.name)).labels
        return self.known()[workload][-1].labels

    def named(self, name):
        def rank(workload):
            present = [seen for seen in self.pods() if seen.workload == workload]
            return -sum(seen.end == FOREVER for seen in present), -len(present), workload.kind

        return min((workload for workload in self.known() if workload.name == name), key=rank, default=None)


def owner_of(seen):
    return "Pod", seen.name, seen.workload


def dashed(address):
    return address.replace(".", "-").replace(":", "-")
