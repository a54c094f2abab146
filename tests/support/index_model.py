"""A model of the index: it holds all objects, and who is gone, and works every answer out anew, slowly and obviously.

Names are short: all pods, services and owners are in namespace `shop`, but for the API's service. There is one node.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple

from kube import end, endpoint_slice, instant, kind_of, node, obj, pod, service, time

from network_mapper.cluster.index import FOREVER
from network_mapper.model import Workload

SECOND = 1000
REMEMBER = 6000
REMEMBER_MOST = 3
API_PORT = 6443
UNSURE = 5000
"""How long a change of a service's endpoints takes to be told, and how long to be heeded."""


class Seen(NamedTuple):
    """A pod as it answers. `part`: it lives on, and these are addresses that it had before."""

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
    start_told: bool
    end_told: bool
    waits: bool
    part: bool = False


class Served(NamedTuple):
    """A service as it answers; what it has on nodes is (port, protocol)."""

    name: str
    uid: str
    ips: tuple[str, ...]
    port: int
    node_port: int
    balancer: str
    end: int = FOREVER
    part: bool = False
    backed: Any = None


class Machine(NamedTuple):
    """A node as it answers."""

    uid: str
    ips: tuple[str, ...]
    blocks: tuple[str, ...]
    gateways: tuple[str, ...]
    end: int = FOREVER
    part: bool = False


class Glimpse(NamedTuple):
    """That a node saw a pod with an address."""

    uid: str
    name: str
    address: str
    node: str
    start: int
    end: int


class Backed(NamedTuple):
    """Who is behind a service now, and what changed: (before, earliest, latest)."""

    now: tuple[Workload, ...]
    changes: tuple[tuple[tuple[Workload, ...], int, int], ...] = ()


def pod_object(name, ips, *, start=0, ended=None, host=False, owner=None, labels=None, uid="", ports=(), life=None):
    """A pod; `life` is what is told of its one container: `waits`, or the second of its first start and restarts."""
    spec = {"hostNetwork": host, "containers": [{"name": "c", "ports": [{"containerPort": port} for port in ports]}]}
    uid = uid and name + uid
    item = pod(name, *ips, start=start, ended=ended, spec=spec, labels=labels or {}, uid=uid, **(owner or {}))
    status: dict[str, Any] = {"state": {"waiting": {}}}
    if ended is not None:
        status["state"] = item["status"]["containerStatuses"][0]["state"]
    if isinstance(life, tuple):
        first, restarts = life
        began = {"startedAt": time(first)}
        if restarts:
            status |= {"restartCount": restarts, "lastState": {"terminated": began}}
            began = {"startedAt": time(first + 1)}
        if ended is None:
            status["state"] = {"running": began}
        else:
            status["state"]["terminated"] |= began
    if life is not None:
        item["status"]["containerStatuses"] = [status]
    return item


def service_object(name, ips, external, node_port, host, uid=""):
    item = service(name, *ips, externalIPs=external, type="NodePort" if node_port else "ClusterIP")
    item["metadata"]["uid"] = uid
    item["spec"]["ports"][0]["nodePort"] = node_port
    item["status"] = {"loadBalancer": {"ingress": [{"hostname": host}] if host else []}}
    return item


def node_object(address, blocks, uid=""):
    item = node("n1", address, podCIDRs=blocks)
    item["metadata"]["uid"] = uid
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
    """The present objects, the parents of deleted ones that something present descends from, and who is gone."""

    def __init__(self):
        self.objects: dict[Any, Any] = {}
        self.orphaned: dict[Any, Any] = {}
        self.gone: list[Seen | Served | Machine] = []
        self.starts: dict[str, int] = {}
        """When the first container of a present pod began, as far as that was ever told."""
        self.backed: dict[str, Backed] = {}
        self.glimpses: list[Glimpse] = []
        """The one that was told of last at the end."""
        self.ahead: dict[str, int] = {}
        self.read: set[str] = set()
        self.kept: dict[Any, Any] = {}

    # Changes

    def apply(self, item, at=None, since=None):
        key = key_of(item)
        old = self.objects.get(key)
        former = self.holder(key)
        other = (
            old
            and "" not in (uids := {old["metadata"].get("uid", ""), item["metadata"].get("uid", "")})
            and len(uids) == 2
        )
        if key[0] == "Pod":
            if other:
                self.bury(former, instant(0) + SECOND)
                self.starts.pop(key[2], None)
            if not old or other:
                uid = item["metadata"]["uid"]
                self.gone = [each for each in self.gone if each.part or not uid or each.uid != uid]
        elif other:
            self.bury(former, instant(0) + SECOND)
        self.orphaned.pop(key, None)
        self.objects[key] = item
        if key[0].endswith(".apps"):
            self.read.add(key[0])
        self.kept.clear()
        if key[0] == "Pod":
            told = first_start(item)
            if told is not None:
                self.starts[key[2]] = min(told, self.starts.get(key[2], told))
        if former and not other and at is not None:
            self.keep_lost(former, self.holder(key), at)
        self.prune()
        if key[0] == "Service" and (other or not old):
            self.backed.pop(key[2], None)
        self.notice(at, since)

    def delete(self, item, at, since=None):
        key = key_of(item)
        if key not in self.objects:
            return
        if at is not None and (found := self.holder(key)):
            self.bury(found, at + (self.ahead.get("n1", 0) if key[0] == "Pod" else 0))
        parent = parent_of(self.objects.pop(key))
        if parent:
            self.orphaned[key] = parent
        if key[0] == "Pod":
            self.starts.pop(key[2], None)
        if key[0] == "Service":
            self.backed.pop(key[2], None)
        self.prune()
        self.notice(at, since)

    def sight(self, glimpse, ahead):
        """Take in a glimpse, whose end is told as the last moment."""
        self.ahead[glimpse.node] = ahead
        same = [each for each in self.glimpses if (each.uid, each.address) == (glimpse.uid, glimpse.address)]
        self.glimpses = [each for each in self.glimpses if each not in same]
        every = [*same, glimpse]
        self.glimpses.append(
            glimpse._replace(
                name=every[0].name,
                node=glimpse.node if all(each.node == glimpse.node for each in every) else "",
                start=min(each.start for each in every),
                end=max(each.end for each in every),
            )
        )
        # All glimpses of a pod are forgotten together, and it was told of last.
        self.glimpses.sort(key=lambda each: each.uid == glimpse.uid)
        self.kept.clear()

    def bury(self, found, at):
        if isinstance(found, Seen):
            if not found.ips and not found.uid:
                return
            end = found.end if found.end_told else min(found.end, max(at, found.start + SECOND))
            self.gone.append(found._replace(end=end, waits=False))
        elif isinstance(found, Served):
            self.gone.append(found._replace(end=max(at, instant(0) + SECOND), backed=self.backed[found.name]))
        else:
            self.gone.append(found._replace(end=max(at, instant(0) + SECOND)))
        self.gone = self.gone[-REMEMBER_MOST:]

    def keep_lost(self, old, new, at):
        """Remember what one that lives on has given up."""
        if isinstance(old, Seen):
            lost = tuple(ip for ip in old.ips if ip not in new.ips)
            if lost and not old.host and not old.waits:
                at += self.ahead.get("n1", 0)
                end = new.end if new.end_told else max(at, old.start + SECOND)
                self.gone.append(old._replace(ips=lost, end=end, part=True, ports=()))
        elif isinstance(old, Served):
            lost = old._replace(
                ips=tuple(ip for ip in old.ips if ip not in new.ips),
                node_port=old.node_port if old.node_port != new.node_port else 0,
                balancer=old.balancer if old.balancer != new.balancer else "",
                part=True,
            )
            if lost.ips or lost.node_port or lost.balancer:
                self.bury(lost, at)
        else:
            lost = old._replace(
                ips=tuple(ip for ip in old.ips if ip not in new.ips),
                gateways=tuple(ip for ip in old.gateways if ip not in new.gateways),
                part=True,
            )
            if lost.ips or lost.gateways:
                self.bury(lost, at)
        self.gone = self.gone[-REMEMBER_MOST:]

    def notice(self, at, since):
        """Note who is behind each service after a change that was told at a time."""
        self.kept.clear()
        for name in self.of_kind("Service"):
            now = tuple(self.backends(name))
            was = self.backed.get(name)
            changes = was.changes if was else ()
            if was and was.now != now and at is not None:
                latest = max([at + UNSURE, *(each[2] for each in changes)])
                changes += ((was.now, at - UNSURE if since is None else min(since, at - UNSURE), latest),)
            self.backed[name] = Backed(now, changes)
        self.kept.clear()

    def forget(self, now):
        while self.gone and self.gone[0].end + REMEMBER <= now:
            del self.gone[0]
        while self.glimpses:
            oldest = [each for each in self.glimpses if each.uid == self.glimpses[0].uid]
            if any(each.end + REMEMBER > now for each in oldest):
                break
            self.glimpses = [each for each in self.glimpses if each not in oldest]
        for name, (backends, changes) in self.backed.items():
            left = list(changes)
            while left and left[0][2] + REMEMBER <= now:
                del left[0]
            self.backed[name] = Backed(backends, tuple(left))
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

    def holder(self, key):
        """A present pod, service or node as it answers."""
        if key not in self.objects:
            return None
        if key[0] == "Pod":
            return self.pod(key[2])
        item = self.objects[key]
        if key[0] == "Service":
            return served(item)
        return machine(item) if key[0] == "Node" else None

    @once
    def pod(self, name):
        item = self.of_kind("Pod")[name]
        status = item["status"]
        finished = ended_at(item)
        told = self.starts.get(name)
        return Seen(
            name,
            item["metadata"]["uid"],
            second_of(status["startTime"]) if told is None else told,
            FOREVER if finished is None else finished + SECOND,
            tuple(each["ip"] for each in status["podIPs"]),
            item["spec"]["hostNetwork"],
            tuple(each["containerPort"] for each in item["spec"]["containers"][0]["ports"]),
            item["metadata"]["labels"],
            bool(item["metadata"]["labels"].get("otterize/service-name")),
            self.workload(name),
            told is not None,
            finished is not None,
            told is None
            and bool(status.get("containerStatuses"))
            and "waiting" in status["containerStatuses"][0]["state"],
        )

    @once
    def pods(self):
        return [self.pod(name) for name in self.of_kind("Pod")]

    @once
    def gone_pods(self):
        return [each for each in self.gone if isinstance(each, Seen)]

    @once
    def all_pods(self):
        return [*self.pods(), *(each for each in self.gone_pods() if not each.part)]

    @once
    def speaking_pods(self):
        """Pods, and parts of pods, that may have spoken from their addresses."""
        return [each for each in (*self.pods(), *self.gone_pods()) if not each.waits]

    @once
    def services(self):
        return [
            *(served(item) for item in self.of_kind("Service").values()),
            *(each for each in self.gone if isinstance(each, Served)),
        ]

    @once
    def machines(self):
        return [
            *(machine(item) for item in self.of_kind("Node").values()),
            *(each for each in self.gone if isinstance(each, Machine)),
        ]

    def workload(self, name):
        way = self.chain(("Pod", "shop", name))
        root = way[-1]
        if root in way[:-1]:
            root = min(way[way.index(root) :])
        given = self.of_kind("Pod")[name]["metadata"]["labels"].get("otterize/service-name")
        return Workload(given or root[2], "shop", root[0].partition(".")[0])

    def pod_of_uid(self, uid):
        return next((each for each in self.pods() if each.uid == uid), None) or next(
            (each for each in reversed(self.gone_pods()) if each.uid == uid and not each.part), None
        )

    def exists(self, workload):
        if any(each.workload == workload for each in self.pods()):
            return True
        if workload.kind in {"Pod", ""}:
            return workload.name in self.of_kind("Pod")
        kind = f"{workload.kind}.apps"
        key = (kind, "shop", workload.name)
        return kind not in self.read or (key in self.objects and parent_of(self.objects[key]) is None)

    # Addresses

    @once
    def holders(self, address):
        """Pods, services and nodes that ever had an address, with the span in which they did."""
        found = [(each, each.start, each.end) for each in self.speaking_pods() if address in each.ips and not each.host]
        found += [(each, instant(0), each.end) for each in self.services() if address in each.ips]
        found += [(each, instant(0), each.end) for each in self.machines() if address in each.ips]
        return found

    @once
    def near(self, address, when):
        """Those that had an address, where what nodes saw is taken into account."""
        told = [each for each, start, end in self.holders(address) if start <= when < end]
        if any(not isinstance(each, Seen) for each in told):
            return told
        seen = [each for each in self.glimpses if each.address == address and each.start <= when < each.end]
        witnessed = [pod for pod in (self.witnessed(each, when) for each in seen) if pod]
        among = [each for each in told if each.uid in {pod.uid for pod in witnessed}]
        if among or not witnessed:
            return among or told
        if any(each.start_told and each.end_told and each.start + SECOND <= when < each.end - SECOND for each in told):
            return told
        if not told and not self.is_inside(address):
            return []
        at_home = [
            each for each in seen if self.witnessed(each, when) and (self.pod_of_uid(each.uid) or each.node == "n1")
        ]
        return [*([] if at_home else told), *witnessed]

    def witnessed(self, glimpse, when):
        """The pod that a node saw, unless the API says that it had no address."""
        pod = self.pod_of_uid(glimpse.uid)
        if pod is None:
            nobody = Workload(glimpse.name, "shop", "")
            return Seen(glimpse.name, glimpse.uid, 0, 0, (), False, (), {}, False, nobody, False, False, False)
        if pod.host or (pod.start_told and when < pod.start) or (pod.end_told and pod.end <= when):
            return None
        return pod

    def is_inside(self, address):
        if self.holders(address):
            return True
        if any(ip_address(address) in ip_network(block) for each in self.machines() for block in each.blocks):
            return True
        pods = [each for each in (*self.pods(), *self.gone_pods()) if not each.host]
        return any(neighbours(address, ip) for each in pods for ip in each.ips)

    @once
    def at(self, address, when):
        near = self.near(address, when)
        if not near and not self.holders(address) and when >= instant(0):
            near = [each for each in self.machines() if address in each.gateways and when < each.end]
        owners = {self.owner(each, when) for each in near}
        return {owner for owner in owners if owner[0] != "Service"} or owners

    def owner(self, each, when):
        if isinstance(each, Seen):
            return "Pod", each.name, each.workload
        return ("Node", "n1") if isinstance(each, Machine) else self.service(each, when)

    def service(self, each, when):
        return "Service", each.name, self.backends_at(each.backed or self.backed[each.name], when)

    def backends_at(self, backed, when):
        """All who may have been behind a service: each change was made at some time between two times."""
        found = set()
        since = -FOREVER
        for before, earliest, latest in (*backed.changes, (backed.now, FOREVER, FOREVER)):
            if since <= when < latest:
                found |= set(before)
            since = earliest
        return tuple(sorted(found, key=by_name))

    @once
    def control_plane(self):
        item = self.objects.get(("EndpointSlice.discovery.k8s.io", "default", "kubernetes"))
        return {each["addresses"][0] for each in item["endpoints"]} if item else set()

    def dialled(self, address, port, when):
        near = self.near(address, when)
        shared = {self.service(each, when) for each in near if isinstance(each, Served) and each.port == port}
        if shared:
            return shared
        speakers = self.at(address, when)
        has_node = any(isinstance(each, Machine) for each in near)
        if has_node:
            forwarded = {
                self.service(each, when)
                for each in self.services()
                if each.node_port == port and instant(0) <= when < each.end
            }
            if forwarded:
                return forwarded
        on_node = all(isinstance(each, Machine) for each in near if not isinstance(each, Served)) and (
            has_node or not near
        )
        api = address in self.control_plane() and port == API_PORT and "kubernetes" in self.of_kind("Service")
        if on_node and api and when >= instant(0):
            return {self.service(served(self.of_kind("Service")["kubernetes"]), when)}
        if has_node:
            pods = [each for each in self.speaking_pods() if each.host and port in each.ports and not each.part]
            pods = [each for each in pods if each.start <= when < each.end]
            if len({each.workload for each in pods}) == 1:
                return {self.owner(min(pods, key=lambda each: (-each.start, each.name)), when)}
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
                    seen.name
                    for seen in self.pods()
                    if address in seen.ips and not seen.host and not seen.waits and seen.end == FOREVER
                }
                names = names if len(names) == 1 else set()
            found |= {self.workload(name) for name in names}
        return sorted(found, key=by_name)

    def host(self, service, host, when, addresses):
        """The owners that `host.service` stands for; none where it stands for the service."""
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
                return {self.owner(seen, when)}
        for address in addresses:
            found = self.at(address, when)
            if dashed(address) == host and found and (len(found) > 1 or next(iter(found))[0] == "Pod"):
                return found
        return set()

    def name(self, question, when, addresses):
        if not question.endswith(".cluster.local"):
            balanced = [each for each in self.services() if each.balancer == question]
            then = [each for each in balanced if instant(0) <= when < each.end]
            return {self.service(each, when) for each in then or [each for each in balanced if each.end == FOREVER]}
        *above, name, _, kind, _, _ = question.split(".")
        if kind == "pod":
            return next(self.at(address, when) for address in addresses if dashed(address) == name)
        named = [each for each in self.services() if each.name == name and not each.part]
        then = [each for each in named if instant(0) <= when < each.end]
        present = [each for each in named if each.end == FOREVER]
        # The present one goes first, then the one that went last; one that is yet to come only where there is no other.
        found = ([each for each in then if each in present] or then[::-1] or present)[:1]
        if not found:
            return set()
        return (above and self.host(name, above[0], when, addresses)) or {self.service(found[0], when)}

    def lived(self, name, when):
        """The pod of that name that lived, the present one before those that are gone, the last of these first."""
        seen = [self.pod(name)] if name in self.of_kind("Pod") else []
        seen += [each for each in reversed(self.gone_pods()) if each.name == name and not each.part]
        return next((each for each in seen if each.start <= when < each.end), None)

    def hosted(self, name, address, when):
        """The workload of the pod of that name that had the address."""
        pods = [each for each in self.speaking_pods() if each.name == name and each.start <= when < each.end]
        has_node = any(isinstance(each, Machine) for each, start, end in self.holders(address) if start <= when < end)
        fitting = [each for each in pods if (has_node if each.host else address in each.ips)]
        found = {each.workload for each in fitting}
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


def served(item):
    """A service as it answers."""
    spec = item["spec"]
    ingress = item.get("status", {}).get("loadBalancer", {}).get("ingress", [])
    return Served(
        item["metadata"]["name"],
        item["metadata"].get("uid", ""),
        tuple(dict.fromkeys([*spec["clusterIPs"], *spec["externalIPs"]])),
        spec["ports"][0]["port"],
        spec["ports"][0].get("nodePort", 0),
        ingress[0]["hostname"] if ingress else "",
    )


def machine(item):
    """A node as it answers."""
    blocks = item["spec"].get("podCIDRs", [])
    gateways = [str(block[place]) for block in map(ip_network, blocks) if block.num_addresses > 2 for place in (0, 1)]
    ips = (item["status"]["addresses"][0]["address"],)
    return Machine(item["metadata"].get("uid", ""), ips, tuple(blocks), tuple(dict.fromkeys(gateways)))


def first_start(item):
    """When the first container began, where that is told."""
    statuses = item["status"].get("containerStatuses")
    if not statuses:
        return None
    state, before = statuses[0]["state"], statuses[0].get("lastState")
    if before:
        return second_of(before["terminated"]["startedAt"]) if statuses[0]["restartCount"] < 2 else None
    began = (state.get("running") or state.get("terminated") or {}).get("startedAt")
    return began and second_of(began)


def ended_at(item):
    """When the last container ended, of a pod that is over."""
    statuses = item["status"].get("containerStatuses")
    if not statuses or item["status"]["phase"] != "Succeeded":
        return None
    return second_of(statuses[0]["state"]["terminated"]["finishedAt"])


def second_of(text):
    return instant(int(text[-3:-1]))


def by_name(workload):
    return workload.namespace, workload.name, workload.kind


def neighbours(one, other):
    if (":" in one) != (":" in other):
        return False
    prefix = 64 if ":" in one else 24
    return ip_network(f"{one}/{prefix}", strict=False) == ip_network(f"{other}/{prefix}", strict=False)


def dashed(address):
    return address.replace(".", "-").replace(":", "-")
