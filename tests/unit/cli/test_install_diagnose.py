"""Why a pod does not start: what Kubernetes says of it, in words, with the remedy."""

import pytest

from network_mapper.cli.deploy import diagnose
from network_mapper.cli.deploy.diagnose import Problem

IMAGE = "r.example.com/network-mapper:1"


def pod(*statuses, node="node-a", phase="Pending", conditions=(), name="mapper-1", **status):
    meta = {"name": name, "namespace": "shop", "uid": "u"}
    status = {"phase": phase, "conditions": list(conditions), "containerStatuses": list(statuses), **status}
    return {"metadata": meta, "spec": {"nodeName": node} if node else {}, "status": status}


def waiting(reason, message="", **more):
    state = {"waiting": {"reason": reason, "message": message}}
    return {"name": "mapper", "image": IMAGE, "ready": False, "restartCount": 0, "state": state, **more}


def event(reason, message, kind="Warning", when="2026-01-01T00:00:00Z"):
    return {"reason": reason, "message": message, "type": kind, "lastTimestamp": when}


def explain(pod, events=(), claims=(), claim_events=(), node=None):
    return diagnose.pod_problem("mapper", pod, list(events), list(claims), list(claim_events), node)


NOTHING = [
    pod(conditions=[{"type": "Ready", "status": "True"}], phase="Running"),
    pod(waiting("ContainerCreating")),
    pod(waiting("PodInitializing")),
    pod(phase="Running"),
    pod(node=""),
]


@pytest.mark.parametrize("healthy", NOTHING)
def test_a_pod_that_runs_or_is_on_its_way_is_no_problem(healthy):
    assert explain(healthy) is None


def test_a_pod_that_goes_is_no_problem():
    going = pod(waiting("ImagePullBackOff"))
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert explain(going) is None


CONTAINERD = (
    'failed to pull and unpack image "r.example.com/network-mapper:1": failed to resolve reference '
    '"r.example.com/network-mapper:1": '
)
PULLS = [
    ("ErrImagePull", CONTAINERD + "r.example.com/network-mapper:1: not found", "no such image: check repository"),
    ("ImagePullBackOff", f'Back-off pulling image "{IMAGE}": ErrImagePull: {CONTAINERD}{IMAGE}: not found', "check"),
    ("ErrImagePull", CONTAINERD + "unexpected status: 401 Unauthorized", "--image-pull-secret"),
    ("ErrImagePull", CONTAINERD + "pull access denied, repository does not exist", "--image-pull-secret"),
    ("ErrImagePull", CONTAINERD + "dial tcp: lookup r.example.com: no such host", "cannot reach the registry"),
    ("ErrImagePull", CONTAINERD + "dial tcp 192.0.2.1:443: i/o timeout", "cannot reach the registry"),
    ("ErrImagePull", CONTAINERD + "tls: failed to verify: x509: unknown authority", "do not trust"),
    ("ErrImageNeverPull", "Container image is not present with pull policy of Never", "load it into"),
    ("InvalidImageName", 'Failed to apply default image tag "A": couldn\'t parse image name', "That is no image"),
    ("ErrImagePull", "failed to do something", "Check that the nodes reach the registry"),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "message", "remedy"), PULLS)
def test_an_image_that_cannot_be_pulled_is_told_with_the_registrys_words(reason, message, remedy):
    found = explain(pod(waiting(reason, message)))
    assert f"the image {IMAGE} cannot be pulled (" in found.what
    assert message.removeprefix(CONTAINERD).split(": ")[-1] in found.what
    assert remedy in found.remedy
    assert "--image" in found.remedy
    assert "failed to resolve" not in found.what


def test_the_two_ways_of_waiting_for_an_image_are_one_problem():
    first, second = (explain(pod(waiting(reason, message))) for reason, message, _ in PULLS[:2])
    assert first.key == second.key


def test_older_kubelets_tell_the_registrys_words_in_an_event():
    events = [
        event("Failed", f'Failed to pull image "{IMAGE}": rpc error: code = NotFound desc = no such manifest'),
        event("Failed", "Error: ImagePullBackOff", when="2026-01-01T00:00:09Z"),
    ]
    found = explain(pod(waiting("ImagePullBackOff", f'Back-off pulling image "{IMAGE}"')), events)
    assert found.what == f"the image {IMAGE} cannot be pulled (no such manifest)"


def test_a_program_that_ends_at_once_is_told_with_its_code():
    ended = {"terminated": {"exitCode": 2, "reason": "Error", "message": "Usage: x\nError: no such option\n"}}
    found = explain(pod(waiting("CrashLoopBackOff", lastState=ended, restartCount=3), phase="Running"))
    assert (
        found.what == "its program ends at once with code 2, 3 times; its last words: Usage: x | Error: no such option"
    )
    assert found.remedy == "'kubectl -n shop logs mapper-1 --previous' shows its log"
    assert found.container == ""


def test_a_program_that_has_ended_and_will_be_started_again_is_told():
    state = {"terminated": {"exitCode": 1, "reason": "Error"}}
    status = {"name": "mapper", "image": IMAGE, "ready": False, "restartCount": 0, "state": state}
    found = explain(pod(status, phase="Running"))
    assert (found.what, found.container) == ("its program ends at once with code 1", "mapper")


def test_a_program_that_ended_once_and_is_ready_again_is_no_problem():
    status = {"name": "mapper", "image": IMAGE, "ready": True, "restartCount": 1, "state": {"running": {}}}
    status["lastState"] = {"terminated": {"exitCode": 1, "reason": "Error"}}
    assert explain(pod(status, phase="Running")) is None


def test_a_container_that_others_put_before_ours_is_told_too():
    found = explain(pod(waiting("PodInitializing"), initContainerStatuses=[waiting("ErrImagePull", "x: not found")]))
    assert found.what == f"the image {IMAGE} cannot be pulled (x: not found)"


def test_of_several_events_the_newest_is_told():
    events = [
        event("FailedMount", "the second", when="2026-01-01T00:00:02Z"),
        {**event("FailedMount", "the last", when=None), "eventTime": "2026-01-01T00:00:03Z"},
        event("FailedMount", "the first", when="2026-01-01T00:00:01Z"),
    ]
    assert explain(pod(waiting("ContainerCreating")), events).what == "its pod cannot be set up on the node (the last)"


def test_trouble_with_its_volume_is_over_when_a_pod_runs():
    status = {"name": "mapper", "image": IMAGE, "ready": False, "restartCount": 0, "state": {"running": {}}}
    assert explain(pod(status, phase="Running"), [event("FailedMount", "not yet")]) is None


def test_too_little_memory_is_told_as_such():
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    found = explain(pod(waiting("CrashLoopBackOff", lastState=ended, restartCount=1)))
    assert found.what == "its program needed more memory than it may have and was ended, 1 time"


@pytest.mark.parametrize("reason", ["CreateContainerConfigError", "CreateContainerError", "RunContainerError"])
def test_a_container_that_cannot_be_made_is_told(reason):
    found = explain(pod(waiting(reason, 'secret "x" not found')))
    assert found.what == f'its container cannot be made ({reason}: secret "x" not found)'


def unschedulable(message, **more):
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod(node="", conditions=[condition], **more)


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ("0/2 nodes are available: 2 Insufficient memory.", "Make room"),
        ("0/2 nodes are available: 1 node(s) didn't have free ports for the requested.", "--sniffer-health-port"),
        ("0/2 nodes are available: 2 node(s) had untolerated taint {a: b}.", "taints"),
        ("0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.", "Linux"),
        ("no nodes available to schedule pods", "describe nodes"),
    ],
)
def test_a_pod_that_no_node_takes_is_told_with_the_schedulers_words(message, remedy):
    found = explain(unschedulable(message))
    assert found.what == f"no node takes its pod ({message.rstrip('.')})"
    assert remedy in found.remedy


def claim(storage_class=None, phase="Pending"):
    spec = {"storageClassName": storage_class} if storage_class else {}
    return {"metadata": {"name": "network-mapper"}, "spec": spec, "status": {"phase": phase}}


UNBOUND = "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims"


def test_without_a_storage_class_the_claim_is_what_is_told():
    said = "no persistent volumes available for this claim and no storage class is set"
    found = explain(unschedulable(UNBOUND), (), [claim()], [event("FailedBinding", said, "Normal")])
    assert found.what == f"the volume claim network-mapper waits, for the cluster has no default storage class ({said})"
    assert "--profile default" in found.remedy


def test_a_volume_that_cannot_be_made_is_told():
    events = [event("ProvisioningFailed", 'storageclass.storage.k8s.io "fast" not found')]
    found = explain(unschedulable(UNBOUND), (), [claim("fast")], events)
    assert found.what.startswith('the volume claim network-mapper gets no volume (storageclass.storage.k8s.io "fast" ')


def test_a_bound_claim_is_not_the_reason():
    assert "no node takes its pod" in explain(unschedulable(UNBOUND), (), [claim(phase="Bound")]).what


def test_a_pod_that_cannot_be_set_up_is_told():
    found = explain(pod(waiting("ContainerCreating")), [event("FailedMount", "MountVolume.SetUp failed: timed out.")])
    assert found.what == "its pod cannot be set up on the node (MountVolume.SetUp failed: timed out)"


def test_a_node_that_is_not_ready_is_told():
    node = {"status": {"conditions": [{"type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting."}]}}
    found = explain(pod(), node=node)
    assert found.what == "its node is not ready (Kubelet stopped posting.)"
    assert found.text.startswith("mapper on node-a: ")


def test_a_pod_that_runs_and_is_not_ready_is_told_with_its_probe():
    status = {"name": "mapper", "image": IMAGE, "ready": False, "restartCount": 0, "state": {"running": {}}}
    events = [event("Unhealthy", "Readiness probe failed: 503")]
    found = explain(pod(status, phase="Running"), events)
    assert found.what == "it runs, but is not ready (Readiness probe failed: 503)"


def test_a_pod_that_was_evicted_is_told():
    found = explain(pod(phase="Failed", reason="Evicted", message="The node was low on memory."))
    assert found.what == "its pod ended as Evicted (The node was low on memory.)"


REFUSALS = [
    ('Error creating: pods "a-x" is forbidden: violates PodSecurity "baseline:latest": host namespaces',
     'violates PodSecurity "baseline:latest": host namespaces', "--label-namespace"),
    ('pods "a-x" is forbidden: exceeded quota: q, requested: pods=1', "exceeded quota: q", "describe quota"),
    ('pods "a-" is forbidden: unable to validate against any security context constraint: []', "unable", "openshift"),
    ('Error creating: pods "a" is forbidden: error looking up service account s/a: serviceaccount "a" not found',
     "looking up", "Install again"),
    ('admission webhook "policy.example.org" denied the request: no', "denied the request", "policy of this cluster"),
    ('(combined from similar events): Error creating: pods "a" is forbidden: max memory usage per Container is 40Mi',
     "refuses its pods: max memory usage per Container is 40Mi", "describe limitrange"),
    ('Pod "a" is invalid: requests: Invalid value: "50m": must be less than or equal to cpu limit of 10m',
     "cpu limit of 10m", "describe limitrange"),
    ("Error creating: something else", "something else", "get events"),
]  # fmt: skip


@pytest.mark.parametrize(("message", "said", "remedy"), REFUSALS)
def test_pods_that_kubernetes_refuses_to_make_are_told_with_its_words(message, said, remedy):
    found = diagnose.refused("sniffers", message, "shop")
    assert found.what.startswith("Kubernetes refuses its pods: ")
    assert said in found.what
    assert remedy in found.remedy
    assert "Error creating" not in found.text


def test_pods_with_the_same_problem_are_told_together():
    def crash(name, node):
        return Problem("sniffers", f"ends; container of {name}", "Look", (name,), (node,), "sniffer")

    found = diagnose.gather([crash("s-1", "a"), crash("s-2", "b"), Problem("mapper", "ends", "Look", ("m",), ("a",))])
    assert [problem.part for problem in found] == ["mapper", "sniffers"]
    assert found[1].nodes == ("a", "b")
    assert found[1].text.startswith("sniffers on a, b: ends")


def test_many_nodes_are_counted():
    many = [Problem("sniffers", "ends", "Look", (f"s-{n}",), (f"node-{n}",)) for n in range(50)]
    assert diagnose.gather(many)[0].text == "sniffers on node-0, node-1, node-2 and 47 more: ends. Look"
    assert diagnose.gather(many[:3])[0].text == "sniffers on node-0, node-1, node-2: ends. Look"


def test_words_of_others_cannot_flood_the_terminal():
    found = explain(pod(waiting("ErrImagePull", "failed\n\x1b[2J" + "x" * 100_000)))
    assert len(found.text) < 1000
    assert found.text.isprintable()


def test_of_a_log_the_last_lines_are_quoted():
    assert diagnose.last_lines("one\ntwo\n\nthree\nfour\n") == "two | three | four"
    assert diagnose.last_lines("") == ""
