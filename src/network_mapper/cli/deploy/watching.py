"""What a person sees while an installation comes up: one line on a terminal, and a line for whatever is worth keeping.

Where nobody looks, as in a pipeline, the lines remain: a part that runs, a problem with its remedy, a right that is
missing for a better answer.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from network_mapper.cli.console import notice, warn
from network_mapper.cli.deploy import names
from network_mapper.cli.errors import CliError
from network_mapper.cli.progress import progress
from network_mapper.cli.sources.base import Connection
from network_mapper.kube.errors import UnreachableError

if TYPE_CHECKING:
    from network_mapper.cli.deploy.rollout import Part, Rollout, Step
    from network_mapper.cli.deploy.session import Session

POLL = 1.0
FIRST_REPORT = 30.0
"""Seconds that the first report of each sniffer may take after all pods are ready."""
SERVICE = "network-mapper"


class Outcome(msgspec.Struct):
    """How a wait ended.

    Attributes:
        parts: The state of the parts.
        problems: What stands against them, for people.
        running: Whether everything runs.
        reporting: Nodes whose sniffer has reported; None where that cannot be seen.
    """

    parts: list[Part]
    problems: list[str]
    running: bool
    reporting: int | None = None

    @property
    def text(self) -> str:
        """For people."""
        return ", ".join(part.text for part in self.parts)


def wait(session: Session, rollout: Rollout, seconds: float) -> Outcome:
    """Wait until everything runs or the time is over, and tell what happens meanwhile.

    Raises:
        CliError: The cluster refuses to be asked.
    """
    deadline = time.monotonic() + seconds
    ready: set[str] = set()
    while True:
        step = _until_news(session, rollout, deadline, ready)
        for part in step.parts:
            if part.done and part.name not in ready:
                ready.add(part.name)
                notice(part.text[0].upper() + part.text[1:] + ".")
        over = step.done or time.monotonic() >= deadline
        told = [*step.problems, *(session.run(rollout.explained()) if over and not step.done else ())]
        for problem in told:
            warn(problem.text + ".")
        for right in step.hints:
            warn(f"what is wrong can be told better by somebody who may {right}.")
        if over:
            return Outcome(step.parts, [problem.text for problem in rollout.problems], step.done)


def _until_news(session: Session, rollout: Rollout, deadline: float, ready: set[str]) -> Step:
    with progress("waiting for the pods") as line:
        while True:
            step = _look(session, rollout, deadline)
            if step is not None:
                news = step.problems or step.hints or any(part.done and part.name not in ready for part in step.parts)
                if news or step.done or time.monotonic() >= deadline:
                    return step
                line.update(f"waiting: {step.text}")
            time.sleep(max(0.0, min(POLL, deadline - time.monotonic())))


def _look(session: Session, rollout: Rollout, deadline: float) -> Step | None:
    """One look; None where the API server is away and there is time left for it to come back."""
    try:
        return session.run(rollout.look())
    except CliError as error:
        if not isinstance(error.__cause__, UnreachableError) or time.monotonic() >= deadline:
            raise
        return None


def first_reports(kubeconfig: str, context: str, namespace: str, wanted: int, seconds: float) -> int | None:
    """Wait until that many sniffers have reported; how many have, None where the mapper cannot be asked from here."""
    from network_mapper.cli.sources.open import open_source  # noqa: PLC0415  only after everything runs

    deadline = time.monotonic() + min(seconds, FIRST_REPORT)
    connection = Connection(kubeconfig=kubeconfig, context=context, namespace=namespace, service=SERVICE)
    try:
        with progress("waiting for the first report") as line, open_source(connection) as source:
            while True:
                heard = sum(1 for sniffer in source.status().sniffers if sniffer.connected)
                if heard >= wanted or time.monotonic() >= deadline:
                    return heard
                line.update(f"waiting: {heard} of {wanted} sniffers have reported")
                time.sleep(POLL)
    except CliError as error:
        notice(f"Whether sniffers report cannot be seen from here: {error.format_message()}")
        return None


def flags(namespace: str) -> str:
    """What other commands need to find a mapper of that namespace, where there may be several."""
    return "" if namespace == names.NAMESPACE else f" --mapper-namespace {namespace}"
