"""A shadow's database: a sibling of the live one, made by the same migrations, with copies of what prices events.

Making it is safe to repeat: what died half-way is made again from the start, since the journal's first row comes last.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from taximeter_consumers.clickhouse import ClickHouse, connect
from taximeter_consumers.pricing.cards import current_book
from taximeter_consumers.pricing.rate import micros
from taximeter_consumers.shadow import journal, tables
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from taximeter_schemas.settings import ClickHouseSettings

Migrate = Callable[["ClickHouseSettings"], object]

_NAME: Final = re.compile(r"^[a-z0-9][a-z0-9_]{0,31}$")
_STATEMENT_SECONDS: Final = 3_600
_MIGRATIONS: Final = "SELECT number, checksum FROM stored_migrations FINAL ORDER BY number"
_ENGINE: Final = "SELECT engine FROM system.tables WHERE database = {database:String} AND name = {table:String}"
_THERE: Final = "SELECT count() FROM system.databases WHERE name = {name:String}"
_COLUMNS: Final = """
SELECT name FROM system.columns
WHERE database = {database:String} AND table = {table:String} AND default_kind NOT IN ('ALIAS', 'MATERIALIZED')
ORDER BY position
"""
_COMPILED_AT: Final = """
SELECT count(), toUnixTimestamp64Micro(min(made_at)) FROM stored_price_series WHERE book_version = {version:UInt64}
"""
# What of a table was there at an instant.
_AS_OF: Final = {
    "stored_prices": "added_at <= fromUnixTimestamp64Micro({{as_of:Int64}}, 'UTC')",
    "stored_discounts": "added_at <= fromUnixTimestamp64Micro({{as_of:Int64}}, 'UTC')",
    "stored_adjustments": (
        "reprice_id IN (SELECT reprice_id FROM {live}.stored_reprices"
        " WHERE step >= 2 AND at <= fromUnixTimestamp64Micro({{as_of:Int64}}, 'UTC'))"
    ),
    "stored_reprices": (
        "reprice_id IN (SELECT reprice_id FROM {live}.stored_reprices"
        " WHERE step >= 2 AND at <= fromUnixTimestamp64Micro({{as_of:Int64}}, 'UTC'))"
    ),
}


@dataclass(frozen=True)
class ChosenBook:
    """Prices other than today's: the version of a book that was compiled once, or all that was known at an instant."""

    version: int | None = None
    as_of: datetime | None = None

    def __str__(self) -> str:
        """For the journal and for people."""
        if self.version is not None:
            return f"book {self.version}"
        return "the live book" if self.as_of is None else f"the book as of {self.as_of.isoformat()}"


@dataclass(frozen=True)
class Pair:
    """Connections to the live database and to a shadow of it. `own_book`: the shadow has prices of its own."""

    name: str
    live: ClickHouse
    shadow: ClickHouse
    own_book: bool = False

    def close(self) -> None:
        """Closes both."""
        self.live.close()
        self.shadow.close()


def shadow_settings(settings: ClickHouseSettings, name: str) -> ClickHouseSettings:
    """How to reach a shadow. Raises Misconfigured for a name that cannot be one."""
    if not _NAME.match(name):
        raise Misconfigured(f"{name!r} cannot name a shadow", mend="use up to 32 small letters, digits and underscores")
    return settings.model_copy(update={"database": f"{settings.database}_shadow_{name}"})


def names(settings: ClickHouseSettings) -> list[str]:
    """The shadows that there are."""
    prefix = f"{settings.database}_shadow_"
    with closing(connect(settings, database="default")) as server:
        sql = "SELECT name FROM system.databases WHERE startsWith(name, {prefix:String}) ORDER BY name"
        return [name.removeprefix(prefix) for (name,) in server.rows(sql, {"prefix": prefix})]


def exists(settings: ClickHouseSettings, name: str) -> bool:
    """Whether the shadow was made, wholly or in part."""
    with closing(connect(settings, database="default")) as server:
        return bool(server.scalar(_THERE, {"name": shadow_settings(settings, name).database}))


def drop(settings: ClickHouseSettings, name: str) -> None:
    """Drops the shadow, if there is one. Raises Misconfigured in the middle of a swap."""
    if not exists(settings, name):
        return
    target = shadow_settings(settings, name)
    with closing(connect(target, timeout_seconds=_STATEMENT_SECONDS)) as shadow:
        if journal.is_there(shadow) and journal.standing(shadow).open:
            raise Misconfigured(
                f"the shadow {name} is in the middle of a swap",
                mend=f"finish it first: taximeter replay --shadow {name} --swap",
            )
        shadow.execute(f"DROP DATABASE `{target.database}` SYNC")


def open_pair(settings: ClickHouseSettings, name: str) -> Pair:
    """Both databases of a shadow that was made. Raises Misconfigured where there is none."""
    known = names(settings) if not exists(settings, name) else [name]
    if name not in known:
        listed = f"there are {', '.join(known)}" if known else "there is none"
        raise Misconfigured(
            f"there is no shadow {name} of the database {settings.database}; {listed}",
            mend=f"build it: taximeter replay --shadow {name}",
        )
    pair = _connected(settings, name)
    if not journal.is_there(pair.shadow) or not journal.standing(pair.shadow).made:
        pair.close()
        raise Misconfigured(
            f"the shadow {name} was not made to its end", mend=f"make it: taximeter replay --shadow {name}"
        )
    return Pair(name, pair.live, pair.shadow, journal.standing(pair.shadow).book != str(ChosenBook()))


def make(settings: ClickHouseSettings, name: str, migrate: Migrate, book: ChosenBook | None) -> Pair:
    """The shadow, made by the migrations where it is not there yet. `book` None: as it was made, or the live one.

    Raises Misconfigured where it was made with another book, or the live database lacks migrations.
    """
    target = shadow_settings(settings, name)
    with closing(connect(settings)) as live:
        _require_one_server(live)
        before = live.rows(_MIGRATIONS)
    migrate(target)
    pair = _connected(settings, name)
    if pair.shadow.rows(_MIGRATIONS) != before:
        pair.close()
        raise Misconfigured(
            f"the database {settings.database} is not migrated as this version of Taximeter wants it",
            mend="run `taximeter migrate` first, so that both have the same tables",
        )
    chosen = book or ChosenBook()
    journal.create(pair.shadow)
    standing = journal.standing(pair.shadow)
    if not standing.made:
        _copy(pair, chosen)
        journal.note(pair.shadow, "made", {"book": str(chosen)})
    elif book is not None and standing.book != str(chosen):
        pair.close()
        raise Misconfigured(
            f"the shadow {name} was made with {standing.book}, not with {chosen}",
            mend="give --fresh to build it anew, or take another name",
        )
    return Pair(name, pair.live, pair.shadow, journal.standing(pair.shadow).book != str(ChosenBook()))


def follow_settings(pair: Pair) -> None:
    """Brings what prices events in the shadow up to the live tables, unless it has a book of its own. Rows are only
    ever appended to them."""
    if not pair.own_book:
        for table in (*tables.PRICES, *tables.RERATED):
            _append_new(pair.live, pair.shadow, table)


def give_book(pair: Pair) -> None:
    """Gives the live database the compiled books that the shadow's rollups name: equal versions are equal rows."""
    for table in ("stored_price_cards", "stored_price_series"):
        _append_new(pair.shadow, pair.live, table)


def columns_of(clickhouse: ClickHouse, table: str) -> str:
    """The columns that an INSERT names, comma-separated."""
    found = clickhouse.rows(_COLUMNS, {"database": clickhouse.database, "table": table})
    return ", ".join(name for (name,) in found)


def _require_one_server(live: ClickHouse) -> None:
    engine = live.rows(_ENGINE, {"database": live.database, "table": tables.EVENTS})
    if not engine:
        raise Misconfigured(
            f"the database {live.database} has no events", mend="run `taximeter migrate`, or set CLICKHOUSE_DATABASE"
        )
    if engine[0][0] != "ReplacingMergeTree":
        raise Misconfigured(
            f"{tables.EVENTS} is {engine[0][0]}: shadows are made and exchanged on one server, not over a cluster",
            mend="replay into a second cluster, or correct what is wrong with `taximeter replay --to-clickhouse`",
        )


def _connected(settings: ClickHouseSettings, name: str) -> Pair:
    target = shadow_settings(settings, name)
    return Pair(
        name,
        connect(settings, timeout_seconds=_STATEMENT_SECONDS),
        connect(target, timeout_seconds=_STATEMENT_SECONDS),
    )


def _copy(pair: Pair, chosen: ChosenBook) -> None:
    as_of = _instant(pair.live, chosen)
    for table in (*tables.SETTINGS, *tables.PRICES, *tables.RERATED):
        pair.shadow.execute(f"TRUNCATE TABLE {table}")
        condition = _AS_OF.get(table, "true").format(live=pair.live.database) if as_of is not None else "true"
        if chosen.version is not None and table == tables.ALIASES:
            # The book has a series for each pair that was known when it was compiled.
            condition = (
                f"(provider, model) IN (SELECT provider, model FROM {pair.live.database}.stored_price_series"  # noqa: S608 - our own name
                " WHERE book_version = {version:UInt64})"
            )
        _insert_select(pair.live, pair.shadow, table, condition, {"as_of": as_of or 0, "version": chosen.version or 0})
    if chosen.version is not None and current_book(pair.shadow).version != chosen.version:
        raise Misconfigured(
            f"the prices of book {chosen.version} cannot be put together any more: rows of it were replaced",
            mend="choose by time: --as-of with the instant at which it was in use",
        )


def _instant(live: ClickHouse, chosen: ChosenBook) -> int | None:
    """Unix microseconds up to which prices count; None: all."""
    if chosen.as_of is not None:
        return micros(chosen.as_of)
    if chosen.version is None:
        return None
    count, made_at = live.rows(_COMPILED_AT, {"version": chosen.version})[0]
    if not count:
        raise Misconfigured(
            f"there is no book {chosen.version}",
            mend='`taximeter sql "SELECT book_version, min(made_at) FROM stored_price_series GROUP BY 1"` lists them',
        )
    return int(made_at)


def _append_new(source: ClickHouse, target: ClickHouse, table: str) -> None:
    # Of the tuple: the hash of columns of which one is null would be null.
    row = f"cityHash64(tuple({columns_of(target, table)}))"
    there = f"SELECT {row} FROM {target.database}.{table}"  # noqa: S608 - our own names
    _insert_select(source, target, table, f"{row} NOT IN ({there})", {})


def _insert_select(
    source: ClickHouse, target: ClickHouse, table: str, condition: str, parameters: dict[str, int]
) -> None:
    columns = columns_of(target, table)
    sql = f"INSERT INTO {target.database}.{table} ({columns}) SELECT {columns} FROM {source.database}.{table}"  # noqa: S608 - our own names
    target.execute(f"{sql} WHERE {condition}", parameters, {"insert_deduplicate": 0})
