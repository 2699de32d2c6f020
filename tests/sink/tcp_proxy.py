"""A TCP proxy on loopback that can lose answers: the request gets through, the reply does not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class LossyProxy:
    """`lose_when` is looked for in what the client sends; the answer to the request that has it is dropped.

    `lost` counts the answers that were dropped; no more than `most` are.
    """

    target: tuple[str, int]
    lose_when: bytes
    most: int = 1
    lost: int = 0
    port: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def serve(self, listener: socket.socket) -> None:
        """Accepts until the listener is closed."""
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(self.target) as server:
            drops = threading.Event()
            back = threading.Thread(target=self._answers, args=(server, client, drops), daemon=True)
            back.start()
            sent = b""
            while data := client.recv(1 << 16):
                # A request's head may lie across two pieces.
                sent = sent[-64:] + data
                with self.lock:
                    if self.lost < self.most and self.lose_when in sent:
                        self.lost += 1
                        drops.set()
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)
            back.join()

    def _answers(self, server: socket.socket, client: socket.socket, drops: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                if drops.is_set():
                    # The server has answered, so it has done its work; the client hears nothing of it.
                    break
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)


@contextmanager
def lossy_proxy(target: tuple[str, int], lose_when: bytes, most: int = 1, port: int = 0) -> Iterator[LossyProxy]:
    """A proxy before `target` while the block runs, on a free port of loopback or on the one that is given."""
    proxy = LossyProxy(target, lose_when, most)
    with socket.create_server(("127.0.0.1", port)) as listener:
        proxy.port = listener.getsockname()[1]
        thread = threading.Thread(target=proxy.serve, args=(listener,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            listener.shutdown(socket.SHUT_RDWR)
    thread.join()
