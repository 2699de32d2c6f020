"""A sink that reaches ClickHouse or the broker through a proxy; everything else of its world reaches them directly."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from chaos.kafka_address import readdressing
from chaos.process import Process
from chaos.proxy import LOOPBACK, Proxy, open_proxy
from chaos.world import World

AWAY = "not stored yet"
"""What a sink says when an attempt at storing failed."""


def clickhouse_line(world: World) -> Proxy:
    """A line to ClickHouse, for as long as the world is there."""
    target = urlsplit(world.addresses.clickhouse_url.get_secret_value()).port or 8123
    return world.held.enter_context(open_proxy(target))


def broker_line(world: World) -> Proxy:
    """A line to the broker, which then names the line as its address, for as long as the world is there."""
    target = int(world.addresses.bootstrap_servers.rpartition(":")[2])
    return world.held.enter_context(open_proxy(target, readdressing(target)))


def start_sink_behind(
    world: World, *, clickhouse: Proxy | None = None, broker: Proxy | None = None, instance: str = "sink-1"
) -> Process:
    """Starts a sink whose way to the servers leads through these lines."""
    with behind(world, clickhouse, broker):
        return world.start_sink(instance=instance)


def last(world: World, seconds: float) -> None:
    """Lets what is broken be broken for so long, while all processes live."""
    end = time.monotonic() + seconds
    world.await_condition(lambda: time.monotonic() >= end, "the fault to last")


@contextmanager
def behind(world: World, clickhouse: Proxy | None = None, broker: Proxy | None = None) -> Iterator[None]:
    """What is started in this block reaches the servers through these lines."""
    before = dict(world.environment)
    if clickhouse is not None:
        url = urlsplit(world.addresses.clickhouse_url.get_secret_value())
        user = url.netloc.rpartition("@")[0]
        netloc = f"{user}@{LOOPBACK}:{clickhouse.port}" if user else f"{LOOPBACK}:{clickhouse.port}"
        world.environment["CLICKHOUSE_URL"] = url._replace(netloc=netloc).geturl()
    if broker is not None:
        world.environment["KAFKA_BOOTSTRAP_SERVERS"] = f"{LOOPBACK}:{broker.port}"
    try:
        yield
    finally:
        world.environment.clear()
        world.environment.update(before)
