"""The arithmetic of docs/scaling.md: from measured costs per event to machines, disks, dollars. No clock, no I/O.

    python -m bench.scaling            the tables, as they stand in docs/scaling.md
    python -m bench.scaling --check    exit code 1 where the page says otherwise

What was measured stands in `MEASURED`, what was assumed in `ASSUMED`; every other number follows from these.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parents[1] / "docs" / "scaling.md"
_BEGIN, _END = "<!-- tables: python -m bench.scaling -->\n", "<!-- end of tables -->\n"
_DAY = 86_400


@dataclass(frozen=True)
class Measured:
    """Per event, in docs/benchmarks.md. Microseconds of one core of that machine; bytes as they are stored or sent."""

    sink_us: float = 3.0
    store_us: float = 4.0
    # A backlog with rollups at 18,000 events a second on two cores, without them at 73,000: the difference is what the
    # ticks cost. Other work ran on these cores, so it is an upper bound.
    tick_us: float = 83.0
    encode_us: float = 2.9
    wire_bytes: int = 270
    wire_lz4_bytes: int = 90
    sink_memory_mib: int = 743
    one_sink_events_per_second: int = 245_000


@dataclass(frozen=True)
class Assumed:
    """What was not measured here and is yours to replace."""

    busy: float = 0.5
    broker_us: float = 2.0
    stored_bytes: int = 60
    rollup_share: float = 0.25
    kafka_replicas: int = 3
    store_replicas: int = 2
    log_days: int = 7
    kept_days: int = 395
    partition_events_per_second: int = 25_000
    shard_cores: int = 16
    core_month_usd: Decimal = Decimal(25)
    disk_gb_month_usd: Decimal = Decimal("0.08")
    month_days: int = 30


MEASURED: Final = Measured()
ASSUMED: Final = Assumed()
RATES: Final = (100, 1_000, 10_000, 100_000, 1_000_000)


@dataclass(frozen=True)
class Need:
    """What a steady rate of events needs."""

    rate: int
    partitions: int
    sinks: int
    shards: int
    client_cores: float
    broker_cores: float
    store_cores: float
    log_gb: float
    stored_gb: float
    network_mb_per_second: float

    @property
    def cores(self) -> float:
        """All of them."""
        return self.client_cores + self.broker_cores + self.store_cores

    def month_usd(self, assumed: Assumed) -> Decimal:
        """Cores and disks of a month, US dollars; machines are bought in whole cores."""
        cores = Decimal(math.ceil(self.cores)) * assumed.core_month_usd
        return cores + Decimal(math.ceil(self.log_gb + self.stored_gb)) * assumed.disk_gb_month_usd

    def billion_usd(self, assumed: Assumed) -> Decimal:
        """Of a billion events, US dollars."""
        events = Decimal(self.rate) * _DAY * assumed.month_days
        return self.month_usd(assumed) / events * 1_000_000_000


def need(rate: int, measured: Measured = MEASURED, assumed: Assumed = ASSUMED) -> Need:
    """What `rate` events a second need, machines `busy` to that share on average."""
    per_core = 1_000_000 * assumed.busy
    client = rate * measured.sink_us / per_core
    broker = rate * assumed.broker_us * assumed.kafka_replicas / per_core
    # Each replica takes the rows and merges them; a tick runs on one replica of its shard.
    store = rate * (measured.store_us * assumed.store_replicas + measured.tick_us) / per_core
    of_sink = measured.one_sink_events_per_second * assumed.busy
    sinks = math.ceil(rate / of_sink)
    stored = assumed.stored_bytes * (1 + assumed.rollup_share) * assumed.store_replicas
    log = measured.wire_lz4_bytes * assumed.kafka_replicas
    # Producers to the leader, it to its followers and to a sink, the sink to a shard, the shard to its replica.
    sent = measured.wire_lz4_bytes * (1 + assumed.kafka_replicas) + measured.wire_bytes
    sent += assumed.stored_bytes * (assumed.store_replicas - 1)
    return Need(
        rate=rate,
        partitions=max(12, 12 * math.ceil(rate / assumed.partition_events_per_second / 12)),
        sinks=max(1, sinks),
        shards=max(1, math.ceil(store / assumed.store_replicas / assumed.shard_cores)),
        client_cores=client,
        broker_cores=broker,
        store_cores=store,
        log_gb=rate * _DAY * assumed.log_days * log / 1e9,
        stored_gb=rate * _DAY * assumed.kept_days * stored / 1e9,
        network_mb_per_second=rate * sent / 1e6,
    )


def tables(assumed: Assumed = ASSUMED) -> str:
    """The tables of the page."""
    found = [need(rate, assumed=assumed) for rate in RATES]
    first = [
        "| events/s | events a day | partitions | sinks | ClickHouse shards | cores: sinks | brokers | ClickHouse |",
        "|---|---|---|---|---|---|---|---|",
        *(
            f"| {one.rate:,} | {_short(one.rate * _DAY)} | {one.partitions} | {one.sinks} | {one.shards}"
            f" | {_cores(one.client_cores)} | {_cores(one.broker_cores)} | {_cores(one.store_cores)} |"
            for one in found
        ),
    ]
    second = [
        "| events/s | Kafka's disks | ClickHouse's disks | network | dollars a month | dollars a billion events |",
        "|---|---|---|---|---|---|",
        *(
            f"| {one.rate:,} | {_short(one.log_gb * 1e9)}B | {_short(one.stored_gb * 1e9)}B"
            f" | {one.network_mb_per_second:,.1f} MB/s | {one.month_usd(assumed):,.0f}"
            f" | {one.billion_usd(assumed):,.2f} |"
            for one in found
        ),
    ]
    return "\n".join([*first, "", *second]) + "\n"


def page_with(text: str, made: str) -> str:
    """The page with its tables replaced. Raises ValueError where it has no place for them."""
    begin, end = text.index(_BEGIN) + len(_BEGIN), text.index(_END)
    return f"{text[:begin]}{made}{text[end:]}"


def main(argv: list[str]) -> int:
    """0, or 1 where --check found a difference."""
    if argv == ["--check"]:
        text = PAGE.read_text(encoding="utf-8")
        return 0 if page_with(text, tables()) == text else 1
    sys.stdout.write(tables())
    return 0


def _cores(number: float) -> str:
    return f"{number:.1f}" if number < 10 else f"{number:,.0f}"


def _short(number: float) -> str:
    for size, unit in ((1e15, " P"), (1e12, " T"), (1e9, " G"), (1e6, " M")):
        if number >= size:
            return f"{number / size:,.1f}{unit}"
    return f"{number / 1e3:,.0f} k"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
