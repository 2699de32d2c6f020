"""The proxy: what each state of the line does to the connections through it."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from chaos.kafka_address import Readdressed, readdressing
from chaos.proxy import CUT, HALF_OPEN, PASS, Line, Proxy, open_proxy
from taximeter_infra.stack.waiting import wait_until

_PATIENCE = 10.0


class _Echo(socketserver.BaseRequestHandler):
    """Answers each message with the same bytes."""

    def handle(self) -> None:
        while data := self.request.recv(65_536):
            self.server.heard += data  # type: ignore[attr-defined]  # ours, set below
            self.request.sendall(data)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Echo)
        self.heard = b""


@pytest.fixture
def server() -> Iterator[_Server]:
    """A server that echoes and remembers what it heard."""
    with _Server() as echo:
        thread = threading.Thread(target=echo.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield echo
        echo.shutdown()
        thread.join()


@pytest.fixture
def proxy(server: _Server) -> Iterator[Proxy]:
    """A proxy before it."""
    with open_proxy(server.server_address[1]) as opened:
        yield opened


def client_of(proxy: Proxy) -> socket.socket:
    """A connection through the proxy."""
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=_PATIENCE)


def answered(client: socket.socket, data: bytes) -> bytes:
    """What comes back for it, or nothing where the connection is reset."""
    try:
        client.sendall(data)
        found = b""
        while len(found) < len(data) and (more := client.recv(65_536)):
            found += more
    except ConnectionError:
        return b""
    return found


def test_it_passes_everything_on(proxy: Proxy) -> None:
    """Bytes go both ways, unchanged, however many."""
    with client_of(proxy) as client:
        sender = threading.Thread(target=client.sendall, args=(b"x" * 1_000_000,))
        sender.start()
        found = 0
        while found < 1_000_000:
            found += len(client.recv(65_536))
        sender.join()
    assert found == 1_000_000


def test_a_closed_side_is_told_to_the_other(proxy: Proxy) -> None:
    """When the client ends, the server ends too, and the client sees the end of the answers."""
    with client_of(proxy) as client:
        assert answered(client, b"last words") == b"last words"
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""


def test_a_cut_resets_what_is_open_and_refuses_what_comes(proxy: Proxy) -> None:
    """A cut line answers nobody; a mended one does."""
    with client_of(proxy) as client:
        assert answered(client, b"before") == b"before"
        proxy.set(CUT)
        assert answered(client, b"after") == b""
    with client_of(proxy) as late:
        assert answered(late, b"late") == b""
    proxy.set(PASS)
    with client_of(proxy) as mended:
        assert answered(mended, b"mended") == b"mended"


def test_a_half_open_line_accepts_and_swallows(proxy: Proxy, server: _Server) -> None:
    """Nothing reaches the server, nothing is answered, and the connection stays; mended, it is reset."""
    with client_of(proxy) as open_before:
        assert answered(open_before, b"before") == b"before"
        proxy.set(HALF_OPEN)
        with client_of(proxy) as fresh:
            for client in (open_before, fresh):
                client.sendall(b"swallowed")
                client.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    client.recv(1)
                client.settimeout(_PATIENCE)
            proxy.set(PASS)
            for client in (open_before, fresh):
                assert answered(client, b"too late") == b""
    assert wait_until(lambda: proxy.connections == 0, _PATIENCE)
    assert server.heard == b"before"


def test_an_answer_is_lost_after_the_request_was_delivered_whole(proxy: Proxy, server: _Server) -> None:
    """Only the answer to the request that holds the bytes is lost; then the line is as it was told to be."""
    with client_of(proxy) as client:
        proxy.set(Line(loses=b"INSERT", afterwards=PASS))
        assert answered(client, b"SELECT") == b"SELECT"
        assert answered(client, b"an INSERT") == b""
    assert proxy.lost == 1
    assert server.heard == b"SELECTan INSERT"
    assert proxy.line == PASS
    with client_of(proxy) as again:
        assert answered(again, b"an INSERT") == b"an INSERT"


def test_only_an_answer_that_begins_so_is_lost(proxy: Proxy) -> None:
    """A refusal comes through."""
    with client_of(proxy) as client:
        proxy.set(Line(loses=b"INSERT", answering=b"done", afterwards=PASS))
        assert answered(client, b"refused: INSERT") == b"refused: INSERT"
        assert proxy.lost == 0
        assert answered(client, b"done: INSERT") == b""
    assert proxy.lost == 1


def test_a_lost_answer_may_cut_the_line(proxy: Proxy) -> None:
    """`afterwards` holds for every connection, those that are open too."""
    with client_of(proxy) as client, client_of(proxy) as other:
        assert answered(other, b"hello") == b"hello"
        proxy.set(Line(loses=b"INSERT", afterwards=CUT))
        assert answered(client, b"INSERT") == b""
        assert answered(other, b"hello") == b""


def test_each_direction_is_delayed(proxy: Proxy) -> None:
    """An answer takes the delay twice, and what was sent together comes together."""
    proxy.set(Line(delay_seconds=0.1))
    with client_of(proxy) as client:
        began = time.monotonic()
        for _ in range(5):
            client.sendall(b"x")
        found = b""
        while len(found) < 5:
            found += client.recv(5)
        took = time.monotonic() - began
    assert took >= 0.2
    assert proxy.line.delay_seconds == 0.1


def test_a_rate_bounds_the_bytes_a_second(proxy: Proxy) -> None:
    """A fifth of a second's worth takes at least so long, in one direction alone."""
    proxy.set(Line(bytes_per_second=10_000))
    with client_of(proxy) as client:
        began = time.monotonic()
        assert len(answered(client, b"x" * 2_000)) == 2_000
    assert time.monotonic() - began >= 0.15


def test_a_server_that_is_away_resets_the_client() -> None:
    """A proxy to nobody answers nobody, and lives on."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with open_proxy(nobody.getsockname()[1]) as proxy, client_of(proxy) as client:
            assert answered(client, b"hello") == b""


def test_a_tap_sees_the_answers(proxy: Proxy) -> None:
    """What is passed on to clients is shown to taps."""
    seen: list[bytes] = []
    proxy.taps.append(seen.append)
    with client_of(proxy) as client:
        assert answered(client, b"hello") == b"hello"
    assert b"".join(seen) == b"hello"


def test_answers_of_a_broker_tell_another_port() -> None:
    """The address is replaced in whole answers, wherever a read ends, and no length changes."""
    address = b"\x00\x09127.0.0.1" + (9_092).to_bytes(4, "big")
    bodies = [b"one" + address + b"end", b"", b"two" + address]
    sent = b"".join(len(body).to_bytes(4, "big") + body for body in bodies)
    expected = sent.replace((9_092).to_bytes(4, "big"), (9_999).to_bytes(4, "big"))
    for step in range(1, len(sent) + 1):
        readdressed: Readdressed = readdressing(9_092)(9_999)
        found = b"".join(readdressed.feed(sent[at : at + step]) for at in range(0, len(sent), step))
        assert found == expected
