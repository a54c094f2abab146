from __future__ import annotations

import contextlib
import http.client
import socket
import threading

import pytest

from network_mapper.agent import observe
from network_mapper.agent.observe import Page, PageServer, Pulse, serve_pages


@pytest.fixture
def server():
    made = PageServer(0, {"/healthz": lambda: Page(b"ok\n"), "/broken": lambda: Page(b"%d" % (1 // 0))})
    yield made
    made.close()


def get(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request(method, path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def test_a_page_is_served(server):
    assert get(server.port, "/healthz") == (200, b"ok\n")


def test_a_query_is_no_part_of_the_path(server):
    assert get(server.port, "/healthz?verbose=1")[0] == 200


def test_head_has_no_body(server):
    assert get(server.port, "/healthz", "HEAD") == (200, b"")


def test_another_path_tells_what_there_is(server):
    status, body = get(server.port, "/")
    assert status == 404
    assert b"/healthz" in body


def test_another_method_is_refused(server):
    assert get(server.port, "/healthz", "POST")[0] == 405


def test_a_page_that_cannot_be_made_is_an_error_and_not_the_end(server):
    assert get(server.port, "/broken")[0] == 500
    assert get(server.port, "/healthz")[0] == 200


def test_ipv6_is_served_too(server):
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    connection = http.client.HTTPConnection("::1", server.port, timeout=5)
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize("sent", [b"", b"\xff\xfe\r\n\r\n", b"GET\r\n\r\n", b"x" * 20_000])
def test_what_is_no_request_is_survived(server, sent):
    with socket.create_connection(("127.0.0.1", server.port), 5) as connection, contextlib.suppress(OSError):
        # The server may be done with us at any of these.
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1000):
            pass
    assert get(server.port, "/healthz")[0] == 200


def test_clients_that_say_nothing_do_not_hold_up_others(server):
    hung = [socket.create_connection(("127.0.0.1", server.port), 5) for _ in range(5)]
    assert get(server.port, "/healthz")[0] == 200
    for connection in hung:
        connection.close()


def test_there_are_only_so_many_threads(server):
    before = threading.active_count()
    hung = [socket.create_connection(("127.0.0.1", server.port), 5) for _ in range(observe._MOST_CLIENTS + 10)]
    turned_away = hung[-1].recv(1)
    assert turned_away == b""
    assert threading.active_count() <= before + observe._MOST_CLIENTS
    for connection in hung:
        connection.close()


def test_a_client_that_hangs_is_let_go(monkeypatch):
    monkeypatch.setattr(observe, "_TIMEOUT", 0.05)
    server = PageServer(0, {})
    with socket.create_connection(("127.0.0.1", server.port), 5) as connection:
        connection.sendall(b"GET / HT")
        assert connection.recv(1) == b""
    server.close()


def test_a_closed_server_gives_its_port_back(server):
    server.close()
    PageServer(server.port, {}).close()


def test_a_pulse_is_healthy_until_the_loop_hangs():
    now = [100.0]
    pulse = Pulse("me", limit=10, clock=lambda: now[0])
    now[0] = 110.0
    assert pulse.page().status == 200
    now[0] = 110.1
    assert pulse.page().status == 503
    pulse.beat()
    assert pulse.page().status == 200


def test_a_busy_port_is_a_warning_that_names_it_and_the_other_port_is_served(caplog):
    with socket.create_server(("", 0)) as busy, socket.create_server(("", 0)) as other:
        taken, free = busy.getsockname()[1], other.getsockname()[1]
        other.close()
        servers = serve_pages(
            {"/healthz": f"{taken}", "/metrics": f"{free}"}, {"/healthz": Page, "/metrics": lambda: Page(b"m")}
        )
    assert [server.port for server in servers] == [free]
    assert str(taken) in caplog.text
    assert get(free, "/metrics") == (200, b"m")
    servers[0].close()


def test_two_paths_may_share_a_port():
    with socket.create_server(("", 0)) as probe:
        port = probe.getsockname()[1]
    servers = serve_pages(
        {"/healthz": f"{port}", "/metrics": f":{port}"},
        {"/healthz": lambda: Page(b"h"), "/metrics": lambda: Page(b"m")},
    )
    assert len(servers) == 1
    assert (get(port, "/healthz")[1], get(port, "/metrics")[1]) == (b"h", b"m")
    servers[0].close()


def test_port_zero_serves_nothing():
    assert serve_pages({"/healthz": "0"}, {"/healthz": lambda: Page(b"h")}) == []


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def test_a_page_at_one_address_is_at_no_other():
    port = free_port()
    (server,) = serve_pages({"/healthz": f"127.0.0.1:{port}"}, {"/healthz": lambda: Page(b"h")})
    assert get(port, "/healthz") == (200, b"h")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), 5)
    server.close()


def test_health_says_whose_it_is():
    assert Pulse("the sniffer of n1").page().body == b"ok: the sniffer of n1\n"


@pytest.mark.parametrize("host", ["", "127.0.0.1:"])
def test_who_has_a_busy_port_is_named_where_it_is_an_agent(caplog, host):
    pulse = Pulse("network-mapper-sniffer/1.2.3 of n1, reporting to http://other:9090")
    first = PageServer(0, {"/healthz": pulse.page}, "127.0.0.1" if host else "")
    assert serve_pages({"/healthz": f"{host}{first.port}"}, {"/healthz": lambda: Page(b"h")}) == []
    assert "reach network-mapper-sniffer/1.2.3 of n1, reporting to http://other:9090; choose another" in caplog.text
    first.close()


def test_who_has_a_busy_port_is_another_process_where_it_does_not_say(caplog):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        serve_pages({"/healthz": f"127.0.0.1:{silent.getsockname()[1]}"}, {"/healthz": lambda: Page(b"h")})
    assert "reach another process; choose another" in caplog.text


@pytest.fixture
def says():
    """A server of a busy port, which answers as told."""

    def start(said: bytes) -> int:
        def serve() -> None:
            with listener, listener.accept()[0] as connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + said)
                connection.recv(4096)  # until the other side has had enough

        listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=serve, daemon=True).start()
        return listener.getsockname()[1]

    return start


def test_what_another_process_says_cannot_flood_the_log(caplog, says):
    serve_pages({"/healthz": f"127.0.0.1:{says(b'ok: ' + b'x' * 4000)}"}, {"/healthz": lambda: Page(b"h")})
    assert "x" * 300 in caplog.text
    assert "x" * 301 not in caplog.text


@pytest.mark.parametrize("said", [b"ok: \x1b[2J", b"ok: one\nline more", b"hello", b""])
def test_who_does_not_say_whose_it_is_in_plain_words_is_another_process(caplog, says, said):
    serve_pages({"/healthz": f"127.0.0.1:{says(said)}"}, {"/healthz": lambda: Page(b"h")})
    assert "reach another process; choose another" in caplog.text
