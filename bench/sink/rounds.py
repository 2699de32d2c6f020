"""One backlog, every path, in turns: how long it takes and what it costs.

Each round has a fresh database and a fresh consumer group. The clock of a path that reads Kafka starts when the group
has given it its partitions and ends with the part that brings the last row, by the engine's own part log; start-up is
told apart. A round that stored anything but the very rows that were expected fails the whole benchmark.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.sink import columns, engine, limit
from bench.sink.backlog import Expected
from bench.sink.task import Task
from bench.sink.track import Track, clickhouse_pid, tracking
from bench.sites import Site, open_site, require_alive
from bench.throughput import ready_at
from taximeter_infra.stack.child import Child, ChildSpec
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas import avro_files
from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from taximeter_infra.stack.plan import StackAddresses
    from taximeter_schemas.settings import TopicSettings

PATIENCE_SECONDS = 900.0
_LOOK_SECONDS = 0.4
_ROOT = Path(__file__).parents[2]
_PARTS = """
SELECT toUnixTimestamp64Micro(max(event_time_microseconds)) / 1e6, count() FROM system.part_log
WHERE database = {database:String} AND table = 'stored_events' AND event_type = 'NewPart'
"""
SCHEMA = avro_files.schema_of(avro_files.CURRENT_VERSION)


@dataclass(frozen=True)
class Round:
    """One way of a backlog into the table.

    How many events; seconds of start-up and then until all is stored; in the latter, CPU seconds of client and server;
    how many parts inserts have made; the digest of all rows.
    """

    events: int
    startup: float
    seconds: float
    client_cpu: float
    server_cpu: float
    parts: int
    digest: str = ""

    @property
    def rate(self) -> float:
        """Events per second, without start-up."""
        return self.events / self.seconds

    @property
    def cpu(self) -> float:
        """Seconds of CPU for each event, client and server together."""
        # A tick of the kernel's clock: less than that was not measured.
        return max(self.client_cpu + self.server_cpu, 0.01) / self.events


# Takes the backlog into the table; its argument is the round's name.
Way = Callable[[str], Round]


@dataclass(frozen=True)
class Backlog:
    """What all paths read, where, and what must come of it. `mark` keeps the names of this run apart."""

    addresses: StackAddresses
    topics: TopicSettings
    registry_url: str
    file: Path
    expected: Expected
    mark: str


@dataclass(frozen=True)
class Stretch:
    """From when to when a round lasted, Unix seconds, and how long it had taken to begin."""

    began: float
    ready: float


def sink_round(backlog: Backlog, name: str) -> Round:
    """`taximeter sink --until-caught-up`."""
    return _round(backlog, name, lambda site: site.start("sink", "--until-caught-up", "--group", site.name))


def python_round(backlog: Backlog, name: str, *argv: str, python: Path = Path(sys.executable)) -> Round:
    """A sink of another kind: a module of this folder and its arguments, by the interpreter of its own environment."""

    def start(site: Site) -> Child:
        task = _task(backlog, site)
        environment = {**task.environment(), "PYTHONPATH": str(_ROOT)}
        whole = (str(python), "-m", f"bench.sink.{argv[0]}", *argv[1:])
        spec = ChildSpec(argv[0], whole, site.logs / f"{argv[0]}.log", environment=environment)
        child = Child.start(spec)
        site.held.callback(child.stop)
        return child

    return _round(backlog, name, start)


def engine_round(backlog: Backlog, name: str) -> Round:
    """ClickHouse's own Kafka engine; all that it uses is the server's."""
    with _site(backlog, name) as site, _tracking(site) as track:
        queue = engine.Queue(
            backlog.addresses.bootstrap_servers, backlog.registry_url, backlog.topics.events, site.name, _cores()
        )
        began = time.time()
        for statement in engine.statements(SCHEMA, queue):
            site.clickhouse.execute(statement)
        try:
            if not wait_until(lambda: engine.assigned(site.clickhouse), 60):
                raise Retryable("the Kafka engine gets no partitions")
            ready = time.time()
            await_rows(site, backlog.expected, lambda: None)
        finally:
            engine.drop(site.clickhouse)
        return _measured(site, backlog, Stretch(began, ready), track)


def limit_round(backlog: Backlog, name: str) -> Round:
    """The same rows from a local Avro file."""
    with _site(backlog, name) as site, _tracking(site) as track:
        sql = limit.insert(SCHEMA, backlog.file, backlog.topics.events)
        began = time.time()
        site.clickhouse.execute(sql, settings=limit.SETTINGS)
        return _measured(site, backlog, Stretch(began, began), track)


def paths(backlog: Backlog, of_peers: Backlog, peers: Mapping[str, Path]) -> dict[str, Way]:
    """Every path that can run here, by name; each takes the round's name. `peers` are interpreters by module.

    All but the limit and the sink, which are ten times slower, get a backlog of their own."""

    def by_python(*argv: str, python: Path = Path(sys.executable)) -> Way:
        return lambda name: python_round(of_peers, name, *argv, python=python)

    found: dict[str, Way] = {
        "limit": lambda name: limit_round(backlog, name),
        "sink": lambda name: sink_round(backlog, name),
        "usual": by_python("usual"),
        "usual_fastavro": by_python("usual", "fastavro"),
        "kafka_engine": lambda name: engine_round(of_peers, name),
    }
    return found | {module: by_python(module, python=python) for module, python in peers.items()}


def _round(backlog: Backlog, name: str, start: Callable[[Site], Child]) -> Round:
    with _site(backlog, name) as site:
        began = time.time()
        child = start(site)
        with _tracking(site, child) as track:
            await_rows(site, backlog.expected, lambda: require_alive(child))
            if not wait_until(lambda: child.exit_code is not None, PATIENCE_SECONDS):
                raise Retryable(f"{child.spec.name} does not end; look at {child.spec.log}")
        require_alive(child)
        ready = ready_at(child.spec.log.read_text(encoding="utf-8"))
        return _measured(site, backlog, Stretch(began, ready), track)


def _measured(site: Site, backlog: Backlog, stretch: Stretch, track: Track) -> Round:
    digest = require_equal(site, backlog.expected)
    end, parts = last_part(site)
    client, server = (track.between(who, stretch.ready, end) for who in ("client", "server"))
    startup, seconds = stretch.ready - stretch.began, end - stretch.ready
    return Round(backlog.expected.events, startup, seconds, client, server, parts, digest)


def last_part(site: Site) -> tuple[float, int]:
    """When the last insert's part became visible, Unix seconds, and how many parts inserts have made."""
    site.clickhouse.execute("SYSTEM FLUSH LOGS part_log")
    end, parts = site.clickhouse.rows(_PARTS, {"database": site.name})[0]
    return float(end), int(parts)


def require_equal(site: Site, expected: Expected, *, coordinates: bool = True) -> str:
    """The digest of all rows. Raises Retryable where rows, tokens or any column of any row are not what is expected.

    Without `coordinates` only rows and tokens are looked at: a copy of the backlog has other offsets.
    """
    events, tokens, digest = site.clickhouse.rows(columns.digest_sql(SCHEMA))[0]
    if (events, tokens) != (expected.events, expected.input_tokens):
        raise Retryable(
            f"{site.name} stored {events} rows with {tokens} input tokens, not {expected.events} with"
            f" {expected.input_tokens}: this measurement is worth nothing"
        )
    if coordinates and expected.digest and digest != expected.digest:
        raise Retryable(f"the rows of {site.name} are not those of the limit: this measurement is worth nothing")
    return str(digest)


def await_rows(site: Site, expected: Expected, check: Callable[[], None]) -> None:
    """Waits until so many rows are stored; `check` raises when that will never be. Raises Retryable."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (stored := site.clickhouse.scalar("SELECT count() FROM stored_events")) < expected.events:
        check()
        if time.monotonic() > deadline:
            raise Retryable(f"{site.name} has stored {stored} of {expected.events} rows; look at {site.logs}")
        time.sleep(_LOOK_SECONDS)


def _site(backlog: Backlog, name: str) -> AbstractContextManager[Site]:
    return open_site(f"bench_{backlog.mark}_{name}", backlog.addresses, backlog.topics)


def _tracking(site: Site, child: Child | None = None) -> AbstractContextManager[Track]:
    server = clickhouse_pid(site.addresses.data_dir)
    pids: dict[str, Callable[[], int | None]] = {"server": lambda: server}
    if child is not None:
        pids["client"] = lambda: child.server_pid
    return tracking(pids)


def _task(backlog: Backlog, site: Site) -> Task:
    return Task(
        backlog.addresses.bootstrap_servers,
        backlog.addresses.clickhouse_url.get_secret_value(),
        site.name,
        backlog.registry_url,
        backlog.topics.events,
        site.name,
        backlog.expected.events,
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0))
