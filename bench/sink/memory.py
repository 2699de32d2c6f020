"""The peak of a sink's memory under a long backlog: it must not follow the backlog's length."""

from __future__ import annotations

import time
from dataclasses import dataclass

from bench.process import Watch
from bench.sink import backlog as filling
from bench.sink.rounds import PATIENCE_SECONDS, Backlog
from bench.sites import BEAT_SECONDS, open_site, require_alive
from bench.throughput import ready_at
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.errors import Retryable


@dataclass(frozen=True)
class Peak:
    """Peak of resident memory in MiB, and events per second from the assignment to the sink's own end."""

    mebibytes: float
    rate: float


def measure(backlog: Backlog, messages: list[filling.Message], name: str, events: int) -> Peak:
    """The same messages over and over until there are `events`, stored by one sink. Raises Retryable."""
    topics = filling.topics_of(backlog.addresses, f"bench.{backlog.mark}.{name}", backlog.topics.partitions)
    filling.copy(backlog.addresses, messages, topics.events, events)
    with open_site(f"bench_{backlog.mark}_{name}", backlog.addresses, topics) as site:
        sink = site.start("sink", "--until-caught-up", "--group", site.name)
        watch = Watch(sink)

        def ended() -> bool:
            watch.look()
            return sink.exit_code is not None

        if not wait_until(ended, PATIENCE_SECONDS):
            raise Retryable(f"the sink does not end; look at {sink.spec.log}")
        until = time.time()
        require_alive(sink)
        if site.stored() != events:
            raise Retryable(f"{site.stored()} of {events} events are stored: this measurement is worth nothing")
        ready = ready_at(sink.spec.log.read_text(encoding="utf-8"))
        return Peak(watch.use.peak_bytes / 2**20, events / max(until - ready, BEAT_SECONDS))
