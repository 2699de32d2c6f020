"""What was metered of the days of a bill, asked of ClickHouse: sums by day and model, and the runs behind the doubts.

Answers are as small as the bill: a row for each day, model and reason, and a bounded number of runs for each of those.
Nothing is written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.pricing.cards import current_book
from taximeter_consumers.pricing.charged import charged_events
from taximeter_consumers.reconcile.attribution import Doubt, Reason, Use
from taximeter_consumers.reconcile.names import billed_by, metered_name
from taximeter_consumers.rollups.statements import SETTINGS

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.pricing.cards import Book

Key = tuple[date, str, str]
"""(day, provider as the bill has it, model as the comparison calls it)."""

_IN_DAYS: Final = """
occurred_at >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')
AND occurred_at < fromUnixTimestamp64Micro({until:Int64}, 'UTC')
"""
_NAMES: Final = """
SELECT used.provider, used.model, alias.book_model
FROM (
    SELECT DISTINCT provider, model FROM stored_events
    WHERE occurred_at >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')
      AND occurred_at < fromUnixTimestamp64Micro({until:Int64}, 'UTC') AND usage_type != ''
) AS used
LEFT JOIN model_aliases AS alias ON alias.provider = used.provider AND alias.model = used.model
"""


@dataclass(frozen=True)
class Days:
    """The days (UTC) from `since` on and before `until`, and whose bill it is."""

    since: date
    until: date
    providers: tuple[str, ...]
    # Whether the bill has models; else a day is compared as a whole.
    by_model: bool = True

    @property
    def parameters(self) -> dict[str, Any]:
        """The instants, Unix microseconds."""
        return {"since": _micros(self.since), "until": _micros(self.until)}


@dataclass(frozen=True)
class Metered:
    """The sums of one key: all use, the use without doubt, and the doubts of all runs together and of single runs."""

    use: Use
    sound: Use
    doubts: tuple[Doubt, ...]
    runs: tuple[Doubt, ...]


def metered_names(clickhouse: ClickHouse, days: Days) -> dict[tuple[str, str], tuple[str, str]]:
    """(provider, model) of the events that are on the bill, each with how the comparison calls it."""
    found = {}
    for provider, model, book_model in clickhouse.rows(_NAMES, days.parameters):
        payer = billed_by(provider, days.providers)
        if payer is not None:
            found[provider, model] = (payer, metered_name(model, book_model) if days.by_model else "")
    return found


def metered(
    clickhouse: ClickHouse, days: Days, names: Mapping[tuple[str, str], tuple[str, str]], top: int
) -> dict[Key, Metered]:
    """The sums of the events that go by `names`, with at most `top` runs for each day, model and reason."""
    if not names:
        return {}
    book = current_book(clickhouse)
    sums: defaultdict[Key, list[tuple[str, Use]]] = defaultdict(list)
    runs: defaultdict[Key, list[Doubt]] = defaultdict(list)
    parameters = {**days.parameters, **_pairs(names)}
    for day, provider, model, reason, *use in clickhouse.rows(_sql(book, by_run=False), parameters):
        sums[day, *names[provider, model]].append((reason, Use(*use)))
    for day, provider, model, reason, account_id, run_id, *use in clickhouse.rows(
        _sql(book, by_run=True), {**parameters, "top": top}
    ):
        runs[day, *names[provider, model]].append(Doubt(Reason(reason), Use(*use), account_id, run_id))
    return {key: _metered(found, runs[key]) for key, found in sums.items()}


def _metered(found: Iterable[tuple[str, Use]], runs: Collection[Doubt]) -> Metered:
    use, sound, doubts = Use(), Use(), dict[Reason, Use]()
    for reason, some in found:
        use = use.plus(some)
        if reason:
            doubts[Reason(reason)] = doubts.get(Reason(reason), Use()).plus(some)
        else:
            sound = sound.plus(some)
    return Metered(use, sound, tuple(Doubt(reason, some) for reason, some in doubts.items()), tuple(runs))


def _pairs(names: Mapping[tuple[str, str], object]) -> dict[str, list[str]]:
    pairs = sorted(names)
    return {"providers": [provider for provider, _ in pairs], "models": [model for _, model in pairs]}


def _sql(book: Book, *, by_run: bool) -> str:
    template = (resources.files(__package__) / "metered.sql").read_text(encoding="utf-8")
    largest = ", calls DESC, abs(cost_usd) DESC, account_id, run_id LIMIT {top:UInt32} BY day, provider, model, reason"
    return Template(template).substitute(
        charged_events=charged_events(_IN_DAYS, book),
        subject="account_id, run_id," if by_run else "",
        by_subject=", account_id, run_id" if by_run else "",
        condition="part.1 != ''" if by_run else "true",
        order=largest if by_run else "",
        settings=SETTINGS,
    )


def _micros(day: date) -> int:
    return int(datetime.combine(day, time(), UTC).timestamp()) * 1_000_000
