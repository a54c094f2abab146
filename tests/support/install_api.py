"""An API of a cluster in a few lines, for the steps of `install`, `upgrade` and `uninstall`."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus

from network_mapper.cli.deploy.session import DeniedError
from network_mapper.kube.client import Answer


class Client:
    """Answers requests in turn, and keeps them."""

    def __init__(self, *answers: tuple[int, object] | tuple[int, object, dict[str, str]]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, dict[str, str], object]] = []

    async def request(self, method, path, params=None, _headers=None, body=b""):
        self.asked.append((method, path, dict(params or {}), json.loads(body) if body else None))
        status, content, *more = self.answers.pop(0)
        return Answer(status, more[0] if more else {}, json.dumps(content).encode())


class Cluster:
    """An API that has objects by path, and refuses what it is told to."""

    def __init__(self, **objects: object) -> None:
        self.objects = objects
        self.lists: dict[str, list[object]] = {}
        self.selectors: list[dict[str, str]] = []
        self.forbidden: set[str] = set()

    async def get(self, path):
        if path in self.forbidden:
            raise DeniedError("no", HTTPStatus.FORBIDDEN, "Forbidden", [])
        return self.objects.get(path)

    async def list(self, path, **selectors):
        self.selectors.append(selectors)
        if path in self.forbidden:
            raise DeniedError("no", HTTPStatus.FORBIDDEN, "Forbidden", [])
        return self.lists.get(path, [])


class Recorded(Cluster):
    """Notes what is done to it: what is tried, applied and deleted, by kind, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.warnings: list[str] = []
        self.done: list[tuple[str, str]] = []
        self.forced: set[str] = set()

    async def apply(self, _path, item, *, dry_run=False, force=False):
        self.done.append(("try" if dry_run else "apply", item["kind"]))
        if force:
            self.forced.add(item["kind"])
        return item

    async def delete(self, path, _uid):
        self.done.append(("delete", path))

    def of(self, action):
        return [what for how, what in self.done if how == action]


def run(work):
    return asyncio.run(work)
