"""Whatever happens between mapper and API server, the index ends equal to the server, and nothing is read for nothing.

What the server holds is read afresh by a second follower without the proxy in between.
"""

import itertools
import time

import pytest
from followed import Followed
from harness import objects, pods

from network_mapper.cluster.live.reflector import Reflector

pytestmark = pytest.mark.cluster

PODS, REPLICA_SETS = "/api/v1/pods", "/apis/apps/v1/replicasets"
SLICES = "/apis/discovery.k8s.io/v1/endpointslices"

_numbers = itertools.count(1)


def address():
    number = next(_numbers)
    return f"10.77.{number // 250}.{number % 250 + 1}"


@pytest.fixture
def through(control_plane, proxy, tmp_path):
    """Kubeconfig by way of the proxy."""
    return control_plane.kubeconfig(tmp_path / "through", server=proxy.url)


@pytest.fixture
def followed(through):
    with Followed(through) as followed:
        yield followed.wait_synced()


@pytest.fixture
def truth(control_plane, tmp_path):
    """Read what the server holds."""

    def read():
        with Followed(control_plane.kubeconfig(tmp_path / "direct")) as direct:
            return direct.wait_synced().content()

    return read


@pytest.fixture
def churn(control_plane, namespace):
    """Make, change and remove objects; returns a pod that is left."""
    api = control_plane.admin
    api.create(objects.service(namespace, "web"))

    def run(rounds=3):
        for number in range(rounds):
            pod = pods.run_pod(
                api, objects.pod(namespace, f"p{next(_numbers)}", meta={"labels": {"app": "web"}}), address()
            )
            name = pod["metadata"]["name"]
            api.patch("pods", namespace, name, {"metadata": {"labels": {"round": str(number)}}})
            if number % 2:
                api.delete("pods", namespace, name)
        return name

    return run


def settle(followed, truth, seconds=30):
    """Wait until the index holds what the server holds."""
    deadline = time.monotonic() + seconds
    while (expected := truth()) != (found := followed.content()):
        assert time.monotonic() < deadline, differences(expected, found)
        time.sleep(0.1)


def differences(expected, found):
    """What the server holds and the index does not, and the other way round."""
    return [
        (kind, key, there.get(key), here.get(key))
        for kind, there, here in zip(("pod", "service", "node"), expected, found, strict=True)
        for key in there.keys() | here.keys()
        if there.get(key) != here.get(key)
    ]


def lists(proxy, path):
    """Requests that began a list and were answered."""
    return [r for r in proxy.seen(path, watch=False) if r.status and "continue" not in r.query]


def test_without_faults_every_resource_is_listed_once(followed, proxy, churn, truth):
    churn()
    settle(followed, truth)
    for path in (PODS, REPLICA_SETS, SLICES, "/api/v1/services", "/api/v1/nodes"):
        assert (len(lists(proxy, path)), len(proxy.seen(path, watch=True))) == (1, 1), path


def test_a_watch_that_is_cut_in_the_middle_of_a_line_goes_on_behind_the_last_whole_one(followed, proxy, churn, truth):
    fault = proxy.on(PODS, watch=True, times=3).cut(after=2, middle=True)
    proxy.cut_open(PODS, watch=True)
    churn(6)
    settle(followed, truth)
    assert fault.used == 3
    assert len(lists(proxy, PODS)) == 1


def test_a_watch_that_ends_properly_goes_on_without_a_list(followed, proxy, churn, truth):
    fault = proxy.on(PODS, watch=True, times=4).end(after=2)
    proxy.cut_open(PODS, watch=True)
    churn(6)
    settle(followed, truth)
    assert fault.used == 4
    assert len(lists(proxy, PODS)) == 1


@pytest.mark.parametrize("way", ["status", "event"])
def test_a_version_that_is_too_old_makes_one_list_and_what_went_meanwhile_goes(
    followed, proxy, churn, truth, control_plane, namespace, way
):
    name = churn(1)
    settle(followed, truth)
    proxy.refuse()
    control_plane.admin.delete("pods", namespace, name)  # seen by no watch
    choice = proxy.on(PODS, watch=True, times=1)
    fault = choice.gone() if way == "status" else choice.gone_event()
    proxy.listen()
    settle(followed, truth)
    assert fault.used == 1
    assert len(lists(proxy, PODS)) == 2


def test_too_many_requests_are_obeyed(through, proxy, churn, truth):
    churn()
    fault = proxy.on(PODS, watch=False, times=2).too_many(retry_after=1)
    began = time.monotonic()
    with Followed(through) as followed:
        followed.wait_synced()
        assert time.monotonic() - began >= 2.0
        settle(followed, truth)
    assert fault.used == 2
    assert len(lists(proxy, PODS)) == 3


@pytest.mark.parametrize("with_continue", [True, False])
def test_a_page_token_that_expired_loses_nothing(through, proxy, churn, truth, monkeypatch, with_continue):
    churn(5)
    monkeypatch.setitem(Reflector.__init__.__kwdefaults__, "page", 2)
    fault = proxy.on(PODS, times=1).expired_pages(with_continue=with_continue)
    with Followed(through) as followed:
        followed.wait_synced()
        churn(2)
        settle(followed, truth)
    assert fault.used == 1
    assert len(lists(proxy, PODS)) == (1 if with_continue else 2)


def test_events_that_come_late_and_twice_do_no_harm(followed, proxy, churn, truth):
    proxy.on("*", watch=True).delay(0.02)
    proxy.on("*", watch=True).repeat(3, lag=2)
    proxy.cut_open("*", watch=True)
    for path in (PODS, SLICES):
        followed.wait(lambda path=path: [r for r in proxy.seen(path, watch=True, ongoing=True) if "repeat" in r.faults])
    churn(8)
    settle(followed, truth)
    assert len(lists(proxy, PODS)) == 1, (followed.live._reflectors["Pod"].counts, proxy.seen(PODS))


def test_lines_that_are_nothing_cost_nothing_else(followed, proxy, churn, truth):
    for line in (b"\n", b"nonsense\n", b'{"type":"MODIFIED"}\n', b'{"type":"WHAT","object":{}}\n', b"[1]\n"):
        proxy.on(PODS, watch=True, times=1).insert(line)
        proxy.cut_open(PODS, watch=True)
        churn(2)
    settle(followed, truth)


def test_a_token_that_is_rotated_is_read_again(control_plane, namespace, proxy, churn, truth, tmp_path):
    read = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}
    control_plane.service_account(namespace, "mapper", [read])
    file = tmp_path / "token"
    file.write_text(old := control_plane.token(namespace, "mapper"))
    config = control_plane.kubeconfig(tmp_path / "rotating", token_file=file, server=proxy.url)
    with Followed(config) as followed:
        followed.wait_synced()
        time.sleep(1.1)  # a token's times are whole seconds: another one needs another second
        file.write_text(new := control_plane.token(namespace, "mapper"))
        assert new != old
        fault = proxy.on("*", token=old).unauthorized()
        proxy.cut_open("*", watch=True)
        churn()
        settle(followed, truth)
        assert len(lists(proxy, PODS)) == 1
        assert all(request.token == new for request in proxy.seen(PODS, watch=True, ongoing=True))
        assert fault.used < 40


def test_a_server_that_restarts_is_found_again(followed, proxy, churn, truth):
    proxy.refuse()
    followed.wait(lambda: any("does not answer" in line for line in followed.live.problems()))
    churn(4)
    proxy.listen()
    settle(followed, truth)
    followed.wait(lambda: not followed.live.problems())
    assert len(lists(proxy, PODS)) == 1
