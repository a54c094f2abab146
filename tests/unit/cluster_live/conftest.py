"""Virtual time, a server in memory, and what follows it."""

import fake_api
import followed_fake
import pytest
import virtual_time


@pytest.fixture
def run():
    """Run a coroutine in virtual time."""
    return virtual_time.run


@pytest.fixture
def follow():
    return followed_fake.following


@pytest.fixture
def live():
    return followed_fake.living


@pytest.fixture
def make_pod():
    return followed_fake.pod


@pytest.fixture
def new_api():
    """Make a server; inside a running loop."""
    return fake_api.FakeApi
