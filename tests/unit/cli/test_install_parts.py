"""The steps of `install`, `upgrade` and `uninstall` by themselves, against an API that is a few lines here.

That they fit together and to a real API server is for the tests with one.
"""

from __future__ import annotations

import json

import pytest
from install_api import Client, Cluster, run

from network_mapper.cli.deploy import apply, find, manifests, namespace, options, remove, rollout
from network_mapper.cli.deploy.find import Installation
from network_mapper.cli.deploy.manifests import Options
from network_mapper.cli.deploy.session import Api, DeniedError
from network_mapper.cli.errors import CliError
from network_mapper.cli.install import _refuse_change, refuse_others
from network_mapper.cli.upgrade import _numbers, choose

LEVELS = {f"pod-security.kubernetes.io/{mode}" for mode in ("enforce", "audit", "warn")}
ENFORCE = "pod-security.kubernetes.io/enforce"
OURS = {"app.kubernetes.io/managed-by": "network-mapper"}


# The API


def test_only_the_object_that_was_seen_is_removed_and_what_it_has_made_with_it():
    client = Client((200, {}))
    assert run(Api(client).delete("/api/v1/namespaces/maps/services/m", "uid-1"))
    ((method, _, _, body),) = client.asked
    assert method == "DELETE"
    assert body == {"propagationPolicy": "Background", "preconditions": {"uid": "uid-1"}}


@pytest.mark.parametrize("status", [404, 409])
def test_an_object_that_is_gone_or_another_one_now_is_no_failure(status):
    assert run(Api(Client((status, {}))).delete("/x", "uid-1")) is False


def test_a_long_list_is_read_page_by_page():
    pages = [
        (200, {"kind": "PodList", "apiVersion": "v1", "items": [{"n": 1}], "metadata": {"continue": "next"}}),
        (200, {"kind": "PodList", "apiVersion": "v1", "items": [{"n": 2}], "metadata": {}}),
    ]
    client = Client(*pages)
    found = run(Api(client).list("/api/v1/pods", labelSelector="a=b"))
    assert [item["n"] for item in found] == [1, 2]
    assert {(item["apiVersion"], item["kind"]) for item in found} == {("v1", "Pod")}
    assert [params.get("continue") for _, _, params, _ in client.asked] == [None, "next"]
    assert {params["labelSelector"] for _, _, params, _ in client.asked} == {"a=b"}


def test_what_the_api_remarks_again_and_again_is_kept_once():
    remark = {"warning": '299 - "old \\"thing\\"", 299 - "another"'}
    api = Api(Client((200, {}, remark), (200, {}, remark)))
    for _ in range(2):
        run(api.apply("/x", {}))
    assert api.warnings == ['old "thing"', "another"]


@pytest.mark.parametrize(("dry_run", "force"), [(False, False), (True, False), (False, True)])
def test_applying_says_whose_fields_they_are_and_whether_it_is_a_trial(dry_run, force):
    client = Client((200, {}))
    run(Api(client).apply("/x", {}, dry_run=dry_run, force=force))
    wanted = {"fieldManager": "network-mapper", "force": str(force).lower()} | ({"dryRun": "All"} if dry_run else {})
    assert client.asked[0][2] == wanted


@pytest.mark.parametrize(
    ("message", "right"),
    [
        ('cannot create resource "daemonsets" in API group "apps" in the namespace "maps"',
         "create daemonsets.apps in namespace maps"),
        ('cannot list resource "nodes" in API group "" at the cluster scope', "list nodes in the whole cluster"),
        ('cannot create resource "namespaces" in API group "" in the namespace "maps"',
         "create namespaces in the whole cluster"),
    ],
)  # fmt: skip
def test_a_missing_right_is_named_with_where_it_is_missing(message, right):
    assert DeniedError(f"it {message}", 403, "Forbidden", []).missing_right == right
    assert DeniedError(f"it {message}", 500, "Forbidden", []).missing_right == ""


# Applying


class Applied(Cluster):
    """Takes everything, counting writes as the server does."""

    async def apply(self, _path, item, **_):
        meta = {**item["metadata"], "resourceVersion": "2", "generation": 2, "uid": "u", "managedFields": [2]}
        return {**item, "metadata": meta, "status": {"n": 2}}


@pytest.mark.parametrize(("before", "action"), [(None, "created"), ("1", "unchanged"), ("0", "configured")])
def test_what_only_the_server_counts_is_no_change(before, action):
    meta = {"name": "m", "namespace": "maps", "labels": {"a": "1"}}
    item = {"apiVersion": "v1", "kind": "Service", "metadata": meta}
    cluster = Applied()
    if before is not None:
        counted = {"labels": {"a": before}, "resourceVersion": "1", "generation": 1, "uid": "u", "managedFields": [1]}
        there = {**item, "metadata": meta | counted, "status": {"n": 1}}
        cluster.objects["/api/v1/namespaces/maps/services/m"] = there
    assert run(apply.apply_one(cluster, item)).action == action


def test_a_kind_that_the_cluster_lacks_is_told_from_an_object_that_is_missing():
    item = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "m", "namespace": "maps"}}
    lacks = DeniedError("the server could not find the requested resource", 404, "", [])
    missing = DeniedError('namespaces "maps" not found', 404, "NotFound", [])
    assert "has no services, of which this profile has some" in apply._refusal([(item, lacks)], "here").message
    assert 'refuses service/m: namespaces "maps" not found' in apply._refusal([(item, missing)], "here").message


def test_where_one_object_is_refused_it_says_how_many_were_applied_before():
    class Refuses(Applied):
        async def apply(self, path, item, **more):
            if item["metadata"]["name"] == "bad":
                raise DeniedError("no such thing", 422, "Invalid", [])
            return await super().apply(path, item, **more)

    def item(name):
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "maps"}}

    with pytest.raises(CliError, match="2 of 4 objects were applied before and stay"):
        run(apply.apply_all(Refuses(), [item("a"), item("b"), item("bad"), item("c")], "here"))
    with pytest.raises(CliError) as caught:
        run(apply.apply_all(Refuses(), [item("bad")], "here"))
    assert "were applied before" not in caught.value.message


# The namespace


def look(labels, label, *, there=True):
    cluster = Cluster()
    if there:
        cluster.objects["/api/v1/namespaces/maps"] = {"metadata": {"name": "maps", "labels": labels}}
    return run(namespace.look(cluster, "maps", label=label))


@pytest.mark.parametrize(("label", "labelled"), [(None, True), (True, True), (False, False)])
def test_a_namespace_that_is_made_lets_the_sniffers_in_unless_that_is_not_wanted(label, labelled):
    found = look({}, label, there=False)
    assert (found.exists, found.ours, found.forbids) == (False, True, "")
    assert found.change["metadata"]["labels"] == OURS | (dict.fromkeys(LEVELS, "privileged") if labelled else {})


@pytest.mark.parametrize(("label", "changed"), [(None, False), (False, False), (True, True)])
def test_a_namespace_of_somebody_else_is_changed_only_when_that_is_asked_for_and_stays_theirs(label, changed):
    found = look({"team": "x"}, label)
    assert not found.ours
    assert (found.change is not None) == changed
    if changed:
        assert found.change["metadata"]["labels"] == dict.fromkeys(LEVELS, "privileged")


@pytest.mark.parametrize(("label", "changed"), [(None, True), (False, False), (True, True)])
def test_a_namespace_of_ours_that_lost_its_labels_gets_them_again_unless_that_is_not_wanted(label, changed):
    found = look(OURS, label)
    assert found.ours
    assert (found.change is not None) == changed


def test_a_namespace_that_has_its_labels_is_left_alone():
    assert look(OURS | dict.fromkeys(LEVELS, "privileged"), None).change is None


@pytest.mark.parametrize(
    ("level", "forbids"), [("", False), ("privileged", False), ("baseline", True), ("restricted", True)]
)
def test_a_namespace_forbids_the_sniffers_by_the_level_that_it_enforces(level, forbids):
    found = look({ENFORCE: level, "pod-security.kubernetes.io/warn": "restricted"}, None)
    assert bool(found.forbids) == forbids
    assert (f"enforces the PodSecurity level '{level}'" in found.forbids) == forbids


def test_a_namespace_that_is_about_to_be_allowed_does_not_forbid():
    assert look({ENFORCE: "restricted"}, True).forbids == ""


@pytest.mark.parametrize("label", [None, False, True])
def test_a_namespace_that_may_not_be_read_is_taken_for_somebody_elses(label):
    cluster = Cluster()
    cluster.forbidden.add("/api/v1/namespaces/maps")
    found = run(namespace.look(cluster, "maps", label=label))
    assert (found.exists, found.ours, found.change is not None) == (True, False, bool(label))


# What is there


def deployment(where, manager="network-mapper", version="1.2.3", wanted=None, **meta):
    labels = {"app.kubernetes.io/managed-by": manager, "app.kubernetes.io/version": version}
    notes = {"network-mapper.io/options": json.dumps(wanted)} if wanted is not None else {}
    return {"metadata": {"name": "network-mapper", "namespace": where, "labels": labels, "annotations": notes, **meta}}


DEPLOYMENTS = "/apis/apps/v1/deployments"
DAEMON_SETS = "/apis/apps/v1/daemonsets"
ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"


def role(where):
    return {"metadata": {"name": f"network-mapper.{where}", "labels": {"network-mapper.io/installation": where}}}


def daemon_set(where, value):
    env = [{"name": "NETWORK_MAPPER_HEALTH_PORT", "value": value}]
    return {"metadata": {"namespace": where}, "spec": {"template": {"spec": {"containers": [{"env": env}]}}}}


def test_an_installation_is_known_by_its_deployment_and_has_its_options():
    cluster = Cluster()
    cluster.lists = {DEPLOYMENTS: [deployment("maps", wanted={"profile": "sockets"})], ROLES: [role("maps")]}
    assert run(find.installations(cluster, "maps")) == [
        Installation("maps", "network-mapper", version="1.2.3", options=Options("sockets"))
    ]


def test_what_is_left_of_one_is_known_by_its_role_and_one_that_goes_is_not_there():
    cluster = Cluster()
    cluster.lists = {
        DEPLOYMENTS: [deployment("goes", deletionTimestamp="2026-01-01T00:00:00Z")],
        ROLES: [role("left")],
    }
    assert [one.namespace for one in run(find.installations(cluster, "maps"))] == ["left"]


def test_where_only_one_namespace_may_be_asked_that_is_asked():
    cluster = Cluster()
    cluster.forbidden |= {DEPLOYMENTS, ROLES}
    cluster.lists = {"/apis/apps/v1/namespaces/maps/deployments": [deployment("maps")]}
    assert [one.namespace for one in run(find.installations(cluster, "maps"))] == ["maps"]


@pytest.mark.parametrize(
    ("port", "refused"), [("127.0.0.1:19591", True), ("19591", True), ("19592", False), ("0", False)]
)
def test_the_port_of_another_installations_sniffers_is_refused(port, refused):
    cluster = Cluster()
    cluster.lists = {DEPLOYMENTS: [deployment("first", "Helm")], DAEMON_SETS: [daemon_set("first", port)]}
    found = run(find.installations(cluster, "maps"))
    if refused:
        with pytest.raises(CliError, match=r"namespace first have port 19591 .* --sniffer-health-port, 19592"):
            find.refuse_port(found, "maps", Options())
    else:
        find.refuse_port(found, "maps", Options())
    find.refuse_port(found, "maps", Options(health_port=18000))


def test_its_own_port_is_not_refused_to_an_installation():
    find.refuse_port([Installation("maps", "network-mapper", health_port=19591)], "maps", Options())


def test_what_is_on_its_way_out_is_no_part_of_an_installation():
    cluster = Cluster()
    path = "/api/v1/namespaces/maps/services"
    cluster.lists[path] = [{"metadata": {"name": "a"}}, {"metadata": {"name": "b", "deletionTimestamp": "2026"}}]
    assert [item["metadata"]["name"] for item in run(find.objects(cluster, "maps", frozenset()))] == ["a"]


def test_a_kind_that_may_not_be_read_is_passed_over_unless_it_is_needed():
    cluster = Cluster()
    cluster.forbidden.add("/api/v1/namespaces/maps/services")
    assert run(find.objects(cluster, "maps", frozenset({"Deployment"}))) == []
    with pytest.raises(DeniedError):
        run(find.objects(cluster, "maps", frozenset({"Service"})))


# Which one, and with what


def test_an_upgrade_keeps_what_was_chosen_but_the_tag():
    before = Options("sockets", "r.example.com:5000/m:1.0@sha256:" + "0" * 64, ("s",), 18000)
    assert options.chosen(None, None, (), None, before) == Options("sockets", "r.example.com:5000/m", ("s",), 18000)


def test_an_upgrade_changes_what_is_said():
    before = Options("sockets", "r.example.com/m", ("s",), 18000)
    after = Options("default", "other/m:2", ("t",), 19000)
    assert options.chosen("default", "other/m:2", ("t",), 19000, before) == after


@pytest.mark.parametrize(
    ("older", "newer"), [("0.9.0", "0.10.0"), ("1.2.3", "1.2.4"), ("1.2.3+build9", "1.2.4"), ("1.2", "1.2.1")]
)
def test_versions_are_compared_by_their_numbers(older, newer):
    assert _numbers(older) < _numbers(newer)


def test_what_stands_behind_a_version_does_not_count():
    assert _numbers("1.2+7") == _numbers("1.2")


def test_of_several_installations_one_has_to_be_named():
    found = [Installation(name, "network-mapper") for name in ("a", "b")]
    with pytest.raises(CliError, match=r"a, b\. Choose one with -n"):
        choose(found, "", "here", "upgrade")
    assert choose(found, "b", "here", "upgrade") == found[1]


def test_one_of_ours_is_chosen_though_helm_has_another():
    found = [Installation("a", "Helm", "rel"), Installation("b", "network-mapper")]
    assert choose(found, "", "here", "upgrade") == found[1]
    with pytest.raises(CliError, match="helm upgrade rel -n a"):
        choose(found, "a", "here", "upgrade")


def ours(where, **more):
    return Installation(where, "network-mapper", options=Options(), version="1.0", **more)


@pytest.mark.parametrize(
    ("found", "allow", "refused"),
    [
        ([], False, ""),
        ([ours("maps")], False, ""),
        ([ours("first"), ours("maps")], False, ""),
        ([ours("first")], False, "network-mapper is in namespace first of here already"),
        ([ours("first")], True, ""),
        ([Installation("maps", "Helm", "rel")], True, "helm upgrade rel … -n maps"),
        ([Installation("maps", "")], True, "Change it in the way in which it was installed"),
    ],
)
def test_beside_or_over_something_else_nothing_is_installed_by_chance(found, allow, refused):
    if refused:
        with pytest.raises(CliError, match=refused):
            refuse_others(found, "maps", "here", allow_second=allow)
    else:
        refuse_others(found, "maps", "here", allow_second=allow)


@pytest.mark.parametrize(
    ("wanted", "version", "refused"),
    [
        (Options(), "1.0", ""),
        (Options(), "1.1", r"version 1\.0 is in namespace maps already"),
        (Options("sockets"), "1.0", r"with other options \(profile default\)"),
    ],
)
def test_a_second_install_changes_nothing_that_upgrade_should(wanted, version, refused):
    if refused:
        with pytest.raises(CliError, match=refused):
            _refuse_change(ours("maps"), wanted, version)
    else:
        _refuse_change(ours("maps"), wanted, version)


# How far it is


def told(kind, status, *, generation=3, seen=3, **spec):
    meta = {"name": "m", "namespace": "maps", "generation": generation}
    return rollout.part_of(
        {"kind": kind, "metadata": meta, "spec": spec, "status": {"observedGeneration": seen, **status}}
    )


READY = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
ALL = {"desiredNumberScheduled": 2, "numberAvailable": 2, "updatedNumberScheduled": 2}


def test_a_mapper_runs_when_its_new_pod_does_and_the_old_one_is_gone():
    assert told("Deployment", READY).done
    assert not told("Deployment", READY | {"availableReplicas": 0}).done
    assert not told("Deployment", READY | {"updatedReplicas": 0}).done
    assert not told("Deployment", READY | {"replicas": 2}).done
    assert told("Deployment", READY | {"updatedReplicas": 0}).ready == 0


def test_sniffers_run_when_the_new_ones_do_on_all_nodes():
    assert told("DaemonSet", ALL).done
    assert not told("DaemonSet", ALL | {"numberAvailable": 1}).done
    assert not told("DaemonSet", ALL | {"updatedNumberScheduled": 1}).done
    assert told("DaemonSet", ALL | {"updatedNumberScheduled": 1}).text == "1 of 2 sniffers ready"


def test_sniffers_that_nobody_has_counted_yet_do_not_run():
    assert not told("DaemonSet", {}, seen=0).done
    assert told("DaemonSet", {}).done  # no node takes one


@pytest.mark.parametrize(("kind", "status"), [("Deployment", READY), ("DaemonSet", ALL)])
def test_what_was_said_before_the_change_was_seen_does_not_count(kind, status):
    part = told(kind, status, seen=2)
    assert (part.done, part.ready) == (False, 0)


# Removing


def test_what_runs_is_removed_first_and_what_it_needs_last():
    kinds = [item["kind"] for item in remove.order(manifests.objects(Options("persistent"), "maps"))]
    assert kinds[:2] == ["DaemonSet", "Deployment"]
    assert kinds[-1] == "ServiceAccount"


def test_only_the_claim_holds_the_map():
    items = manifests.objects(Options("persistent"), "maps")
    assert [item["kind"] for item in items if remove.is_data(item)] == ["PersistentVolumeClaim"]


def test_what_is_still_there_are_the_same_objects_and_all_pods():
    items = [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "maps", "uid": name}}
        for name in ("same", "new", "gone")
    ]
    cluster = Cluster()
    cluster.objects = {
        "/api/v1/namespaces/maps/services/same": {"metadata": {"uid": "same"}},
        "/api/v1/namespaces/maps/services/new": {"metadata": {"uid": "made anew"}},
    }
    cluster.lists["/api/v1/namespaces/maps/pods"] = [{"metadata": {"name": "mapper-1"}}]
    assert run(remove.left(cluster, items, "maps")) == ["service/same", "pod/mapper-1"]
