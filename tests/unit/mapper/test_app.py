"""What the report door does with senders that misbehave in time."""

import asyncio
import json

from cluster_objects import NOW

from network_mapper.mapper import app
from network_mapper.mapper.app import Doors
from network_mapper.mapper.settings import MapperSettings
from network_mapper.wire.report import JSON


class Idle:
    """A writer that never finishes anything."""

    failure = ""

    def __init__(self):
        self.jobs = []

    def append(self, *job):
        self.jobs.append(job)


class Known:
    """A cluster that is known."""

    def obstacle(self):
        return ""


def doors(state, **settings):
    return Doors(state, Idle(), MapperSettings(**settings), Known(), lambda: NOW)


async def post(door, receive):
    """Send one report; `receive` gives its ASGI messages."""
    sent = []

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/v1/reports",
        "headers": [(b"content-type", JSON.encode())],
    }
    await door(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), json.loads(sent[1]["body"])


def body(sequence):
    row = ["10.0.1.2", 5432, "tcp", 1, 0, 0]
    report = {"node": "node-a", "boot": "b", "sequence": sequence, "base": NOW}
    content = json.dumps(report | {"clients": [{"address": "10.0.0.1", "connections": [row]}]}).encode()

    async def receive():
        return {"type": "http.request", "body": content, "more_body": False}

    return receive


def test_a_report_that_does_not_arrive_gives_its_place_back(state, monkeypatch):
    monkeypatch.setattr(app, "BODY_PATIENCE", 0.05)
    door = doors(state)

    async def never():
        await asyncio.sleep(60)

    status, _, problem = asyncio.run(post(door, never))
    assert status == 408
    assert "0.05 seconds" in problem["detail"]
    assert door._reading == 0


def test_more_reports_than_allowed_are_asked_to_come_again(state):
    async def run():
        door = doors(state, max_reports=2)
        waiting = [asyncio.create_task(post(door, body(n))) for n in (1, 2)]
        await asyncio.sleep(0.01)
        answer = await post(door, body(3))
        for task in waiting:
            task.cancel()
        return answer

    status, headers, problem = asyncio.run(run())
    assert status == 503
    assert headers[b"retry-after"] == b"1"
    assert "as many reports as allowed" in problem["detail"]


def test_a_report_that_comes_again_while_it_is_being_written_waits_for_the_same_answer(state):
    async def run():
        door = doors(state)
        first, again = (asyncio.create_task(post(door, body(1))) for _ in range(2))
        await asyncio.sleep(0.01)
        jobs = door._writer.jobs
        assert len(jobs) == 1
        jobs[0][2](7)  # it is in the journal now
        return await first, await again

    (status, _, receipt), (again, _, same) = asyncio.run(run())
    assert (status, again) == (200, 200)
    assert receipt == same
    assert receipt["rows"] == 1
    assert state.merged == 1
    assert state.journaled == 7


def test_a_fault_in_applying_refuses_that_report_and_takes_the_next(state, monkeypatch):
    async def run():
        door = doors(state)
        apply = state.apply
        answers = []
        for number in (1, 2):
            if number == 1:
                monkeypatch.setattr(state, "apply", lambda *_: 1 / 0)
            else:
                monkeypatch.setattr(state, "apply", apply)
            task = asyncio.create_task(post(door, body(number)))
            await asyncio.sleep(0.01)
            door._writer.jobs[-1][2](number)
            answers.append((await task)[0])
        return answers

    assert asyncio.run(run()) == [400, 200]
    assert state.merged == 1
    assert state.drops == {"report_malformed": 1}
