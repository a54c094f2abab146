"""Network namespaces for tests: the run itself is started inside the sandbox, by `make test`."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

import pytest

from network_mapper.testing import sandbox
from network_mapper.testing.lab import Lab
from network_mapper.testing.plan import make_plan


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("lab") and not sandbox.inside():
        reason = sandbox.obstacle(install=False)
        start = "start it inside the sandbox: python -m network_mapper.testing.sandbox --net -- pytest"
        pytest.skip(reason or start)


@pytest.fixture(scope="session")
def build():
    """Build a lab from a topology: `with build(topology) as lab`."""

    @contextlib.contextmanager
    def _build(topology, **options):
        # Not pytest's folder: a Unix socket's path has a bound of 108 bytes.
        folder = Path(tempfile.mkdtemp(prefix="lab-", dir="/run"))
        try:
            with Lab(make_plan(topology), folder, **options) as lab:
                yield lab
        finally:
            shutil.rmtree(folder)

    return _build
