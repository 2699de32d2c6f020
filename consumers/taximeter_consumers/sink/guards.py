"""What the values of a record must satisfy to be stored, as conditions of SQL that hold for a bad record. Pure text.

The same conditions stand in two places: in the INSERT, where the first bad record refuses the whole block, and in a
query that names the bad ones (`sift`). So both always agree. No condition may throw, whatever the values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

# Stands in the highest byte of a record's place in its block, so that bytes too many, zeros as a rule, never look like
# the place that follows.
PLACE_MARK: Final = 0xB5 << 24

# An id's clock decides the partition, so one outside of this century's first hundred years is refused, not stored.
_ID_YEARS: Final = ("2020-01-01", "2100-01-01")
_TEXT: Final = (
    *("account_id", "user_id", "project_id", "workflow_id", "run_id", "parent_run_id"),
    *("thread_id", "transaction_id", "node_id", "node_type", "agent_name"),
)
# What only a correction may take back.
_COUNTERS: Final = (
    *("attempt", "memory_breaches", "timeout_breaches", "executions", "duration_us"),
    *(f"ai.{name}_tokens" for name in ("input", "output", "cache_read", "cache_write", "reasoning", "total")),
    *("ai.audio_ms", "ai.characters", "ai.images"),
    *(f"http.{name}" for name in ("requests", "bytes_out", "bytes_in", "errors")),
    *("plugin.invocations", "code.cpu_us", "code.max_rss_bytes"),
)
_AMOUNTS: Final = {
    "ai.reported_cost": "ifNull(`ai`.`reported_cost` < 0, 0)",
    "ai.units": "arrayExists(count -> count < 0, mapValues(`ai`.`units`))",
    "plugin.custom_units": "arrayExists(amount -> amount < 0, mapValues(`plugin`.`custom_units`))",
}

# What each reason means, for the dead letter's header.
REASONS: Final = {
    "not_uuid7": "the event id is not a UUIDv7",
    "id_time": f"the clock in the event id is not within {_ID_YEARS[0]} and {_ID_YEARS[1]}",
    "occurred_at": f"occurred_at is not within 2000-01-01 and {_ID_YEARS[1]}",
    "text": "an id is not UTF-8",
    "negative": "a counter or an amount is negative, and the event is no adjustment",
}


def guards(paths: Collection[str]) -> Mapping[str, str]:
    """Reason -> condition that a bad record fulfils, for records with these fields (`ai.model` for one in a group)."""
    low, high = _ID_YEARS
    text = ", ".join(f"`{name}`" for name in _TEXT if name in paths)
    made = {
        "not_uuid7": "substring(`event_id`, 15, 1) != '7' OR length(`event_id`) != 36"
        " OR isNull(toUUIDOrNull(`event_id`))",
        "id_time": f"UUIDv7ToDateTime(toUUIDOrZero(`event_id`), 'UTC') NOT BETWEEN '{low}' AND '{high}'",
        "occurred_at": f"`occurred_at` NOT BETWEEN '2000-01-01' AND '{high}'",
        # A separator, so that no two halves of a character meet.
        "text": f"NOT isValidUTF8(concatWithSeparator('\\n', {text}, ''))",
    }
    negative = _negative(paths)
    if negative:
        made["negative"] = f"({negative})" + (" AND `kind` != 'adjustment'" if "kind" in paths else "")
    return made


def fields_of_guards(paths: Collection[str]) -> frozenset[str]:
    """The record's own fields that the guards look at: all that a query for bad records must read."""
    looked_at = {"event_id", "occurred_at", "kind", *_TEXT, *_COUNTERS, *_AMOUNTS} & set(paths)
    return frozenset(path.partition(".")[0] for path in looked_at)


def judgement(place: str, paths: Collection[str]) -> str:
    """The query for bad records over a table `records`: their places in the block and the first reason of each."""
    chain = ", ".join(f"{condition}, '{reason}'" for reason, condition in guards(paths).items())
    position = f"toUInt32(reinterpretAsUInt32({place}) - {PLACE_MARK})"
    return f"SELECT {position} AS _place, multiIf({chain}, '') AS _reason FROM records WHERE _reason != ''"  # noqa: S608 - of names that are ours


def _negative(paths: Collection[str]) -> str:
    """The sign of a bitwise OR is set where that of any number is."""
    sign = ""
    for path in _COUNTERS:
        if path in paths:
            name = ".".join(f"`{part}`" for part in path.split("."))
            sign = f"bitOr({sign}, {name})" if sign else f"toInt64({name})"
    return " OR ".join(
        [*([f"{sign} < 0"] if sign else []), *(condition for path, condition in _AMOUNTS.items() if path in paths)]
    )
