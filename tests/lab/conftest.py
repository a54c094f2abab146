"""Network namespaces for tests: the run itself is started inside the sandbox, by `make test`."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

import pytest

from network_mapper import __version__
from network_mapper.testing import sandbox
from network_mapper.testing.lab import Lab
from network_mapper.testing.plan import make_plan


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("lab") and not sandbox.inside():
        reason = sandbox.obstacle(install=False)
        start = "start it inside the sandbox: python -m network_mapper.testing.sandbox --net -- pytest"
        pytest.skip(reason or start)


def _assert_what_runs(lab: Lab) -> None:
    """A test of the lab proves something about this version with the packet ring, and about nothing else."""
    status = lab.mapper.status()
    assert status.version == __version__
    for sniffer in status.sniffers:
        assert set(sniffer.sources) == {"ring", "sockets"}
        assert sniffer.agent.endswith(f"/{__version__}")


@pytest.fixture(scope="session")
def build():
    """Build a lab from a topology: `with build(topology) as lab`."""

    @contextlib.contextmanager
    def _build(topology, **options):
        # Not pytest's folder: a Unix socket's path has a bound of 108 bytes.
        folder = Path(tempfile.mkdtemp(prefix="lab-", dir="/run"))
        try:
            with Lab(make_plan(topology), folder, **options) as lab:
                _assert_what_runs(lab)
                yield lab
        finally:
            shutil.rmtree(folder)

    return _build
