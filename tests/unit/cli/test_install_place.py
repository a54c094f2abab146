"""Installing as a whole and waiting for it, against an API that is a few lines.

That it fits together with a real API server is for the tests with one.
"""

from __future__ import annotations

import contextlib
from http import HTTPStatus
from types import SimpleNamespace

import click
import pytest
from install_api import Cluster, Recorded, run

from network_mapper.cli import uninstall
from network_mapper.cli.deploy import manifests, place, rollout, watching
from network_mapper.cli.deploy import session as sessions
from network_mapper.cli.deploy.diagnose import Problem
from network_mapper.cli.deploy.manifests import Options
from network_mapper.cli.deploy.rollout import Part, Step
from network_mapper.cli.deploy.session import DeniedError
from network_mapper.cli.errors import CliError
from network_mapper.cli.sources import open as sources
from network_mapper.kube.errors import UnreachableError

ENFORCE = "pod-security.kubernetes.io/enforce"


class Session:
    where = "a test"

    def __init__(self) -> None:
        self.api = Recorded()

    def run(self, work):
        return run(work)


@pytest.fixture
def session():
    with click.Context(click.Command("install")):
        yield Session()


NAMESPACE = "/api/v1/namespaces/maps"
CLAIM = "/api/v1/namespaces/maps/persistentvolumeclaims/network-mapper"


def put(session, profile="default", former=(), *, kept=True, **more):
    asked = {"label": None, "force": False, "dry_run": "none", "wait": False, "seconds": 1, "output": "text"} | more
    request = place.Request(Options(profile), **asked, kubeconfig="", context="")
    place.put(session, request, "maps", former=list(former), kept=kept)


def persistent():
    """What was installed before, with the map on a volume."""
    items = manifests.objects(Options("persistent"), "maps")
    return [{**item, "metadata": {**item["metadata"], "uid": "u"}} for item in items]


def test_all_is_tried_before_anything_is_changed_and_again_in_a_namespace_that_is_made(session):
    put(session)
    first = session.api.done.index(("apply", "Namespace"))
    before, after = session.api.done[:first], session.api.done[first + 1 :]
    assert {how for how, _ in before} == {"try"}
    assert {kind for _, kind in before} == {"Namespace", "PriorityClass", "ClusterRole", "ClusterRoleBinding"}
    kinds = [item["kind"] for item in manifests.objects(Options(), "maps")]
    assert after == [("try", kind) for kind in kinds] + [("apply", kind) for kind in kinds]


def test_in_a_namespace_that_is_there_all_is_tried_once(session):
    session.api.objects[NAMESPACE] = {"metadata": {"name": "maps"}}
    put(session)
    kinds = [item["kind"] for item in manifests.objects(Options(), "maps")]
    assert session.api.done == [("try", kind) for kind in kinds] + [("apply", kind) for kind in kinds]


def test_a_trial_on_the_server_changes_nothing_and_removes_nothing(session, capsys):
    put(session, former=persistent(), kept=False, dry_run="server")
    assert (session.api.of("apply"), session.api.of("delete")) == ([], [])
    assert "persistentvolumeclaim/network-mapper removed (server dry run)" in capsys.readouterr().out


def test_what_the_new_profile_has_not_is_removed_but_not_the_map(session, capsys):
    claim = next(item for item in persistent() if item["kind"] == "PersistentVolumeClaim")
    others = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget"}
    left = {**others, "metadata": {"name": "network-mapper-sniffer", "namespace": "maps", "uid": "u"}}
    put(session, former=[claim, left])
    removed = "/apis/policy/v1/namespaces/maps/poddisruptionbudgets/network-mapper-sniffer"
    assert session.api.of("delete") == [removed]
    assert "persistentvolumeclaim/network-mapper kept" in capsys.readouterr().out


def test_the_map_is_removed_where_that_is_asked_for(session):
    put(session, former=persistent(), kept=False)
    assert session.api.of("delete") == [CLAIM]


def test_the_volume_that_the_new_profile_has_too_stays(session):
    put(session, "persistent", former=persistent(), kept=False)
    assert session.api.of("delete") == []


@pytest.mark.parametrize(
    ("more", "forced"), [({}, set()), ({"label": True}, {"Namespace"}), ({"force": True}, {"Namespace", "Service"})]
)
def test_fields_of_others_are_taken_over_where_that_is_asked_for(session, more, forced):
    put(session, **more)
    assert session.api.forced & {"Namespace", "Service"} == forced


def test_where_the_sniffers_are_forbidden_the_rest_is_applied_and_it_fails_all_the_same(session, capsys):
    session.api.objects[NAMESPACE] = {"metadata": {"name": "maps", "labels": {ENFORCE: "baseline"}}}
    session.api.warnings = ['would violate PodSecurity "baseline:latest"', "this is old"]
    with pytest.raises(CliError, match="namespace maps forbids the sniffers"):
        put(session)
    assert "Deployment" in session.api.of("apply")
    told = capsys.readouterr().err
    assert "the API server remarks: this is old" in told
    assert "would violate" not in told


def test_what_does_not_run_in_time_fails(session, monkeypatch):
    outcome = watching.Outcome([Part("mapper", 0, 1)], ["mapper: ends"], running=False)
    monkeypatch.setattr(watching, "wait", lambda *_: outcome)
    with pytest.raises(CliError, match="not everything runs after 1 s: mapper not ready"):
        put(session, wait=True)


def test_sniffers_that_are_forbidden_are_not_waited_for(session, monkeypatch):
    session.api.objects[NAMESPACE] = {"metadata": {"name": "maps", "labels": {ENFORCE: "restricted"}}}
    waited = []

    def wait(_session, waiting, _seconds):
        waited.extend(item["kind"] for item in waiting._items)
        return watching.Outcome([Part("mapper", 1, 1, done=True)], [], running=True)

    monkeypatch.setattr(watching, "wait", wait)
    with pytest.raises(CliError, match="forbids the sniffers"):
        put(session, wait=True)
    assert waited == ["Deployment"]


def test_when_all_runs_the_first_report_of_each_sniffer_is_waited_for(session, monkeypatch, capsys):
    parts = [Part("mapper", 1, 1, done=True), Part("sniffers", 3, 3, done=True)]
    monkeypatch.setattr(watching, "wait", lambda *_: watching.Outcome(parts, [], running=True))
    wanted = []
    monkeypatch.setattr(watching, "first_reports", lambda *asked: wanted.append(asked[3]) or 2)
    put(session, wait=True)
    assert wanted == [3]
    assert "mapper ready, 3 of 3 sniffers ready, 2 reporting." in capsys.readouterr().out


# Waiting


class Steps:
    """A rollout that goes on step by step; the last one stays."""

    def __init__(self, *steps: Step | Exception) -> None:
        self.steps = list(steps)
        self.problems: list[Problem] = []
        self.explanations = 0

    async def look(self):
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if isinstance(step, Exception):
            raise step
        return step

    async def explained(self):
        self.explanations += 1
        return [Problem("mapper", "is late", "Wait")]


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(watching, "POLL", 0.0)


def step(*parts, problems=(), hints=()):
    return Step(list(parts), list(problems), list(hints))


MAPPER, NO_MAPPER = Part("mapper", 1, 1, done=True), Part("mapper", 0, 1)
SNIFFERS, NO_SNIFFERS = Part("sniffers", 2, 2, done=True), Part("sniffers", 1, 2)


@pytest.mark.usefixtures("at_once")
def test_the_wait_is_over_when_every_part_runs_and_each_is_told_once(session, capsys):
    steps = Steps(
        step(NO_MAPPER, NO_SNIFFERS), step(MAPPER, NO_SNIFFERS), step(MAPPER, NO_SNIFFERS), step(MAPPER, SNIFFERS)
    )
    outcome = watching.wait(session, steps, 30)
    assert (outcome.running, len(steps.steps), steps.explanations) == (True, 1, 0)
    told = capsys.readouterr().err
    assert (told.count("Mapper ready."), told.count("2 of 2 sniffers ready.")) == (1, 1)


@pytest.mark.usefixtures("at_once")
def test_when_the_time_is_over_what_stands_against_it_is_told(session, capsys):
    steps = Steps(step(MAPPER, NO_SNIFFERS))
    outcome = watching.wait(session, steps, 0.05)
    assert (outcome.running, steps.explanations) == (False, 1)
    assert capsys.readouterr().err.count("mapper: is late. Wait.") == 1


@pytest.mark.usefixtures("at_once")
def test_an_api_server_that_comes_back_is_waited_for_and_one_that_does_not_is_told(session):
    away = CliError("away")
    away.__cause__ = UnreachableError("nobody there")
    assert watching.wait(session, Steps(away, away, step(MAPPER)), 30).running
    with pytest.raises(CliError, match="away"):
        watching.wait(session, Steps(away), 0.05)
    with pytest.raises(CliError, match="refused"):
        watching.wait(session, Steps(CliError("refused"), step(MAPPER)), 30)


# One look


@pytest.fixture
def cluster():
    """A mapper whose pod does not start."""
    made = Cluster()
    labels = {"app": "m"}
    made.objects["/apis/apps/v1/namespaces/maps/deployments/network-mapper"] = {
        "kind": "Deployment",
        "metadata": {"name": "network-mapper", "uid": "d"},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}},
    }
    ended = {"terminated": {"exitCode": 1}}
    status = {"name": "mapper", "image": "m", "ready": False, "restartCount": 0, "state": ended}
    made.lists["/api/v1/namespaces/maps/pods"] = [
        {
            "metadata": {"name": "mapper-1", "namespace": "maps", "uid": "p"},
            "spec": {"nodeName": "n1"},
            "status": {"phase": "Running", "containerStatuses": [status]},
        }
    ]
    made.logs = {"true": "it said why"}

    async def text(_path, params):
        if params["previous"] not in made.logs:
            raise DeniedError("no such log", HTTPStatus.BAD_REQUEST, "BadRequest", [])
        return made.logs[params["previous"]]

    made.text = text
    return made


def watched(cluster):
    items = [item for item in manifests.objects(Options(), "maps") if item["kind"] == "Deployment"]
    return rollout.Rollout(cluster, items, "maps")


def test_a_problem_is_told_once_and_only_when_it_stands(cluster, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(rollout.time, "monotonic", lambda: now[0])
    waiting = watched(cluster)
    told = []
    for moment in (100.0, 104.9, 105.0, 106.0, 200.0):
        now[0] = moment
        told.append(len(run(waiting.look()).problems))
    assert told == [0, 0, 1, 0, 0]
    assert run(waiting.explained()) == []


def test_a_problem_comes_with_the_last_words_of_the_container_before(cluster):
    waiting = watched(cluster)
    run(waiting.look())
    (problem,) = run(waiting.explained())
    assert problem.what == "its program ends at once with code 1; its last words: it said why"


def test_events_of_a_former_object_of_the_same_name_do_not_count(cluster):
    (found,) = cluster.lists["/api/v1/namespaces/maps/pods"]
    found["status"] = {"phase": "Pending"}
    event = {"reason": "FailedMount", "type": "Warning", "lastTimestamp": "2026-01-01T00:00:00Z"}
    cluster.lists["/api/v1/namespaces/maps/events"] = [
        {**event, "message": "of the one before", "involvedObject": {"uid": "another"}}
    ]
    waiting = watched(cluster)
    run(waiting.look())
    assert waiting.problems == []
    cluster.lists["/api/v1/namespaces/maps/events"] = [{**event, "message": "of this", "involvedObject": {"uid": "p"}}]
    run(waiting.look())
    assert "of this" in waiting.problems[0].what


def test_a_right_without_which_less_can_be_said_is_told_once(cluster):
    async def refuse(path, **_):
        message = 'cannot list resource "pods" in API group "" in the namespace "maps"'
        raise DeniedError(message, HTTPStatus.FORBIDDEN, "Forbidden", [])

    cluster.list = refuse
    waiting = watched(cluster)
    assert [run(waiting.look()).hints for _ in range(3)] == [["list pods in namespace maps"], [], []]


def test_pods_of_both_parts_and_of_nobody_else_are_waited_for_when_they_go(cluster):
    run(rollout.pods(cluster, "maps"))
    (asked,) = cluster.selectors
    assert asked["labelSelector"] == (
        "app.kubernetes.io/part-of=network-mapper,app.kubernetes.io/instance=network-mapper,"
        "app.kubernetes.io/component in (mapper, sniffer)"
    )


# First reports, and the end of a namespace


def test_a_sniffer_has_reported_when_it_is_connected(monkeypatch):
    def sniffer(*, connected):
        return SimpleNamespace(connected=connected)

    looks = [
        [sniffer(connected=False)] * 2,
        [sniffer(connected=True), sniffer(connected=False)],
        [sniffer(connected=True)] * 2,
    ]
    answers = iter(looks)
    source = SimpleNamespace(status=lambda: SimpleNamespace(sniffers=next(answers)))
    monkeypatch.setattr(watching, "POLL", 0.0)
    monkeypatch.setattr(sources, "open_source", lambda _: contextlib.nullcontext(source))
    assert watching.first_reports("", "", "maps", 2, 30) == 2
    assert list(answers) == []


def test_a_namespace_that_goes_already_is_not_removed_again(session):
    meta = {"name": "maps", "labels": {"app.kubernetes.io/managed-by": "network-mapper"}}
    session.api.objects[NAMESPACE] = {"metadata": meta}
    assert uninstall._removable(session, "maps") is not None
    session.api.objects[NAMESPACE] = {"metadata": {**meta, "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    assert uninstall._removable(session, "maps") is None
    del session.api.objects[NAMESPACE]
    assert uninstall._removable(session, "maps") is None


@pytest.mark.parametrize(
    ("phase", "used"), [("Running", True), ("Pending", True), ("Succeeded", False), ("Failed", False)]
)
def test_a_namespace_where_somebody_elses_pod_runs_is_not_removed(session, phase, used):
    meta = {"name": "maps", "labels": {"app.kubernetes.io/managed-by": "network-mapper"}}
    session.api.objects[NAMESPACE] = {"metadata": meta}
    session.api.lists["/api/v1/namespaces/maps/pods"] = [
        {"metadata": {"name": "ours", "labels": {"app.kubernetes.io/part-of": "network-mapper"}}},
        {"metadata": {"name": "theirs"}, "status": {"phase": phase}},
    ]
    if used:
        with pytest.raises(CliError, match=r"has pods of others \(theirs\)"):
            uninstall._removable(session, "maps")
    else:
        assert uninstall._removable(session, "maps") is not None


@pytest.mark.parametrize("delete_data", [False, True])
def test_who_may_not_read_claims_cannot_remove_the_map_and_is_told_so(session, monkeypatch, delete_data):
    labels = {"app.kubernetes.io/managed-by": "network-mapper", "app.kubernetes.io/version": "1.0"}
    found = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "m", "namespace": "maps", "uid": "u"}}
    found["metadata"]["labels"] = labels
    session.api.lists["/apis/apps/v1/deployments"] = session.api.lists["/apis/apps/v1/namespaces/maps/deployments"] = [
        found
    ]
    session.api.forbidden.add("/api/v1/namespaces/maps/persistentvolumeclaims")
    monkeypatch.setattr(sessions, "Session", lambda *_: contextlib.nullcontext(session))
    asked = {"yes": True, "delete_namespace": False, "wait": False, "timeout": 1000, "output": "text"}
    where = {"namespace": "maps", "mapper_namespace": "", "kubeconfig": "", "context": ""}
    with pytest.raises(DeniedError) if delete_data else contextlib.nullcontext():
        uninstall.command.callback(delete_data=delete_data, **asked, **where)
    assert bool(session.api.of("delete")) != delete_data


def test_what_does_not_go_in_time_is_named(session, monkeypatch):
    monkeypatch.setattr(uninstall, "_POLL", 0.0)
    session.api.lists["/api/v1/namespaces/maps/pods"] = [{"metadata": {"name": f"pod-{n}"}} for n in range(6)]
    with pytest.raises(CliError, match=r"still there after 0\.05 s: pod/pod-0, .* pod/pod-4, …\. .* -n maps get all"):
        uninstall._wait(session, [], "maps", 0.05)
    session.api.lists.clear()
    uninstall._wait(session, [], "maps", 0.05)


@pytest.mark.parametrize("wait", [False, True])
def test_removing_is_waited_for_unless_that_is_not_wanted(session, monkeypatch, wait):
    waited = []
    monkeypatch.setattr(uninstall, "_wait", lambda *asked: waited.append(asked[3]))
    monkeypatch.setattr(sessions, "Session", lambda *_: contextlib.nullcontext(session))
    labels = {"app.kubernetes.io/managed-by": "network-mapper"}
    meta = {"name": "m", "namespace": "maps", "uid": "u", "labels": labels}
    found = [{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta}]
    session.api.lists = {f"/apis/apps/v1/{where}deployments": found for where in ("", "namespaces/maps/")}
    asked = {"yes": True, "delete_data": False, "delete_namespace": False, "timeout": 1500, "output": "text"}
    where = {"namespace": "maps", "mapper_namespace": "", "kubeconfig": "", "context": ""}
    uninstall.command.callback(wait=wait, **asked, **where)
    assert waited == ([1.5] if wait else [])
