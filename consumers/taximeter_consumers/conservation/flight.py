"""What the rollups cannot know yet, and what changes while an audit looks.

An audit reads one side after the other, and sinks, ticks and re-ratings go on meanwhile. So it notes at its beginning
which tick was the last. A place (an hour, a run, a transaction) in which a row lies whose batch no tick up to that one
has recorded is in flight: its gaps are not judged. What was there to be rolled up at the beginning and still is at the
end is told.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeVar

from taximeter_consumers.conservation.measures import Gap
from taximeter_consumers.conservation.scope import ACCOUNTS

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

T = TypeVar("T")

# So many places are asked about at once.
_LOT: Final = 500

_MARK: Final = """
SELECT
    (SELECT max(tick) FROM stored_rolled_up_batches),
    toUnixTimestamp64Micro(now64(6)),
    (SELECT count() FROM reprices WHERE step >= 2),
    (SELECT count() FROM reprices WHERE step = 2),
    (SELECT toString(argMax(book_version, tick)) FROM stored_book_versions)
"""
_PENDING: Final = """
SELECT count(), sum(records) FROM ingest_batches
WHERE stored_at <= fromUnixTimestamp64Micro({at:Int64}, 'UTC')
  AND batch_id NOT IN (SELECT batch_id FROM stored_rolled_up_batches)
"""
_UNKNOWN: Final = """
SELECT groupUniqArray(10000)(batch_id) FROM stored_events
WHERE batch_id NOT IN (SELECT batch_id FROM stored_rolled_up_batches)
  AND batch_id NOT IN (SELECT batch_id FROM stored_ingest_batches)
"""
_NEW_ROWS: Final = f"""
FROM stored_events
WHERE {ACCOUNTS} AND batch_id NOT IN (SELECT batch_id FROM stored_rolled_up_batches WHERE tick <= {{tick:UInt64}})
"""  # noqa: S608 - our own text
_HOURS: Final = f"""
SELECT DISTINCT account_id, toUnixTimestamp(toStartOfHour(occurred_at)) {_NEW_ROWS}
  AND (account_id, toUInt32(toUnixTimestamp(toStartOfHour(occurred_at)))) IN (
    SELECT account, hour FROM (SELECT {{at_accounts:Array(String)}} AS a, {{at_hours:Array(UInt32)}} AS h)
    ARRAY JOIN a AS account, h AS hour
)
"""  # noqa: S608 - the same
_RUNS: Final = f"""
SELECT DISTINCT account_id, run_id {_NEW_ROWS}
  AND (account_id, run_id) IN (
    SELECT account, run FROM (SELECT {{at_accounts:Array(String)}} AS a, {{at_runs:Array(String)}} AS r)
    ARRAY JOIN a AS account, r AS run
)
"""  # noqa: S608 - the same
_TRANSACTIONS: Final = f"""
SELECT DISTINCT account_id, transaction_id {_NEW_ROWS}
  AND (account_id, transaction_id) IN (
    SELECT account, transaction FROM (SELECT {{at_accounts:Array(String)}} AS a, {{at_transactions:Array(String)}} AS t)
    ARRAY JOIN a AS account, t AS transaction
)
"""  # noqa: S608 - the same


@dataclass(frozen=True)
class Mark:
    """The state of the rollups at one moment: the last tick, the time (Unix microseconds), the re-ratings that count
    and how many of those wait for a tick, the book."""

    tick: int
    at: int
    reprices: int
    reprices_open: int
    book_version: int

    @classmethod
    def now(cls, clickhouse: ClickHouse) -> Mark:
        """As it is. Raises Retryable."""
        row = clickhouse.rows(_MARK)[0]
        return cls(*(int(value or 0) for value in row))

    @property
    def time(self) -> datetime:
        """When it was, by the server's clock."""
        return datetime.fromtimestamp(self.at / 1_000_000, UTC)


@dataclass(frozen=True)
class Pending:
    """Batches of the ledger that no tick has recorded, and batches of rows that the ledger does not have."""

    batches: int = 0
    records: int = 0
    unknown: frozenset[int] = frozenset()


def pending(clickhouse: ClickHouse, mark: Mark) -> Pending:
    """What was stored before `mark` and is not rolled up by now."""
    batches, records = clickhouse.rows(_PENDING, {"at": mark.at})[0]
    (unknown,) = clickhouse.rows(_UNKNOWN)[0]
    return Pending(int(batches), int(records), frozenset(unknown))


def settled(
    clickhouse: ClickHouse, gaps: Sequence[Gap], accounts: Sequence[str], mark: Mark
) -> tuple[list[Gap], list[Gap]]:
    """`gaps` apart: those that stand, and those of places in flight."""
    hours = sorted({hour for gap in gaps if (hour := _hour_of(gap)) is not None})
    runs = sorted({run for gap in gaps if (run := _run_of(gap)) is not None})
    shown = sorted({one for gap in gaps if (one := _transaction_of(gap)) is not None})
    parameters = {"accounts": list(accounts), "tick": mark.tick}
    flying: set[tuple[str, object]] = set()
    for lot in _lots(hours):
        at = {"at_accounts": [account for account, _ in lot], "at_hours": [hour for _, hour in lot]}
        flying |= set(clickhouse.rows(_HOURS, {**parameters, **at}))
    for named in _lots(runs):
        at_runs = {"at_accounts": [account for account, _ in named], "at_runs": [run for _, run in named]}
        flying |= set(clickhouse.rows(_RUNS, {**parameters, **at_runs}))
    transactions: set[tuple[str, str]] = set()
    for named in _lots(shown):
        at = {"at_accounts": [account for account, _ in named], "at_transactions": [one for _, one in named]}
        transactions |= {(account, one) for account, one in clickhouse.rows(_TRANSACTIONS, {**parameters, **at})}
    return (
        [gap for gap in gaps if not (_flies(gap, flying) or _transaction_of(gap) in transactions)],
        [gap for gap in gaps if _flies(gap, flying) or _transaction_of(gap) in transactions],
    )


def _flies(gap: Gap, flying: Collection[tuple[str, object]]) -> bool:
    return _hour_of(gap) in flying or _run_of(gap) in flying


def _hour_of(gap: Gap) -> tuple[str, int] | None:
    """The hour (Unix seconds) in which a gap by time lies."""
    if gap.place.kind not in ("hour", "minute"):
        return None
    hour = datetime.fromisoformat(gap.place.key).replace(minute=0, second=0)
    return gap.place.account_id, int(hour.timestamp())


def _run_of(gap: Gap) -> tuple[str, str] | None:
    """The run of a gap by run or node."""
    return (gap.place.account_id, gap.place.key) if gap.place.kind in ("run", "node") else None


def _transaction_of(gap: Gap) -> tuple[str, str] | None:
    """The transaction of a gap by transaction."""
    return (gap.place.account_id, gap.place.key) if gap.place.kind == "transaction" else None


def _lots(places: Sequence[T]) -> list[Sequence[T]]:
    return [places[begin : begin + _LOT] for begin in range(0, len(places), _LOT)]
