"""What was used at some levels over some windows: one pass of the engine over the use of all their accounts.

The bounds of all windows of an account cut time into stretches; the engine sums each stretch, and a window is the sum
of its stretches. So a row is read once, however many windows and levels count it. What is asked goes along as data, and
so its size is not bounded by that of a URL.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.billing.amounts import total
from taximeter_consumers.quota.plans.named_level import Level
from taximeter_consumers.quota.truth.asked_data import asked_rows
from taximeter_schemas.quota.limits import Span
from taximeter_schemas.quota.meters import METERS, UNITS_OF_PLUGINS
from taximeter_schemas.quota.subject import LevelKind

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

LACKING: Final = "lacking"
LACKS: Final = "unpriced_calls + unmeasured_calls + unpriced_plugins"
# So many accounts and names are asked for at once.
_LOT: Final = 5_000
_STRUCTURE: Final = "account_id String, kind String, name String, calendar Int32"
_COLUMNS: Final = {LevelKind.PROJECT: "project_id", LevelKind.USER: "user_id", LevelKind.KEY: "key_id"}
# A row of use is of its account, and of those of its project, user and key that are asked for.
_SQL: Final = """
SELECT account_id, level.1, level.2, begins, {sums}
FROM
(
    SELECT
        used.account_id AS account_id,
        arrayConcat([('account', '')], {levels}) AS levels,
        arrayLast(bound -> bound <= toUnixTimestamp(used.minute), {calendars}[asked.calendar]) AS begins,
        {columns}
    FROM
    (
        SELECT * FROM stored_quota_usage FINAL
        WHERE account_id IN (SELECT account_id FROM asked WHERE kind = 'account')
          AND minute >= toDateTime({first}, 'UTC') AND minute < toDateTime({last}, 'UTC')
    ) AS used
    INNER JOIN (SELECT account_id, calendar FROM asked WHERE kind = 'account') AS asked
    ON used.account_id = asked.account_id
    WHERE used.events > 0
)
ARRAY JOIN levels AS level
WHERE begins > 0
GROUP BY account_id, level.1, level.2, begins
SETTINGS do_not_merge_across_partitions_select_final = 1, prefer_column_name_to_alias = 1, max_threads = {threads}
"""
_NAMED: Final = """if(
    (used.account_id, toString(used.{column})) IN (SELECT account_id, name FROM asked WHERE kind = '{kind}'),
    [('{kind}', toString(used.{column}))], []
)"""
_THREADS: Final = 2
_MICROS: Final = 1_000_000

Values = Mapping[str, Decimal]
"""Meter to amount; `LACKING` to how many calls and plugin uses are in none of the amounts."""


@dataclass(frozen=True)
class Part:
    """Use of a level over a span of whole minutes. Organisations are asked for as parts of their accounts."""

    level: Level
    span: Span


def read_usage(clickhouse: ClickHouse, parts: Iterable[Part], meters: Iterable[str]) -> dict[Part, Values]:
    """The amounts of each part that has any, exactly. Raises Retryable."""
    wanted = sorted(set(parts), key=lambda part: (part.level, part.span.starts_at, part.span.ends_at))
    names, found = sorted(set(meters)), {}
    for lot in _lots(wanted):
        stretches = _stretches(clickhouse, lot, names)
        for part in lot:
            inside = [
                values
                for begins, values in stretches.get(part.level, ())
                if part.span.starts_at <= begins * _MICROS < part.span.ends_at
            ]
            if inside:
                found[part] = sums_of(inside)
    return found


def sums_of(values: Sequence[Values]) -> Values:
    """The exact sums of some values."""
    names = {name for one in values for name in one}
    return {name: total(one[name] for one in values if name in one) for name in names}


def meter_columns(meters: Iterable[str], table: str = "") -> dict[str, str]:
    """The columns that some meters are read from, by name; `table` with a dot stands before each."""
    wanted = set(meters)
    columns: dict[str, str] = {name: f"{table}{name}" for name in METERS if name in wanted}
    if any(meter.startswith(UNITS_OF_PLUGINS) for meter in wanted):
        columns["custom_units"] = f"{table}custom_units"
    columns[LACKING] = " + ".join(f"{table}{name}" for name in LACKS.split(" + "))
    return columns


def aggregate(name: str) -> str:
    """The sum of a column, as text, so that no driver rounds a wide decimal."""
    return (
        f"mapApply((unit, amount) -> (unit, toString(amount)), sumMap({name}))"
        if name == "custom_units"
        else f"toString(sum({name}))"
    )


def values_of(names: Sequence[str], row: Sequence[Any]) -> Values:
    """A row of such sums as amounts of meters; what is zero is left out."""
    values: dict[str, Decimal] = {}
    for name, text in zip(names, row, strict=True):
        if name == "custom_units":
            values |= {f"{UNITS_OF_PLUGINS}{unit}": Decimal(amount) for unit, amount in text.items()}
        else:
            values[name] = Decimal(text)
    return {name: value for name, value in values.items() if value}


def _lots(parts: Sequence[Part]) -> Iterable[list[Part]]:
    """Parts by account, so many at a time; those of an account stay together."""
    by_account: defaultdict[str, list[Part]] = defaultdict(list)
    for part in parts:
        by_account[part.level.account_id].append(part)
    lot: list[Part] = []
    for of_account in by_account.values():
        if lot and len(lot) + len(of_account) > _LOT:
            yield lot
            lot = []
        lot += of_account
    if lot:
        yield lot


def _stretches(
    clickhouse: ClickHouse, parts: Sequence[Part], meters: Sequence[str]
) -> dict[Level, list[tuple[int, Values]]]:
    """By level: when each stretch begins (Unix seconds), and what was used in it."""
    bounds: defaultdict[str, set[int]] = defaultdict(set)
    for part in parts:
        bounds[part.level.account_id] |= {part.span.starts_at // _MICROS, part.span.ends_at // _MICROS}
    calendars = sorted({tuple(sorted(found)) for found in bounds.values()})
    numbers = {calendar: number for number, calendar in enumerate(calendars, start=1)}
    asked = [(name, "account", "", numbers[tuple(sorted(found))]) for name, found in bounds.items()]
    narrower = {part.level for part in parts if part.level.kind in _COLUMNS}
    asked += [(level.account_id, level.kind.value, level.name, 0) for level in sorted(narrower)]
    rows = asked_rows(clickhouse, _sql(calendars, {level.kind for level in narrower}, meters), _STRUCTURE, asked)
    names = list(meter_columns(meters))
    found_at: defaultdict[Level, list[tuple[int, Values]]] = defaultdict(list)
    for account_id, kind, name, begins, *texts in rows:
        found_at[Level(LevelKind(kind), account_id, name)].append((int(begins), values_of(names, texts)))
    return found_at


def _sql(calendars: Sequence[Sequence[int]], kinds: set[LevelKind], meters: Sequence[str]) -> str:
    columns = meter_columns(meters, "used.")
    named = [_NAMED.format(column=column, kind=kind.value) for kind, column in _COLUMNS.items() if kind in kinds]
    return _SQL.format(
        sums=", ".join(aggregate(name) for name in columns),
        levels=", ".join(named or ["[]"]),
        columns=", ".join(f"{expression} AS {name}" for name, expression in columns.items()),
        calendars="[" + ", ".join(f"[{', '.join(map(str, calendar))}]" for calendar in calendars) + "]",
        first=max(0, min(calendar[0] for calendar in calendars)),
        last=min(2**32 - 1, max(calendar[-1] for calendar in calendars)),
        threads=_THREADS,
    )
