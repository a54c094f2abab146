"""Which kinds are followed, and what is said of those that cannot be, against a server in memory."""

import asyncio
import json

import fake_api
import pytest

from network_mapper.cluster.live.reflector import State
from network_mapper.cluster.live.resources import KNOWN_OWNERS
from network_mapper.kube.errors import CredentialsError

ROLLOUT = ("argoproj.io/v1alpha1", "Rollout", "web")
GRANT = "{apiGroups: [argoproj.io], resources: [rollouts], verbs: [get, list, watch]}"


def state_of(live, resource):
    return {item.resource: item.state for item in live.status()}.get(resource)


def crd(plural, group):
    return {"metadata": {"name": f"{plural}.{group}"}}


def with_rollouts(api, make_pod):
    api.serve("argoproj.io", "v1alpha1", "rollouts", "Rollout")
    api.put("rollouts", make_pod("web", owner=("example.org/v1", "App", "shop")))
    api.put("replicasets", make_pod("web-1", owner=ROLLOUT))
    api.put("pods", make_pod("web-1-a", owner=("apps/v1", "ReplicaSet", "web-1")))


def test_the_core_kinds_are_followed_at_once(run, live, new_api, make_pod):
    async def main():
        api = new_api()
        api.put("pods", make_pod("a"))
        async with live(api) as cluster:
            assert cluster.waiting_for()
            await asyncio.wait_for(cluster.synced.wait(), 5)
            await asyncio.sleep(1)
            assert cluster.waiting_for() == cluster.problems() == []
            assert {item.resource for item in cluster.status()} == {
                "pods",
                "services",
                "nodes",
                "endpointslices.discovery.k8s.io",
                "servicecidrs.networking.k8s.io",
                "namespaces",
                "replicasets.apps",
                "deployments.apps",
                "statefulsets.apps",
                "daemonsets.apps",
                "jobs.batch",
                "cronjobs.batch",
                "replicationcontrollers",
                "customresourcedefinitions.apiextensions.k8s.io",
            }
            assert {item.state for item in cluster.status()} == {State.WATCHING}
            assert cluster.sink.names() == ["a"]
            assert cluster.totals().lists == 14

    run(main())


def test_nothing_is_asked_for_while_nothing_happens(run, live, new_api, make_pod):
    async def main():
        api = new_api()
        with_rollouts(api, make_pod)
        async with live(api) as cluster:
            await asyncio.sleep(10)
            first = len(api.requests)
            assert first <= 2 * 15 + 4  # each kind listed and watched, discovery twice for a kind that is not served
            await asyncio.sleep(290)
            assert len(api.requests) == first
            await asyncio.sleep(3 * 3600)
            assert cluster.totals().lists == 15
            assert len([item for item in api.requests if item.path == "/apis"]) <= 2 + 3 * 7

    run(main())


def test_lists_can_be_streamed(run, live, new_api, make_pod):
    async def main():
        api = new_api()
        api.streaming = "yes"
        with_rollouts(api, make_pod)
        async with live(api, streaming=True) as cluster:
            await asyncio.sleep(10)
            assert cluster.synced.is_set()
            assert cluster.sink.names("Rollout.argoproj.io") == ["web"]
            assert cluster.totals().pages == 0
            assert len([item for item in api.requests if item.watch]) == 15

    run(main())


def test_a_kind_of_owner_is_followed_when_it_is_met_and_its_owners_too(run, live, new_api, make_pod):
    async def main():
        api = new_api()
        with_rollouts(api, make_pod)
        path = api.serve("example.org", "v1", "apps", "App")
        api.put("apps", make_pod("shop"))
        async with live(api) as cluster:
            await asyncio.sleep(1)
            assert cluster.sink.names("Rollout.argoproj.io") == ["web"]
            assert cluster.sink.names("App.example.org") == ["shop"]
            assert api.asked("rollouts")[0].accept.startswith("application/json;as=PartialObjectMetadataList")
            assert path in {item.path for item in api.requests}

    run(main())


def test_a_reference_that_is_not_the_controller_adds_no_kind(run, live, new_api, make_pod):
    async def main():
        api = new_api()
        with_rollouts(api, make_pod)
        api.serve("example.org", "v1", "things", "Thing")
        other = {"apiVersion": "example.org/v1", "kind": "Thing", "name": "x"}
        item = make_pod("b", owner=("apps/v1", "ReplicaSet", "web-1"))
        item["metadata"]["ownerReferences"].insert(0, other)
        api.put("pods", item)
        async with live(api) as cluster:
            await asyncio.sleep(10)
            assert state_of(cluster, "things.example.org") is None

    run(main())


def test_secrets_config_maps_and_nodes_are_not_read_as_owners(run, live, new_api, make_pod):
    async def main():
        api = new_api()
        api.serve("", "v1", "secrets", "Secret")
        api.serve("", "v1", "configmaps", "ConfigMap")
        for kind in ("Secret", "ConfigMap", "Node", "Pod"):
            api.put("pods", make_pod(f"of-{kind.lower()}", owner=("v1", kind, "x")))
        async with live(api) as cluster:
            await asyncio.sleep(10)
            assert not api.asked("secrets")
            assert not api.asked("configmaps")
            assert len(api.lists("nodes")) == 1
            assert len(cluster.sink.names()) == 4

    run(main())


@pytest.mark.parametrize(
    ("plural", "unknown"),
    [
        ("namespaces", "it is not known which PodSecurity level the sniffers' namespace enforces"),
        ("servicecidrs", "an address of a service that is gone may be taken for one outside"),
        ("daemonsets", "workloads that they own go by the name of what is below"),
        ("jobs", "workloads that they own go by the name of what is below"),
    ],
)
def test_what_is_unknown_where_one_kind_may_not_be_read_is_told_and_the_rest_works(run, live, new_api, plural, unknown):
    async def main():
        api = new_api()
        api.forbidden.add(plural)
        async with live(api) as cluster:
            await asyncio.wait_for(cluster.synced.wait(), 10)
            await asyncio.sleep(5)
            (line,) = cluster.problems()
            assert line.startswith(plural)
            assert unknown in line
            assert f"resources: [{plural}], verbs: [get, list, watch]" in line
            assert [item.state for item in cluster.status()].count(State.WATCHING) == 13
            api.forbidden.clear()
            await asyncio.sleep(70)
            assert cluster.problems() == []

    run(main())


def test_an_owner_that_may_not_be_read_is_told_with_its_grant(run, live, new_api, make_pod):
    async def main():
        api = new_api()
        with_rollouts(api, make_pod)
        api.forbidden |= {"rollouts", "cronjobs"}
        async with live(api) as cluster:
            await asyncio.sleep(10)
            assert cluster.synced.is_set()
            assert state_of(cluster, "rollouts.argoproj.io") is State.FORBIDDEN
            (status,) = [item for item in cluster.status() if item.resource == "rollouts.argoproj.io"]
            assert status.grant == GRANT
            assert status.kind == "Rollout.argoproj.io"
            lines = cluster.problems()
            assert any("cronjobs.batch may not be read" in line for line in lines)
            assert any(GRANT in line and "rollouts.argoproj.io may not be read" in line for line in lines)
            await asyncio.sleep(1500)
            assert 45 <= len(api.asked("rollouts")) <= 56
            api.forbidden.clear()
            await asyncio.sleep(67)
            assert cluster.sink.names("Rollout.argoproj.io") == ["web"]
            assert cluster.problems() == []

    run(main())


def test_without_the_right_to_read_pods_it_waits_and_says_which_right(run, live, new_api, make_pod):
    async def main():
        api = new_api()
        api.put("pods", make_pod("a"))
        api.forbidden.add("pods")
        async with live(api) as cluster:
            await asyncio.sleep(200)
            assert not cluster.synced.is_set()
            (line,) = cluster.waiting_for()
            assert 'grant {apiGroups: [""], resources: [pods], verbs: [get, list, watch]}' in line
            assert line in cluster.problems()
            api.forbidden.clear()
            await asyncio.wait_for(cluster.synced.wait(), 6)
            assert cluster.sink.names() == ["a"]

    run(main())


def test_a_grant_of_one_resource_is_reason_to_ask_for_all_that_were_refused(run, live, new_api, make_pod):
    async def main():
        api = new_api()
        api.put("pods", make_pod("web-5-a", owner=("apps/v1", "ReplicaSet", "web-5")))
        api.put("replicasets", make_pod("web-5", owner=("apps/v1", "Deployment", "web")))
        api.forbidden |= {"pods", "replicasets", "deployments"}
        async with live(api) as cluster:
            await asyncio.sleep(100)
            api.forbidden.clear()
            await asyncio.wait_for(cluster.synced.wait(), 6)
            assert cluster.sink.names("ReplicaSet.apps") == ["web-5"]  # pods were never known by a passing name
            assert cluster.problems() == []

    run(main())


def test_clusters_without_endpoint_slices_are_read_by_endpoints(run, live, new_api, make_pod):
    async def main():
        api = new_api()
        api.unserve("endpointslices")
        api.unserve("servicecidrs")
        api.put("endpoints", make_pod("db"))
        async with live(api) as cluster:
            await asyncio.wait_for(cluster.synced.wait(), 5)
            assert cluster.sink.names("Endpoints") == ["db"]
            assert cluster.problems() == []
            api.serve("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")  # the cluster was upgraded
            api.put("endpointslices", make_pod("db-1"))
            await asyncio.sleep(700)
            assert cluster.sink.names("EndpointSlice.discovery.k8s.io") == ["db-1"]
            assert cluster.sink.names("Endpoints") == []

    run(main())


def test_servers_without_aggregated_discovery_are_asked_group_by_group(run, live, new_api, make_pod):
    async def main():
        api = new_api()
        api.aggregated = False
        with_rollouts(api, make_pod)
        async with live(api) as cluster:
            await asyncio.sleep(10)
            assert cluster.sink.names("Rollout.argoproj.io") == ["web"]
            assert state_of(cluster, "rollouts.argoproj.io") is State.WATCHING

    run(main())


def test_versions_are_those_that_the_server_prefers_and_follow_it(run, live, new_api, make_pod):
    async def main():
        api = new_api()
        api.unserve("endpointslices")
        api.serve("discovery.k8s.io", "v1beta1", "endpointslices", "EndpointSlice")
        api.put("endpointslices", make_pod("db-1"))
        async with live(api) as cluster:
            await asyncio.wait_for(cluster.synced.wait(), 5)
            assert api.lists("endpointslices")[0].path == "/apis/discovery.k8s.io/v1beta1/endpointslices"
            api.unserve("endpointslices")
            api.serve("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
            api.put("endpointslices", make_pod("db-2"))
            await asyncio.sleep(60)
            assert cluster.sink.names("EndpointSlice.discovery.k8s.io") == ["db-2"]
            assert state_of(cluster, "endpointslices.discovery.k8s.io") is State.WATCHING

    run(main())


@pytest.mark.parametrize("readable", [True, False])
def test_kinds_that_come_and_go_are_noticed(run, live, new_api, make_pod, readable):
    async def main():
        api = new_api()
        wait = 5 if readable else 70
        if not readable:
            api.forbidden.add("customresourcedefinitions")
        api.put("replicasets", make_pod("web-1", owner=ROLLOUT))
        async with live(api) as cluster:
            await asyncio.sleep(100)
            assert state_of(cluster, "rollouts.argoproj.io") is None
            api.serve("argoproj.io", "v1alpha1", "rollouts", "Rollout")
            api.put("rollouts", make_pod("web", owner=("apps/v1", "Deployment", "x")))
            api.put("customresourcedefinitions", crd("rollouts", "argoproj.io"))
            await asyncio.sleep(wait)
            assert cluster.sink.names("Rollout.argoproj.io") == ["web"]
            lists = cluster.totals().lists
            api.unserve("rollouts")
            api.remove("customresourcedefinitions", "", "rollouts.argoproj.io")
            await asyncio.sleep(wait)
            assert state_of(cluster, "rollouts.argoproj.io") is None
            assert cluster.sink.names("Rollout.argoproj.io") == []
            assert "rollouts" not in api.open_watches()
            assert cluster.totals().lists >= lists
            assert cluster.problems() == []
            api.serve("argoproj.io", "v1beta1", "rollouts", "Rollout")
            api.put("rollouts", make_pod("again"))
            api.put("customresourcedefinitions", crd("rollouts", "argoproj.io"))
            await asyncio.sleep(wait)
            assert cluster.sink.names("Rollout.argoproj.io") == ["again"]

    run(main())


def test_definitions_that_nobody_asked_for_cause_no_requests(run, live, new_api, make_pod):
    async def main():
        api = new_api()
        with_rollouts(api, make_pod)
        async with live(api):
            await asyncio.sleep(20)
            before = len(api.requests)
            for number in range(50):
                api.put("customresourcedefinitions", crd(f"things{number}", "other.example"))
            await asyncio.sleep(100)
            assert len(api.requests) == before

    run(main())


def test_discovery_that_lags_behind_a_definition_is_asked_again(run, live, new_api, make_pod):
    async def main():
        api = new_api()
        api.put("replicasets", make_pod("web-1", owner=ROLLOUT))
        async with live(api) as cluster:
            await asyncio.sleep(20)
            api.put("customresourcedefinitions", crd("rollouts", "argoproj.io"))
            await asyncio.sleep(4)
            api.serve("argoproj.io", "v1alpha1", "rollouts", "Rollout")
            await asyncio.sleep(10)
            assert state_of(cluster, "rollouts.argoproj.io") is State.WATCHING

    run(main())


def test_a_group_that_cannot_be_asked_takes_nothing_away(run, live, new_api, make_pod):
    async def main():
        api = new_api()
        with_rollouts(api, make_pod)
        async with live(api) as cluster:
            await asyncio.sleep(10)
            body = json.loads((await api.get("/apis", accept="application/json")).body)
            for group in body["items"]:
                if group["metadata"].get("name") == "argoproj.io":
                    group["versions"] = [{"version": "v1alpha1", "freshness": "Stale", "resources": []}]
            api.answer("/apis", 200, json.dumps(body).encode(), times=3)
            api.put("customresourcedefinitions", crd("others", "argoproj.io"))
            await asyncio.sleep(30)
            assert cluster.sink.names("Rollout.argoproj.io") == ["web"]

    run(main())


def test_an_api_that_is_down_at_the_start_is_waited_for(run, live, new_api, make_pod):
    async def main():
        api = new_api()
        api.down = True
        api.put("pods", make_pod("a"))
        async with live(api) as cluster:
            await asyncio.sleep(300)
            (line,) = cluster.problems()
            assert line.startswith("the API server does not answer since 2026-")
            assert "connection refused" in line
            assert cluster.waiting_for() == [line]
            assert len(api.requests) < 40
            api.down = False
            await asyncio.wait_for(cluster.synced.wait(), 60)
            assert cluster.problems() == []
            api.down = True
            api.cut()
            await asyncio.sleep(5)
            assert len(cluster.problems()) == 1
            assert cluster.synced.is_set()

    run(main())


def test_credentials_that_cannot_be_had_are_told_and_tried_again(run, live, new_api):
    async def main():
        api = new_api()
        api.fail("/api", CredentialsError("the plugin aws failed: exit code 255"), times=5)
        async with live(api) as cluster:
            await asyncio.sleep(3)
            assert "the plugin aws failed" in cluster.problems()[0]
            await asyncio.wait_for(cluster.synced.wait(), 120)

    run(main())


@pytest.mark.parametrize(("status", "body"), [(403, b""), (200, b"<html>"), (503, b"not ready")])
def test_without_discovery_the_core_kinds_are_read_nevertheless(run, live, new_api, make_pod, status, body):
    async def main():
        api = new_api()
        api.put("pods", make_pod("a"))
        api.answer("/api", status, body, times=10_000)
        async with live(api) as cluster:
            await asyncio.wait_for(cluster.synced.wait(), 30)
            assert cluster.sink.names() == ["a"]
            await asyncio.sleep(300)
            assert any(line.startswith("discovery failed: ") for line in cluster.problems())
            assert len(api.requests) < 150

    run(main())


def test_the_kinds_that_are_followed_are_bounded(run, live, new_api, make_pod):
    async def main():
        api = new_api()
        for number in range(12):
            api.serve("example.org", "v1", f"things{number:02}", f"Thing{number:02}")
            api.put("pods", make_pod(f"p{number}", owner=("example.org/v1", f"Thing{number:02}", "x")))
        async with live(api, most_kinds=10) as cluster:
            await asyncio.sleep(10)
            followed = [item for item in cluster.status() if item.resource.startswith("things")]
            assert len(followed) == 10
            (line,) = cluster.problems()
            assert line.startswith("2 kinds of owners more than 10 are not followed: Thing")
            assert len(cluster.sink.names()) == 12

    run(main())


def test_a_kind_that_nobody_can_list_is_told(run, live, new_api, make_pod):
    async def main():
        api = new_api()
        api.put("pods", make_pod("a", owner=("example.org/v1", "Review", "x")))
        api.serve("example.org", "v1", "reviews", "Review")
        row = api._aggregate

        def only_create(groups):
            found = row(groups)
            for group in found["items"]:
                for version in group["versions"]:
                    for resource in version["resources"]:
                        if resource["resource"] == "reviews":
                            resource["verbs"] = ["create"]
            return found

        api._aggregate = only_create
        async with live(api) as cluster:
            await asyncio.sleep(10)
            assert not api.asked("reviews")
            assert any("Review.example.org" in line for line in cluster.problems())

    run(main())


def test_only_annotations_that_can_name_a_workload_are_kept(run, live, new_api, make_pod):
    async def main():
        api = new_api()
        name = "intents.otterize.com/workload-name"
        api.put("pods", make_pod("a", annotations={name: "shop", "big": "x" * 1000}))
        api.put("pods", make_pod("b", annotations={"big": "x" * 1000}))
        async with live(api) as cluster:
            await asyncio.sleep(1)
            assert cluster.sink.objects["Pod", "shop", "a"].metadata.annotations == {name: "shop"}
            assert cluster.sink.objects["Pod", "shop", "b"].metadata.annotations is None

    run(main())


def test_objects_that_cannot_be_read_are_among_the_problems(run, live, new_api, make_pod):
    async def main():
        api = new_api()
        api.put("pods", make_pod("a") | {"spec": 7})
        async with live(api) as cluster:
            await asyncio.sleep(1)
            (line,) = cluster.problems()
            assert line.startswith("pods shop/a: Expected `object | null`, got `int`")
            assert cluster.totals().malformed == 1
            api.put("pods", make_pod("a"))
            await asyncio.sleep(1)
            assert cluster.problems() == []

    run(main())


def test_a_resource_that_keeps_failing_is_told(run, live, new_api, make_pod):
    async def main():
        api = new_api()
        api.answer("/services", 500, fake_api.status_body(500, "InternalError", "etcd is unwell"), times=20)
        async with live(api) as cluster:
            await asyncio.sleep(30)
            (line,) = cluster.problems()
            assert line.startswith("services cannot be read since 2026-")
            assert line.endswith("etcd is unwell")
            assert cluster.waiting_for() == ["services are being listed: etcd is unwell"]

    run(main())


@pytest.mark.parametrize("moment", [0, 0.5, 500])
def test_closing_takes_no_time(run, live, new_api, make_pod, moment):
    async def main():
        api = new_api()
        with_rollouts(api, make_pod)
        async with live(api):
            await asyncio.sleep(moment)
            before = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - before < 0.01
        assert api.open_watches() == []
        assert len(asyncio.all_tasks()) == 1

    run(main())


def test_known_owners_are_listed_once_and_in_order():
    assert list(KNOWN_OWNERS) == sorted(set(KNOWN_OWNERS))
