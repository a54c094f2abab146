"""A mapper that vanishes without a word, as with its node: the kernel must tell, for no packet will."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time

import pytest

from network_mapper.http_client import HttpClient

pytestmark = pytest.mark.lab

SERVER = """
import socket
listener = socket.create_server(("10.213.78.2", 8080))
print("ready", flush=True)
while True:
    connection, _ = listener.accept()
    try:
        while connection.recv(65536):
            connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nhi")
    except OSError:
        pass
"""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def far():
    """The namespace of a server at 10.213.78.2; we are at 10.213.78.1."""
    if os.geteuid() != 0:
        pytest.skip("making network namespaces needs root")
    name, near = f"nmgone{os.getpid()}", f"nmg{os.getpid()}"
    server = None
    try:
        ip("netns", "add", name)
        ip("link", "add", near, "type", "veth", "peer", "name", "far", "netns", name)
        ip("addr", "add", "10.213.78.1/24", "dev", near)
        ip("-n", name, "addr", "add", "10.213.78.2/24", "dev", "far")
        ip("link", "set", near, "up")
        ip("-n", name, "link", "set", "far", "up")
        server = subprocess.Popen(
            ["ip", "netns", "exec", name, sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True
        )
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        yield name
    finally:
        if server is not None:
            server.kill()
            server.communicate()
        for words in (("netns", "del", name), ("link", "del", near)):
            with contextlib.suppress(subprocess.CalledProcessError):
                ip(*words)


def test_a_kept_connection_whose_server_has_vanished_is_given_up_within_seconds_and_made_anew(far):
    with HttpClient("http://10.213.78.2:8080", timeout=60, connect_timeout=3) as client:
        assert client.request("GET", "/").body == b"hi"
        ip("-n", far, "route", "add", "blackhole", "10.213.78.1/32")
        began = time.monotonic()
        with pytest.raises(OSError, match="timed out"):
            client.request("GET", "/")
        took = time.monotonic() - began
        ip("-n", far, "route", "del", "blackhole", "10.213.78.1/32")
        again = client.request("GET", "/").body
    assert took < 10
    assert again == b"hi"
