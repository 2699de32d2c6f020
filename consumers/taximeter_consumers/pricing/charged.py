"""The SQL that says what each event costs, for whoever sums it up. Made from `units.py`, the twin of `price.py`."""

from __future__ import annotations

from functools import cache
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Final

from taximeter_consumers.pricing.units import INVOCATIONS, PLUGIN, REQUESTS, RESOURCE, RESOURCES, UNIT, UNITS, Unit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taximeter_consumers.pricing.cards import Book

SETTINGS: Final = {
    "prefer_column_name_to_alias": 1,
    "decimal_check_overflow": 1,
    "join_use_nulls": 0,
    # Most events are no calls of models, and what only a call needs should cost them nothing.
    "short_circuit_function_evaluation": "'force_enable'",
    # Rewritings that find nothing to rewrite here, and walk hundreds of expressions to see it: a third of the planning.
    "optimize_and_compare_chain": 0,
    "optimize_syntax_fuse_functions": 0,
    "optimize_aggregators_of_group_by_keys": 0,
    "optimize_rewrite_sum_if_to_count_if": 0,
    "optimize_extract_common_expressions": 0,
    "optimize_arithmetic_operations_in_aggregate_functions": 0,
}
"""Setting to SQL value: what every query over charged events must be run with."""

_FITS: Final = """arrayFirst(
    entry -> entry.1 <= arrived_at AND entry.2 <= occurred_at AND (entry.3 = '' OR entry.3 = {tier})
        AND entry.4 <= second_of_day AND second_of_day < entry.5 AND (entry.6 = 0 OR toInt64(entry.6) < call_size),
    {series}.entries
).7"""
_SERIES: Final = """
LEFT ANY JOIN
(
    SELECT account_id AS series_account, provider AS series_provider, model AS series_model, entries
    FROM stored_price_series FINAL
    WHERE book_version = {version} AND {which}
) AS {name}_series
ON {name}_series.series_account = used.{name}_account AND {name}_series.series_provider = {provider}
    AND {name}_series.series_model = {model}"""
_OWN: Final = """if(
    (account_id, {provider}, {model}) IN (
        SELECT account_id, provider, model FROM stored_price_series WHERE book_version = {version} AND account_id != ''
    ),
    account_id, ''
)"""
# Names of joined columns are unlike any of the events', so that the events' keep theirs.
_CARDS: Final = """
LEFT ANY JOIN
(
    SELECT card_id AS {name}_card_id, {columns}
    FROM price_cards
    WHERE card_id IN (
        SELECT arrayJoin(entries).7 FROM stored_price_series WHERE book_version = {version} AND {which}
    )
) AS {name}_cards
ON {name}_cards.{name}_card_id = fitted.{name}_card"""
# An adjustment is of the event, not of the copy that it was made for: another copy may count by now, of another run
# or hour. So what the scope looks at is asked of the events.
_ADJUSTMENTS: Final = """
LEFT ANY JOIN
(
    SELECT
        account_id AS adjusted_account, event_id AS adjusted_event,
        countIf(model_usd != 0) AS model_adjustments, countIf(plugin_usd != 0) AS plugin_adjustments,
        toDecimal256(sum(model_usd), 18) AS model_more,
        toDecimal256(sum(plugin_usd), 18) AS plugin_more,
        toDecimal256(sum(resource_usd), 18) AS resource_more
    FROM stored_adjustments FINAL
    WHERE reprice_id IN (SELECT reprice_id FROM stored_reprices WHERE step >= 2)
      AND (account_id, id_time, event_id) IN (SELECT account_id, id_time, event_id FROM stored_events WHERE {scope})
    GROUP BY account_id, event_id
) AS adjustment
ON adjustment.adjusted_account = fitted.account_id AND adjustment.adjusted_event = fitted.event_id"""

_PARTS: Final = ("model", PLUGIN, RESOURCE)
_ADJUSTED: Final = (
    *(f"{part}_more AS adjusted_{part}" for part in _PARTS),
    "model_adjustments > 0 AS model_is_adjusted",
    "plugin_adjustments > 0 AS plugin_is_adjusted",
)
_NOT_ADJUSTED: Final = (
    *(f"toDecimal256(0, 18) AS adjusted_{part}" for part in _PARTS),
    "false AS model_is_adjusted",
    "false AS plugin_is_adjusted",
)
_ADJUSTED_LINES: Final = """arrayFilter(
    line -> line.7 != 0,
    arrayMap(
        line -> (line.1, line.2, 'calls', 'adjusted', toDecimal256(1, 9), toDecimal128(0, 18), line.3),
        [
            (toString(provider), model, adjusted_model),
            ('plugin', toString(plugin_id), adjusted_plugin),
            ('resource', '', adjusted_resource)
        ]
    )
)"""
# By which columns an event finds the series of each part of its cost.
_PAIRS: Final = {
    "model": ("provider", "model"),
    PLUGIN: (f"'{PLUGIN}'", "plugin_id"),
    RESOURCE: (f"'{RESOURCE}'", "''"),
}


def charged_events(scope: str, book: Book) -> str:
    """A query of the deduplicated events that meet `scope`, priced by a stored version of the compiled book.

    Beside the columns of stored_events it has `cost` and its parts `model_cost`, `plugin_cost`, `resource_cost` and
    `adjusted_cost` (US dollars, Decimal of 76 digits, 18 places), what re-rating added to each part (`adjusted_model`,
    ...), `cost_source` and the source of each part (`model_source`, ...), and `lines`: tuples of (provider, model,
    unit, source, quantity, price, amount). `scope` is a condition over stored_events.
    """
    return _template().substitute(_of_units(), **_of_book(scope, book), scope=scope)


@cache
def _template() -> Template:
    return Template((resources.files("taximeter_consumers.pricing") / "charged_events.sql").read_text(encoding="utf-8"))


@cache
def _of_units() -> dict[str, str]:
    """The fragments that list units."""
    return {
        "units": _texts(unit.name for unit in UNITS),
        "required": f"[{', '.join(str(unit.required).lower() for unit in UNITS)}]",
        "past_last_unit": str(len(UNITS) + 1),
        "cells": ", ".join(_cell(unit) for unit in UNITS),
        "invocations": INVOCATIONS,
        "resources": _texts(unit.name for unit in RESOURCES),
    }


def _of_book(scope: str, book: Book) -> dict[str, str]:
    """The fragments that depend on what is in the book: what it has nothing of is not asked for."""
    plugin, resource = book.has_plugins, book.has_resources
    parts = [part for part, has in zip(_PARTS, (True, plugin, resource), strict=True) if has]
    cards = _cards("model", _rates("card_rates", UNITS), book)
    cards += _cards(PLUGIN, "usd_per_unit AS card_plugin_prices", book) if plugin else ""
    cards += _cards(RESOURCE, _rates("card_resource_rates", RESOURCES), book) if resource else ""
    cards += _ADJUSTMENTS.format(scope=scope) if book.has_adjustments else ""
    return {
        "model_card": _FITS.format(tier="service_tier", series="model_series"),
        "plugin_card": _FITS.format(tier="''", series="plugin_series") if plugin else "toUInt64(0)",
        "resource_card": _FITS.format(tier="''", series="resource_series") if resource else "toUInt64(0)",
        "accounts": ", ".join(f"{_account(name, book)} AS {name}_account" for name in parts),
        "joined_series": "".join(_series(name, book) for name in parts),
        "joined_cards": cards,
        # Of an array that is empty, because a join has found no card, every element is null.
        "rates": "card_rates",
        "resource_rates": "card_resource_rates" if resource else "CAST([], 'Array(Nullable(Decimal(38, 18)))')",
        "used_resources": _used_resources() if resource else "CAST([], 'Array(Tuple(UInt8, Int128))')",
        "plugin_prices": "card_plugin_prices" if plugin else "CAST(map(), 'Map(String, Decimal(38, 18))')",
        "adjusted_lines": _ADJUSTED_LINES if book.has_adjustments else "[]",
        "adjusted": ", ".join(_ADJUSTED if book.has_adjustments else _NOT_ADJUSTED),
    }


def _which(name: str) -> str:
    return f"provider = '{name}'" if name in (PLUGIN, RESOURCE) else f"provider NOT IN ('{PLUGIN}', '{RESOURCE}')"


def _account(name: str, book: Book) -> str:
    """Whose series an event is looked up in: its account's own, where it has one."""
    provider, model = _PAIRS[name]
    return _OWN.format(provider=provider, model=model, version=book.version) if book.has_own else "''"


def _series(name: str, book: Book) -> str:
    provider, model = (column if column.startswith("'") else f"used.{column}" for column in _PAIRS[name])
    return _SERIES.format(version=book.version, which=_which(name), name=name, provider=provider, model=model)


def _cards(name: str, columns: str, book: Book) -> str:
    return _CARDS.format(columns=columns, version=book.version, which=_which(name), name=name)


def _rates(name: str, units: tuple[Unit, ...]) -> str:
    """The prices of a card in the order of `units`."""
    names = _texts(unit.name for unit in units)
    return f"arrayMap(unit -> if(mapContains(usd_per_unit, unit), usd_per_unit[unit], NULL), {names}) AS {name}"


def _used_resources() -> str:
    counted = ", ".join(f"({number}, toInt128({unit.column}))" for number, unit in enumerate(RESOURCES, start=1))
    return f"arrayFilter(used -> used.2 != 0, CAST([{counted}], 'Array(Tuple(UInt8, Int128))'))"


def _texts(names: Iterable[str]) -> str:
    quoted = (f"'{name}'" for name in names)
    return f"[{', '.join(quoted)}]"


def _cell(unit: Unit) -> str:
    if unit.name == REQUESTS:
        # Calls that state no number of requests are one, if they counted.
        counted = ", ".join(_count(other) for other in UNITS if other.name != REQUESTS)
        stated = f"mapContains(ai_units, '{REQUESTS}')"
        return f"if({stated}, {_count(unit)}, toInt128(arrayExists(count -> count != 0, [{counted}])))"
    parts = [f" - {_count_of(name)}" for name in unit.minus] + [f" + {_count_of(name)}" for name in unit.plus]
    return _count(unit) + "".join(parts)


def _count_of(name: str) -> str:
    return _count(UNIT[name])


def _count(unit: Unit) -> str:
    """How many of a unit the event states."""
    return f"toInt128({unit.column})" if unit.column else f"toInt128(ai_units['{unit.name}'])"
