"""What the Kubernetes API told outlasts the mapper: reports of before are resolved as of their time."""

from __future__ import annotations

import asyncio
import contextlib

import kube
import pytest

from network_mapper.cluster.index import Index
from network_mapper.cluster.objects import POD, Owner
from network_mapper.mapper.decode import encode
from network_mapper.mapper.keeper import Keeper
from network_mapper.mapper.state import State, seen_in
from network_mapper.model import Tally, Workload
from network_mapper.store import Database, StoreUnavailableError, Writer
from network_mapper.wire.report import Client, Flow, Report

HOUR = 3_600_000
WEB = Workload("web", "shop", "Deployment")
FIRST = kube.pod("web-1-a", "10.0.0.1", uid="1", labels={"app": "web"}, **kube.owned_by("ReplicaSet", "web-1"))
REPLICA_SET = kube.replica_set("web-1", "web")
OTHER = kube.pod("job-1", "10.0.0.1", uid="2", start=30)
SERVER = kube.pod("db-0", "10.0.0.9", uid="9")
NODE = kube.node("n1", "192.168.0.1", podCIDRs=["10.0.0.0/24"])


class Mapper:
    """An index behind a keeper, over one store."""

    def __init__(self, path, remember=HOUR, most=1000):
        self.path = str(path)
        with contextlib.closing(Database(self.path)) as database:
            self.index = Index()
            self.keeper = Keeper(self.index, remember=remember, most=most)
            self.state = State(self.index, 1000)
            self.state.keeper = self.keeper
            self.state.restore(database, kube.instant(40))
            self.recalled = self.keeper.recall(database.objects(), kube.instant(40))

    def put(self, *items):
        for item in items:
            self.keeper.apply(kube.kind_of(item), kube.decoded(item))

    def listed(self, *items, now=40):
        """The API is read once."""
        self.put(*items)
        kinds = {"Pod", "ReplicaSet.apps", "Node", "Service", "EndpointSlice.discovery.k8s.io"}
        return self.keeper.settle(kinds, kube.instant(now))

    def written(self):
        """Write what is to be written, and say what the store has then."""
        self.run(lambda writer: self.state.keep(writer, kube.instant(40)))
        with contextlib.closing(Database(self.path)) as database:
            return [(row.name, row.uid, row.gone and (row.gone - kube.BASE) // 1000) for row in database.objects()]

    def run(self, work):
        async def main():
            loop = asyncio.get_running_loop()
            writer = Writer(self.path, sync="normal", max_bytes=0, deliver=loop.call_soon_threadsafe)
            writer.start()
            try:
                done = work(writer)
                if done is not None:
                    await done
            finally:
                await asyncio.to_thread(writer.close, 5)
            await asyncio.sleep(0)

        asyncio.run(main())

    def who(self, second, address="10.0.0.1"):
        claim = self.index.at(address, kube.instant(second))
        return claim and claim.owner.workload


@pytest.fixture
def path(tmp_path):
    return tmp_path / "map.db"


def test_who_was_there_is_known_after_a_restart(path):
    first = Mapper(path)
    first.put(REPLICA_SET, FIRST)
    assert sorted(first.written()) == [("web-1", "", 0), ("web-1-a", "1", 0)]
    again = Mapper(path)
    assert again.recalled == 2
    assert again.who(10) == WEB
    assert again.index.labels_of(WEB) == {"app": "web"}


def test_who_is_not_listed_any_more_has_gone_meanwhile_and_is_remembered_with_its_name(path):
    first = Mapper(path)
    first.put(REPLICA_SET, FIRST)
    first.written()
    again = Mapper(path)
    assert again.listed(OTHER) == 2
    assert again.who(10) == WEB
    assert again.who(50) == Workload("job-1", "shop", "Pod")
    assert sorted(again.written()) == [("job-1", "2", 0), ("web-1", "", 40), ("web-1-a", "1", 40)]


def test_who_was_gone_before_is_still_remembered(path):
    first = Mapper(path)
    first.put(REPLICA_SET, FIRST)
    first.keeper.delete(POD, "shop", "web-1-a", at=kube.instant(20))
    first.put(OTHER)
    assert sorted(first.written()) == [("job-1", "2", 0), ("web-1", "", 0), ("web-1-a", "1", 20)]
    again = Mapper(path)
    again.listed(REPLICA_SET, OTHER)
    assert [again.who(second) for second in (10, 19, 25)] == [WEB, WEB, None]
    assert again.who(31) == Workload("job-1", "shop", "Pod")


def test_a_name_that_is_used_again_is_that_of_two_pods(path):
    first = Mapper(path)
    first.put(kube.pod("db-0", "10.0.0.1", uid="1"))
    first.written()
    first.put(kube.pod("db-0", "10.0.0.2", uid="2", start=30))
    assert {row[:2] for row in first.written()} == {("db-0", "1"), ("db-0", "2")}
    again = Mapper(path)
    assert again.who(31, "10.0.0.2") == Workload("db-0", "shop", "Pod")
    assert again.index.counts()["pods"] == 1
    assert again.index.remembered == 1


def test_what_says_nothing_new_is_not_written(path):
    mapper = Mapper(path)
    mapper.put(FIRST)
    mapper.written()
    same = kube.pod("web-1-a", "10.0.0.1", uid="1", labels={"app": "web"}, **kube.owned_by("ReplicaSet", "web-1"))
    same["metadata"]["resourceVersion"] = "77"
    mapper.put(same)
    assert mapper.keeper.pending == 0
    again = Mapper(path)
    again.put(same)
    assert again.keeper.pending == 0


def test_a_kind_that_was_not_read_is_not_taken_for_gone(path):
    first = Mapper(path)
    rollout = Owner()
    rollout.metadata = kube.decoded(REPLICA_SET).metadata
    first.keeper.apply("Rollout.argoproj.io", rollout)
    first.put(FIRST)
    first.written()
    again = Mapper(path)
    assert again.listed(FIRST) == 0
    assert again.index._owners.root(("Rollout.argoproj.io", "shop", "web-1"))[2] == "web"


def test_what_is_gone_for_long_enough_leaves_the_store(path):
    mapper = Mapper(path, remember=10_000)
    mapper.put(FIRST)
    mapper.keeper.delete(POD, "shop", "web-1-a", at=kube.instant(20))
    mapper.put(OTHER)
    assert mapper.written() == [("job-1", "2", 0)]


def test_no_more_than_allowed_of_what_is_gone_is_kept_the_newest(path):
    mapper = Mapper(path, most=2)
    for number in range(5):
        mapper.put(kube.pod(f"p{number}", uid=str(number)))
        mapper.keeper.delete(POD, "shop", f"p{number}", at=kube.instant(20 + number))
    assert [row[0] for row in mapper.written()] == ["p3", "p4"]


def test_what_could_not_be_written_is_written_the_next_time(path):
    class Full:
        def keep(self, _rows, done, _forget):
            done(StoreUnavailableError("full"))
            raise StopIteration  # one trial is enough

    mapper = Mapper(path)
    mapper.put(FIRST)
    with pytest.raises(StopIteration):
        mapper.state.keep(Full(), kube.instant(40))
    mapper.keeper.delete(POD, "shop", "web-1-a", at=kube.instant(20))
    assert mapper.keeper.pending == 1
    assert mapper.written() == [("web-1-a", "1", 20)]
    assert Mapper(path).who(10) == Workload("web-1", "shop", "ReplicaSet")


def test_a_row_that_cannot_be_read_is_passed_over(path):
    mapper = Mapper(path)
    mapper.put(FIRST, OTHER)
    mapper.written()
    with contextlib.closing(Database(mapper.path)) as database:
        database.connection.execute("UPDATE objects SET body = x'ff' WHERE name = 'web-1-a'")
    assert Mapper(path).recalled == 1


def test_a_report_of_before_a_crash_is_resolved_as_of_its_time(path):
    """The journal has a report of a pod that is gone when it is read, and whose address another one has."""
    first = Mapper(path)
    first.put(NODE, REPLICA_SET, FIRST, SERVER)
    flow = Flow("10.0.0.9", 80, "tcp", 3, 0, 0)
    report = Report("n1", "boot", 1, kube.instant(10), kube.instant(1))
    report.clients = [Client("10.0.0.1", connections=[flow])]

    def journal(writer):
        done = asyncio.get_running_loop().create_future()
        first.state.keep(writer, kube.instant(10))
        writer.append(kube.instant(10), encode(report), done.set_result)
        return done

    first.run(journal)
    first.state.apply(report, kube.instant(10), seen_in(report), Tally())
    before = edges(first.state)
    # Killed here: no checkpoint. Then the pod goes, and its address is given to another.
    again = Mapper(path)
    again.listed(NODE, OTHER, SERVER)
    with contextlib.closing(Database(again.path)) as database:
        assert again.state.replay(database, kube.instant(41)) == 1
    assert edges(again.state) == before == {("web", "db-0"): 3}
    assert again.state.accounting() == first.state.accounting()


def edges(state):
    return {(one.edge.client.name, one.edge.server.name): one.edge.connections for one in state.graph.in_order()}
