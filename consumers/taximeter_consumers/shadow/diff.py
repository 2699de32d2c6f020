"""What differs between the live rollups and a shadow's: by account, day and model, to the last digit.

Live traffic flows meanwhile, so the live rollups may have more than the shadow, or less. Where batches that only one
side has worked in touch an account's day, the live side of that day is summed up from its events instead, those of
the shadow's batches. So traffic alone never shows as a difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.pricing.cards import current_book
from taximeter_consumers.pricing.charged import charged_events
from taximeter_consumers.rollups.definitions import MODEL_COSTS, USAGE_BY_SUBJECT, Rollup
from taximeter_consumers.rollups.statements import SETTINGS
from taximeter_consumers.shadow.carry import chunks, missing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taximeter_consumers.shadow.database import Pair

Key = tuple[str, str, str, str]
"""(account, day, provider, model); without provider and model: all use of the account on that day."""

# So many names of accounts, with a day each, fit into a parameter.
_ACCOUNT_DAYS: Final = 400
_MEASURES: Final = ("events", "input_tokens", "output_tokens", "cost_usd")
_OF: Final = """
SELECT account_id, toString(toDate(hour, 'UTC')) AS day, toString(provider) AS provider, toString(model) AS model,
    toInt64(sum(events)) AS events, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
    sum(cost_usd) AS cost_usd
FROM {database}.model_costs GROUP BY 1, 2, 3, 4
UNION ALL
SELECT account_id, toString(toDate(minute, 'UTC')) AS day, '', '', toInt64(sum(events)), sum(input_tokens),
    sum(output_tokens), sum(cost_usd)
FROM {database}.usage_by_subject GROUP BY 1, 2
"""
_DIFFERENCES: Final = """
SELECT account_id, day, provider, model, {columns}
FROM (SELECT 'live' AS side, * FROM ({live}) UNION ALL SELECT 'shadow' AS side, * FROM ({shadow}))
GROUP BY account_id, day, provider, model
HAVING {differ}
ORDER BY account_id, day, provider, model
"""
_NOT_ROLLED_UP: Final = """
SELECT batch_id FROM stored_ingest_batches WHERE batch_id NOT IN (SELECT batch_id FROM stored_rolled_up_batches)
"""
_TOUCHED: Final = """
(account_id, toString(toDate(occurred_at, 'UTC'))) IN (
    SELECT account, day FROM (SELECT {accounts:Array(String)} AS of_accounts, {days:Array(String)} AS of_days)
    ARRAY JOIN of_accounts AS account, of_days AS day
)
"""
_DAYS: Final = (
    "SELECT DISTINCT account_id, toString(toDate(occurred_at, 'UTC')) FROM stored_events"
    " WHERE batch_id IN {moving:Array(UInt64)}"
)


@dataclass(frozen=True)
class Sums:
    """Exact sums of one side."""

    events: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)


@dataclass(frozen=True)
class Difference:
    """Where the two sides differ. Without provider and model: all use of the account on the day."""

    account_id: str
    day: str
    provider: str
    model: str
    live: Sums
    shadow: Sums

    def as_json(self) -> dict[str, Any]:
        """For `--json`: money as text, to the last digit."""
        sides = {
            side: {name: _plain(getattr(sums, name)) for name in _MEASURES}
            for side, sums in (("live", self.live), ("shadow", self.shadow))
        }
        named = {"account_id": self.account_id, "day": self.day, "provider": self.provider, "model": self.model}
        return {**named, **sides, "cost_difference_usd": _plain(self.shadow.cost_usd - self.live.cost_usd)}


def differences(pair: Pair) -> list[Difference]:
    """All differences, by account, day and model. The shadow's rollups must have all of its events."""
    waiting = {batch_id for (batch_id,) in pair.live.rows(_NOT_ROLLED_UP)}
    found = _of_rollups(pair)
    if not found:
        return []
    moving = sorted(waiting | {batch.batch_id for batch in missing(pair.live, pair.shadow)})
    if not moving:
        return found
    days = {(row[0], row[1]) for lot in chunks(moving) for row in pair.live.rows(_DAYS, {"moving": lot})}
    touched = {(one.account_id, one.day) for one in found} & days
    if not touched:
        return found
    again = _of_events(pair, sorted(touched))
    settled = [one for one in found if (one.account_id, one.day) not in touched]
    shadow = _of_shadow(pair)
    keys = {key for key in (*again, *shadow) if key[:2] in touched}
    compared = (Difference(*key, again.get(key, Sums()), shadow.get(key, Sums())) for key in sorted(keys))
    return sorted((*settled, *(one for one in compared if one.live != one.shadow)), key=_place)


def _of_rollups(pair: Pair) -> list[Difference]:
    columns = [f"sumIf({name}, side = '{side}') AS {side}_{name}" for side in ("live", "shadow") for name in _MEASURES]
    sql = _DIFFERENCES.format(
        columns=", ".join(columns),
        live=_OF.format(database=pair.live.database),
        shadow=_OF.format(database=pair.shadow.database),
        differ=" OR ".join(f"live_{name} != shadow_{name}" for name in _MEASURES),
    )
    found = pair.live.rows(sql)
    return [Difference(row[0], row[1], row[2], row[3], Sums(*row[4:8]), Sums(*row[8:])) for row in found]


def _of_shadow(pair: Pair) -> dict[Key, Sums]:
    rows = pair.shadow.rows(_OF.format(database=pair.shadow.database))
    return {(row[0], row[1], row[2], row[3]): Sums(*row[4:]) for row in rows}


def _of_events(pair: Pair, touched: Sequence[tuple[str, str]]) -> dict[Key, Sums]:
    """The live side of these accounts' days, from the events of the shadow's batches."""
    of_shadow = f"batch_id IN (SELECT batch_id FROM {pair.shadow.database}.stored_ingest_batches)"  # noqa: S608 - our own name
    charged = charged_events(f"{_TOUCHED} AND {of_shadow}", current_book(pair.live))
    found: dict[Key, Sums] = {}
    for rollup, provider, model in ((MODEL_COSTS, "toString(provider)", "model"), (USAGE_BY_SUBJECT, "''", "''")):
        day = "toString(toDate(occurred_at, 'UTC'))"
        sql = (
            f"SELECT account_id, {day}, {provider}, {model}, {_measures(rollup)} FROM ({charged}) AS counted"  # noqa: S608 - our own text
            f" WHERE {rollup.only} GROUP BY 1, 2, 3, 4 SETTINGS {SETTINGS}"
        )
        for lot in chunks(touched, _ACCOUNT_DAYS):
            days = {"accounts": [account for account, _ in lot], "days": [day for _, day in lot]}
            for row in pair.live.rows(sql, days):
                found[row[0], row[1], row[2], row[3]] = Sums(*row[4:])
    return found


def _measures(rollup: Rollup) -> str:
    expressions = dict(rollup.measures)
    return ", ".join(f"toInt64({expressions[name]})" if name == "events" else expressions[name] for name in _MEASURES)


def _place(one: Difference) -> Key:
    return one.account_id, one.day, one.provider, one.model


def _plain(value: int | Decimal) -> int | str:
    return f"{value:f}" if isinstance(value, Decimal) else value
