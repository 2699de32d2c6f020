"""A world: topics, database and consumer group of one run, and its processes; what a fault works on.

Nothing in it is shared with another run but the servers. Its processes end with it, however the harness ends.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from os import pathsep
from pathlib import Path

from chaos.former_logs import FormerLog
from chaos.journal import Written, acknowledged, read
from chaos.own_servers import OwnServers
from chaos.price_changes import PriceChange
from chaos.process import PATIENCE_SECONDS, Process
from chaos.quota.notes import QuotaNotes
from chaos.streams import PLAIN
from taximeter_consumers.clickhouse import ClickHouse, connect
from taximeter_consumers.failpoints import VARIABLE
from taximeter_consumers.pricing.sync import load_book
from taximeter_infra.migrate import migrate, single_server
from taximeter_infra.stack.plan import StackAddresses
from taximeter_infra.stack.waiting import wait_until
from taximeter_infra.topics import ensure_topics
from taximeter_schemas.errors import Misconfigured, Retryable
from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings, TopicSettings

PARTITIONS = 4
_SINK = ("-m", "taximeter_infra", "sink")
_LAST_CHANCE_SECONDS = 10.0
# A meter with little room, so that an outage of seconds fills it, and a client that finds a broker again at once.
METER = {
    "TAXIMETER_METER_QUEUE_EVENTS": "1000",
    "KAFKA_OPTIONS": '{"reconnect.backoff.max.ms": "500", "socket.timeout.ms": "10000"}',
}


@dataclass(frozen=True)
class Input:
    """What the executor sends: a stream by name, its seed and least size, and at most how many entries a second."""

    seed: int
    stream: str = PLAIN
    events: int = 2_000
    rate: float = 1_000.0
    message_timeout_ms: int = 300_000


@dataclass
class World:
    """Where one run takes place."""

    addresses: StackAddresses
    folder: Path
    name: str
    input: Input
    clickhouse: ClickHouse
    held: ExitStack
    sink_command: tuple[str, ...] = _SINK
    long: bool = False
    # Whether ClickHouse may merge events while the run is on; without merges every copy stays to be counted.
    merges: bool = True
    # Whether processes are forks of a loaded server; else each has a command line of its own.
    forked: bool = True
    # The servers, where this run may hurt them.
    servers: OwnServers | None = None
    # What was done to it, in words; a run without any proves nothing.
    injected: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    # Logs that the topic of events had before, the first one first.
    former_logs: list[FormerLog] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    # Overrides of the environment of everything that is started from now on, such as the address of a proxy.
    environment: dict[str, str] = field(default_factory=dict)
    # Metered executors by their journals, and where they spool if not in the run's own folder.
    metered: dict[Path, Process] = field(default_factory=dict)
    spool_dir: Path | None = None
    # Whether its disk was full for a while.
    spool_was_full: bool = False
    # What was changed in the price book, in order, and the billing periods that were invoiced to the end.
    price_changes: list[PriceChange] = field(default_factory=list)
    billed: list[str] = field(default_factory=list)
    # Checks that cannot hold after what was done, each with the reason.
    waived: dict[str, str] = field(default_factory=dict)
    # What was limited, asked and told, where the fault is one of quotas.
    quotas: QuotaNotes = field(default_factory=QuotaNotes)

    @property
    def topics(self) -> TopicSettings:
        """The topics of this run."""
        return topics_of(self.name)

    @property
    def kafka(self) -> KafkaSettings:
        """How to reach the broker itself, past any proxy."""
        return KafkaSettings(bootstrap_servers=self.addresses.bootstrap_servers, security_protocol="plaintext")

    @property
    def own_servers(self) -> OwnServers:
        """The servers to be hurt. Raises Misconfigured where the fault has not asked for some of its own."""
        if self.servers is None:
            raise Misconfigured("this run shares its servers", mend="declare the fault with own_servers=True")
        return self.servers

    @property
    def journal(self) -> Path:
        """The executor's journal."""
        return self.folder / "journal.jsonl"

    @property
    def enough(self) -> Path:
        """The file that tells the executor to come to an end."""
        return self.folder / "enough"

    def start_executor(self, die: str | None = None) -> Process:
        """Starts the executor, or starts it again with its journal; `die` as in `chaos.executor.DEATHS`, with @N."""
        sent = self.input
        files = ("--journal", self.journal, "--until", self.enough)
        options = (*files, "--topic", self.topics.events, "--stream", sent.stream)
        sizes = ("--seed", sent.seed, "--events", sent.events, "--rate", sent.rate)
        patience = ("--message-timeout-ms", sent.message_timeout_ms)
        death = ("--die", die) if die else ()
        argv = tuple(str(word) for word in ("-m", "chaos.executor", *options, *sizes, *patience, *death))
        return self._start("executor", argv, {}, may_die=die is not None)

    def start_metered(self, *options: str) -> Process:
        """Starts an executor with a real meter, a journal of its own and the one spool; options of `chaos.metered`."""
        journal = self.folder / f"metered{len(self.metered) + 1}.jsonl"
        argv = ("-m", "chaos.metered", "--journal", str(journal), "--seed", str(self.input.seed), *options)
        settings = {"TAXIMETER_METER_SPOOL_DIR": str(self.spool), **METER}
        self.metered[journal] = self._start("metered", argv, settings, may_die=False)
        return self.metered[journal]

    @property
    def spool(self) -> Path:
        """The directory of the metered executors' spool."""
        return self.spool_dir or self.folder / "spool"

    def in_spool(self) -> list[str]:
        """The spool's files, those that are kept aside included."""
        return sorted(path.name for path in self.spool.glob("*") if path.suffix in {".spool", ".corrupt"})

    def start_sink(self, *options: str, instance: str | None = "sink-1", failpoint: str | None = None) -> Process:
        """Starts a sink. Under one instance id it takes its partitions back at once; None: after the session."""
        member = ("--instance", instance) if instance else ()
        argv = (*self.sink_command, "--group", self.name, *member, *options)
        return self._start("sink", argv, {VARIABLE: failpoint or ""}, may_die=failpoint is not None)

    def start_aggregator(self, *options: str, failpoint: str | None = None) -> Process:
        """Starts an aggregator; without options it follows, with quick ticks."""
        chosen = options or ("--follow", "--interval", "0.2")
        argv = ("-m", "taximeter_infra", "aggregate", *chosen)
        return self._start("aggregator", argv, {VARIABLE: failpoint or ""}, may_die=failpoint is not None)

    def start_command(self, command: str, *options: str, failpoint: str | None = None) -> Process:
        """Starts another command of `taximeter`, under the sink's group."""
        extra = {"TAXIMETER_SINK_GROUP_ID": self.name, VARIABLE: failpoint or ""}
        argv = ("-m", "taximeter_infra", command, *options)
        return self._start(command, argv, extra, may_die=failpoint is not None)

    def start_program(self, name: str, module: str, *options: str, **settings: str) -> Process:
        """Starts a module of the harness, with these variables of the environment beside the run's own."""
        return self._start(name, ("-m", module, *options), settings, may_die=False)

    def run_command(self, command: str, *options: str) -> None:
        """The same, and waits for its end."""
        process = self.start_command(command, *options)
        self.await_condition(lambda: not process.running, f"{command} to end")

    def stop_merges(self) -> None:
        """From now on copies stay where they are; a restart of ClickHouse forgets it."""
        self.clickhouse.execute(f"SYSTEM STOP MERGES {self.name}.stored_events")
        self.merges = False

    def running(self, name: str) -> list[Process]:
        """The processes of that name that have not ended."""
        return [process for process in self.processes if process.name == name and process.running]

    def written(self) -> Written:
        """The journal as it is now."""
        return read(self.journal)

    def stored(self) -> int:
        """Records in the ledger, which is cheap to ask often."""
        return int(self.clickhouse.scalar("SELECT sum(records) FROM ingest_batches"))

    def await_stored(self, records: int) -> None:
        """Waits until so many records are in the ledger."""
        self.await_condition(lambda: self.stored() >= records, f"{records} records to be stored")

    def await_rolled_up(self) -> None:
        """Waits until all that is in the ledger now is in the rollups, by an aggregator that follows."""
        seen = f"stored_at <= fromUnixTimestamp64Micro({self._now_micros()}, 'UTC')"
        waiting = f"SELECT count() FROM ingest_batches WHERE {seen} AND batch_id NOT IN"
        waiting += " (SELECT batch_id FROM stored_rolled_up_batches)"
        self.await_condition(lambda: self.clickhouse.scalar(waiting) == 0, "the rollups")

    def await_stored_past(self, micros: int) -> None:
        """Waits until each partition has stored a record that arrived later, so that all that came before is stored."""
        past = "SELECT uniqExact(kafka_partition) FROM stored_events WHERE toUnixTimestamp64Micro(arrived_at) >"
        self.await_condition(
            lambda: self.clickhouse.scalar(f"{past} toInt64({micros})") == PARTITIONS, "every partition to go on"
        )

    def _now_micros(self) -> int:
        return int(self.clickhouse.scalar("SELECT toUnixTimestamp64Micro(now64(6))"))

    def await_death(self, process: Process, where: str) -> None:
        """Waits until the process has died there. Raises Retryable when all is stored and it still lives."""

        self.await_condition(lambda: not process.running or self.quiet(), f"{process.name} to die at {where}")
        if not wait_until(lambda: not process.running, _LAST_CHANCE_SECONDS):
            raise Retryable(f"{process.name} never came to {where}")
        self.injected.append(f"{process.name} killed at {where}")

    def quiet(self) -> bool:
        """Whether the executor has ended and all that it sent is in the ledger."""
        return not self.running("executor") and self.stored() >= acknowledged(self.journal)

    def await_acked(self, entries: int) -> None:
        """Waits until so many entries are acknowledged in the journal."""
        self.await_condition(lambda: acknowledged(self.journal) >= entries, f"{entries} acknowledgements")

    def await_said(self, process: Process, *words: str) -> None:
        """Waits until any of the words stands in the process's log."""
        self.await_condition(lambda: any(map(process.says, words)), f"{process.name} to say {' or '.join(words)}")

    def await_condition(self, condition: Callable[[], bool], what: str) -> None:
        """Waits until it holds. Raises Retryable, with what was waited for, when it does not or a process fails."""

        def holds() -> bool:
            for process in self.processes:
                if process.failed:
                    code = process.child.exit_code
                    raise Retryable(f"{process.name} ended with code {code}:\n{process.child.tail()}")
            return condition()

        if not wait_until(holds, PATIENCE_SECONDS):
            raise Retryable(f"waited in vain for {what}; look at {self.folder}")

    def _start(self, name: str, argv: tuple[str, ...], extra: dict[str, str], *, may_die: bool) -> Process:
        number = sum(process.name == name for process in self.processes) + 1
        environment = {
            **self.addresses.environment(),
            "CLICKHOUSE_DATABASE": self.name,
            "PYTHONPATH": pathsep.join(sys.path),
            "TAXIMETER_TOPIC_EVENTS": self.topics.events,
            "TAXIMETER_TOPIC_DEAD_LETTERS": self.topics.dead_letters,
            "TAXIMETER_TOPIC_QUOTA_COMMANDS": self.topics.quota_commands,
            "TAXIMETER_TOPIC_QUOTA_ANSWERS": self.topics.quota_answers,
            "TAXIMETER_TOPIC_QUOTA_STATE": self.topics.quota_state,
            "TAXIMETER_TOPIC_ALERTS": self.topics.alerts,
            "TAXIMETER_SINK_SESSION_TIMEOUT_MS": "6000",
            "TAXIMETER_SINK_BATCH_ROWS": "100",
            "TAXIMETER_SINK_BATCH_AGE_SECONDS": "0.05",
            **extra,
            **self.environment,
        }
        log = self.folder / f"{name}-{number}.log"
        process = Process.start(name, (sys.executable, *argv), log, environment, forked=self.forked)
        process.may_die = may_die
        self.processes.append(process)
        self.held.callback(process.stop)
        return process


def topics_of(name: str) -> TopicSettings:
    """The topics of the run of that name."""
    return TopicSettings(
        events=f"{name}.events",
        dead_letters=f"{name}.dlq",
        quota_commands=f"{name}.quota.commands",
        quota_answers=f"{name}.quota.answers",
        quota_state=f"{name}.quota.state",
        alerts=f"{name}.alerts",
        partitions=PARTITIONS,
        quota_partitions=PARTITIONS,
    )


@contextmanager
def open_world(addresses: StackAddresses, folder: Path, sent: Input) -> Iterator[World]:
    """A world with fresh topics and tables; at the end its processes are stopped."""
    name = f"chaos_{secrets.token_hex(6)}"
    settings = ClickHouseSettings(url=addresses.clickhouse_url, database=name)
    kafka = KafkaSettings(bootstrap_servers=addresses.bootstrap_servers, security_protocol="plaintext")
    ensure_topics(kafka, topics_of(name))
    migrate(settings, single_server())
    folder.mkdir(parents=True, exist_ok=True)
    with closing(connect(settings)) as clickhouse, ExitStack() as held:
        load_book(clickhouse)
        yield World(addresses, folder, name, sent, clickhouse, held)
