"""From which instant on raw events are kept: the horizon. What was rolled up before it is frozen.

A tick counts whole minutes, hours and runs from their events. Where some of those are deleted, it would write less than
there was. So what a tick touches is held back at the horizon: a minute before it is never counted again, nor a run that
ended before it. A run that reaches over the horizon keeps all of its events and is counted as ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

FROZEN_RUNS: Final = """
SELECT account_id, run_id FROM stored_run_costs FINAL
WHERE events > 0 AND ended_at < fromUnixTimestamp64Micro({kept_from}, 'UTC')
"""
"""The runs that ended before the horizon."""

# Found again in the server's list of statements.
_BEGAN_WITH: Final = "the horizon of raw events is past"
_SEALED: Final = """
(
    SELECT throwIf(count() > 0, '{began_with} {horizon}') FROM stored_retentions
    WHERE step >= 2 AND kept_from > fromUnixTimestamp64Micro({horizon}, 'UTC')
) = 0
"""
_AT_WORK: Final = """
SELECT count() FROM system.processes
WHERE current_database = currentDatabase() AND query_kind = 'Insert' AND position(query, {began_with:String}) > 0
    AND toInt64OrZero(extract(query, concat({began_with:String}, ' (\\d+)'))) < {horizon:Int64}
"""
_KEPT_FROM: Final = "SELECT toUnixTimestamp64Micro(max(kept_from)) FROM stored_retentions"
# Held back at the horizon, where it is harmless to count once more; and at a run that nobody has.
_HELD_BACK: Final = f"""
SELECT
    found.account_id AS account_id,
    if(
        (found.account_id, found.run_id) IN (
            {FROZEN_RUNS} AND (account_id, run_id) IN (SELECT account_id, run_id FROM ({{touched}}))
        ),
        char(0), found.run_id
    ) AS run_id,
    found.id_time AS id_time,
    greatest(found.occurred_at, fromUnixTimestamp64Micro({{kept_from}}, 'UTC')) AS occurred_at
FROM ({{touched}}) AS found
"""  # noqa: S608 - our own text


def kept_from(clickhouse: ClickHouse) -> int:
    """The horizon, Unix microseconds, the beginning of a day (UTC), as soon as it is announced; 0 where nothing was
    ever deleted."""
    return max(0, int(clickhouse.scalar(_KEPT_FROM)))


def held_back(touched: str, horizon: int) -> str:
    """A query for what some rows touch, without what is frozen."""
    return _HELD_BACK.format(touched=touched, kept_from=horizon) if horizon else touched


def not_frozen(window: str | None, horizon: int) -> str:
    """The condition for rows of a rollup that are not frozen: `window` is the column that says when; None: of runs."""
    if not horizon:
        return "true"
    if window is None:
        return f"(account_id, run_id) NOT IN ({FROZEN_RUNS.format(kept_from=horizon)})"
    return f"{window} >= toDateTime({horizon // 1_000_000}, 'UTC')"


def not_sealed(horizon: int) -> str:
    """The condition that fails a statement begun with `horizon` where a later one is sealed: the server looks before it
    reads the first event. Whoever seals waits for those that had looked before (`at_work`)."""
    return _SEALED.format(began_with=_BEGAN_WITH, horizon=horizon)


def at_work(clickhouse: ClickHouse, horizon: int) -> int:
    """How many statements of this server write sums from events and began with an earlier horizon."""
    return int(clickhouse.scalar(_AT_WORK, {"began_with": _BEGAN_WITH, "horizon": horizon}))


def require_kept(clickhouse: ClickHouse, since: int, what: str) -> None:
    """Raises Misconfigured where raw events from `since` on (Unix microseconds) are not all there."""
    horizon = kept_from(clickhouse)
    if since < horizon:
        day = clickhouse.scalar("SELECT toString(toDate(fromUnixTimestamp64Micro({at:Int64}, 'UTC')))", {"at": horizon})
        raise Misconfigured(
            f"{what}: raw events before {day} were deleted (`taximeter retention show`)",
            mend=f"begin at {day}; what is older keeps the sums that it has",
        )
