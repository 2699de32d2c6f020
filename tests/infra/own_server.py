"""A ClickHouse server of a test's own: the embedded one, with more in its configuration than the local stack has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from taximeter_infra.stack.child import ChildSpec
from taximeter_infra.stack.clickhouse import ClickHousePart
from taximeter_infra.stack.part import Part
from taximeter_infra.stack.room import LOOPBACK, free_ports
from taximeter_infra.stack.supervisor import Supervisor


class OwnServer(ClickHousePart):
    """`configured` and `known_users` make more of the two files' texts."""

    def __init__(self, directory: Path, ports: tuple[int, int]) -> None:
        super().__init__(directory, *ports)
        self.configured: Callable[[str], str] = lambda text: text
        self.known_users: Callable[[str], str] = lambda text: text

    def prepare(self) -> ChildSpec:
        """The files of the local stack, changed."""
        spec = super().prepare()
        for name, change in (("config.xml", self.configured), ("users.xml", self.known_users)):
            file = self.directory / name
            file.write_text(change(file.read_text(encoding="utf-8")), encoding="utf-8")
        return spec

    def url(self, user: str = "taximeter", password: str | None = None) -> SecretStr:
        """Where it answers, as whom; by default as the user who may do everything."""
        secret = self.password if password is None else password
        return SecretStr(f"http://{user}:{secret}@{LOOPBACK}:{self.http_port}")


@contextmanager
def running(servers: Sequence[Part]) -> Iterator[None]:
    """Until the end of the block; nothing of them is left afterwards."""
    supervisor = Supervisor(lambda _: None)
    try:
        supervisor.start(servers)
        yield
    finally:
        supervisor.stop()


def own_servers(directory: Path, count: int) -> list[OwnServer]:
    """Not started yet."""
    ports = free_ports(2 * count)
    return [OwnServer(directory / f"server-{at}", (ports[2 * at], ports[2 * at + 1])) for at in range(count)]
