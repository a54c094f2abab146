"""Event loops and certificates for the tests of this room."""

from __future__ import annotations

import asyncio

import pytest
from https_server import Certificates


def _uvloop():
    uvloop = pytest.importorskip("uvloop")
    return uvloop.new_event_loop()


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request):
    factory = _uvloop if request.param == "uvloop" else asyncio.new_event_loop

    def call(coroutine):
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(coroutine)

    return call


@pytest.fixture(scope="session")
def certs(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))
