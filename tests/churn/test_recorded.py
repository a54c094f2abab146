"""The recording says what a kubelet and an API server really write, and can be told again without changing that."""

import itertools

import churn_recorded
import pytest
from churn_recorded import SECOND, stories, tell

STORIES = stories()
NAMES = {
    "@pod@": "p",
    "@uid@": "u",
    "@owner@": "o",
    "@owner-uid@": "ou",
    "@namespace@": "n",
    "@app@": "a",
    "@node@": "x",
    "@v4@": "10.0.0.1",
    "@v6@": "fd00::1",
    "@host4@": "172.30.0.1",
    "@host6@": "fd00::2",
}


def as_recorded(text):
    return tell(text, NAMES, lambda told: churn_recorded.lines()[0]["began"] + told, 0)


def objects(story):
    return [(event, as_recorded(event.text)) for event in story.events]


def recorded_pods():
    """The events of each pod whose whole life was recorded, in the order of `stories`."""
    found = {}
    for line in churn_recorded.lines():
        if line.get("watch") == "pods" and line["type"] != "BOOKMARK":
            found.setdefault(line["object"]["metadata"]["uid"], []).append(line)
    return [events for events in found.values() if events[-1]["type"] == "DELETED"]


def all_stamps(item):
    return [(path, stamp) for path, stamp in churn_recorded._stamps(item)]


def test_every_kind_of_owner_was_recorded():
    assert {story.owner for story in STORIES} == {"ReplicaSet", "StatefulSet", "Job", ""}
    kinds = {line["watch"] for line in churn_recorded.lines() if "watch" in line}
    assert {"pods", "services", "endpointslices", "replicasets", "jobs", "cronjobs", "nodes"} <= kinds


def test_addresses_were_used_again_in_the_recording():
    spans = {}
    for line in churn_recorded.lines():
        if "address" in line and "." in line["address"]:
            spans.setdefault(line["address"], []).append((line["from"], line["until"]))
    again = [sorted(each) for each in spans.values() if len(each) > 1]
    assert len(again) > 10
    assert all(one[1] <= other[0] for each in again for one, other in itertools.pairwise(each))


@pytest.mark.parametrize("story", STORIES, ids=lambda story: f"{story.owner}{STORIES.index(story)}")
class TestStory:
    def test_times_are_in_order(self, story):
        assert 0 < story.given <= story.started < story.quiet <= story.ended <= story.taken
        assert [event.at for event in story.events] == sorted(event.at for event in story.events)
        assert story.events[-1].at == story.gone

    def test_an_address_is_told_after_it_was_given(self, story):
        told = [event.at for event, item in objects(story) if item["status"].get("podIPs")]
        assert told
        assert told[0] > story.given

    def test_an_address_stays_in_the_status_to_the_end(self, story):
        assert objects(story)[-1][1]["status"]["podIPs"] == [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]

    def test_a_pod_starts_before_it_gets_its_address_and_its_containers_after(self, story):
        status = objects(story)[-1][1]["status"]
        containers = [
            churn_recorded._milliseconds(stamp)
            for path, stamp in all_stamps(status)
            if path[0] in churn_recorded.CONTAINERS and path[-1] == "startedAt"
        ]
        given = churn_recorded.lines()[0]["began"] + story.given
        assert churn_recorded._milliseconds(status["startTime"]) <= given < min(containers) + SECOND

    def test_told_again_at_its_own_time_it_says_what_was_recorded(self, story):
        events = recorded_pods()[STORIES.index(story)]
        zero = events[0]["at"]
        began = churn_recorded.lines()[0]["began"]
        for event, line in zip(story.events, events, strict=True):
            again = tell(event.text, NAMES, lambda told: began + zero + told, 0)
            assert all_stamps(again) == all_stamps(line["object"])
            assert (event.type, event.at) == (line["type"], line["at"] - zero)

    def test_times_of_a_node_whose_clock_is_ahead_are_ahead(self, story):
        item = tell(story.events[-1].text, NAMES, lambda told: 1_790_000_000_000 + told, 0)
        ahead = tell(story.events[-1].text, NAMES, lambda told: 1_790_000_000_000 + told, 10 * SECOND)
        shifts = {
            path[0]: churn_recorded._milliseconds(late) - churn_recorded._milliseconds(early)
            for (path, late), (_, early) in zip(all_stamps(ahead), all_stamps(item), strict=True)
        }
        assert shifts == {"metadata": 0, "status": 10 * SECOND}


def test_a_deletion_is_announced_for_the_future():
    began = churn_recorded.lines()[0]["began"]
    announced = [
        next((event.at, item["metadata"]) for event, item in objects(story) if "deletionTimestamp" in item["metadata"])
        for story in STORIES
        if story.owner in ("ReplicaSet", "StatefulSet")
    ]
    assert len(announced) > 10
    for at, meta in announced:
        assert churn_recorded._milliseconds(meta["deletionTimestamp"]) + SECOND > began + at
        assert meta["deletionGracePeriodSeconds"] > 0


def test_a_pod_that_has_run_to_its_end_keeps_its_address_after_it_was_taken():
    kept = [story for story in STORIES if story.owner == "Job" and story.gone > story.taken + SECOND]
    assert len(kept) > 10
    assert all(objects(story)[-1][1]["status"]["phase"] in ("Succeeded", "Failed") for story in kept)


def test_a_pod_removed_by_force_has_its_address_a_little_longer_than_the_api_knows():
    assert any(story.gone < story.taken for story in STORIES if not story.owner)


@pytest.mark.parametrize(("moment", "text"), [(999, "1970-01-01T00:00:00Z"), (1000, "1970-01-01T00:00:01Z")])
def test_times_are_cut_off_to_the_second(moment, text):
    assert churn_recorded.written(moment) == text
