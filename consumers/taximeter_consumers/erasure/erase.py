"""Erasing a user: every place that names the user is rewritten under a random pseudonym, and no sum changes.

    begun      the hash of the id and a pseudonym are remembered
    events     raw events and what a tick holds of them have the pseudonym; free texts of the user's events are empty
    recounted  the sums by user are counted again under the pseudonym, the rows of the id are emptied
    others     runs, nodes and settings have it, too
    deleted    the emptied rows are gone from the disk
    done       the pseudonym is forgotten

Every step can be done again, and a killed erasure is finished by giving the order again, or by `again`. Statements name
the user by the hash alone. Sums over accounts, runs and models are right all the time; a sum by user or minute may be
double for the moment in which its minute is counted again. What comes in meanwhile under the id is found by another
round; what comes later by `again`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers import failpoints
from taximeter_consumers.conservation import flight
from taximeter_consumers.erasure.money import Changed, changed, totals
from taximeter_consumers.erasure.places import EVENTS, OTHERS, PLACES, RECOUNTED, SUBJECTS, Place, Way
from taximeter_consumers.erasure.record import DONE, Erasure, digest_sql, erasure_of, erasures, forget_pseudonyms, keep
from taximeter_consumers.erasure.recount import move_rest, recount
from taximeter_consumers.retention.horizon import kept_from
from taximeter_consumers.rollups.recompute import next_version
from taximeter_consumers.rollups.tick import tick
from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

Say = Callable[[str], None]

_ROUNDS: Final = 5
# The minutes of the user's events, and those in which a sum by user still has the id: a tick that began before the
# events were rewritten may have written it afterwards. Before the horizon there are no events to count again.
_TO_RECOUNT: Final = """
account_id IN {{accounts:Array(String)}} AND occurred_at >= fromUnixTimestamp64Micro({{kept_from:Int64}}, 'UTC')
AND (user_id = {{pseudonym:String}} OR (account_id, toStartOfMinute(occurred_at)) IN ({minutes}))
"""
_AGAIN: Final = """
SELECT {digest} AS digest, account_id, sum(named_rows) FROM
(
    SELECT account_id, {user} AS named, count() AS named_rows FROM {table} WHERE {only} GROUP BY account_id, named
)
WHERE digest IN (SELECT erased.digest FROM stored_erasures AS erased)
GROUP BY digest, account_id
"""
# On a cluster: until every replica of the shard has done it.
_WAITING: Final = {"mutations_sync": 2}
_PATIENCE_SECONDS: Final = 30.0
_PAUSE_SECONDS: Final = 0.2


@dataclass(frozen=True)
class Erased:
    """What an erasure found, by table, and which sums are not what they were: none, or there is or was a fault."""

    tables: Mapping[str, int]
    sums: Changed = field(default_factory=Changed)

    @property
    def rows(self) -> int:
        """In all tables."""
        return sum(self.tables.values())


def found(clickhouse: ClickHouse, erasure: Erasure) -> dict[str, int]:
    """How many stored rows name the user, by table; old versions of rows are counted, too."""
    return {
        place.table: int(clickhouse.scalar(f"SELECT count() FROM {place.table} WHERE {_rows(place)}", _named(erasure)))  # noqa: S608 - our own names
        for place in PLACES
    }


def erase(clickhouse: ClickHouse, erasure: Erasure, say: Say = lambda _: None) -> Erased:
    """Erases, whatever a killed erasure has left to do. Rollups are brought up to date before. Raises Retryable when
    ClickHouse is away, or while events keep coming in under the id."""
    say("bringing the rollups up to date")
    _catch_up(clickhouse)
    tables = found(clickhouse, erasure)
    begun = replace(erasure, rows=max(erasure.rows, sum(tables.values())))
    accounts = _accounts(clickhouse, begun)
    before = totals(clickhouse, accounts)
    keep(clickhouse, begun)
    failpoints.reached("erase.begun")
    for _ in range(_ROUNDS):
        _round(clickhouse, begun, say)
        if not any(found(clickhouse, begun).values()):
            break
    else:
        raise Retryable("events of the user keep coming in: stop whoever sends them, and give the order again")
    say("comparing the sums")
    sums = changed(clickhouse, before, totals(clickhouse, accounts), accounts)
    keep(clickhouse, replace(begun, step=DONE))
    failpoints.reached("erase.done")
    forget_pseudonyms(clickhouse)
    return Erased(tables, sums)


def returned(clickhouse: ClickHouse) -> list[Erasure]:
    """Whom `again` would erase: erasures that were not finished, and users who are back, each with how many rows."""
    known = erasures(clickhouse)
    wanted = {one.whom: one for one in known if not one.is_open}
    back = [one for one in known if one.is_open]
    named = {salt: _named_again(clickhouse, salt) for salt, _, _ in wanted}
    for whom in sorted(set(wanted) - {one.whom for one in back}):
        salt, digest, account_id = whom
        rows = sum(
            count for (one, account), count in named[salt].items() if one == digest and account_id in {"", account}
        )
        if rows:
            back.append(replace(erasure_of(whom, known, wanted[whom].by), rows=rows))
    return back


def again(clickhouse: ClickHouse, by: str, say: Say = lambda _: None) -> Erased:
    """Erases everybody who is back, and finishes what was not finished, by the order of `by`."""
    tables: dict[str, int] = dict.fromkeys((place.table for place in PLACES), 0)
    sums = Changed()
    for one in returned(clickhouse):
        done = erase(clickhouse, replace(one, by=by), say)
        tables = {table: count + done.tables[table] for table, count in tables.items()}
        sums = Changed(sums.wrong + done.sums.wrong, sums.mended + done.sums.mended)
    forget_pseudonyms(clickhouse)
    return Erased(tables, sums)


def _named_again(clickhouse: ClickHouse, salt: str) -> dict[tuple[str, str], int]:
    """How many rows name somebody who was erased, by hash and account: each table is read once, however many they are,
    and each id hashed once."""
    counts: dict[tuple[str, str], int] = {}
    for place in PLACES:
        sql = _AGAIN.format(table=place.table, user=place.user, only=place.only, digest=digest_sql("named"))
        for digest, account, rows in clickhouse.rows(sql, {"salt": salt}):
            counts[digest, account] = counts.get((digest, account), 0) + int(rows)
    return counts


def _round(clickhouse: ClickHouse, erasure: Erasure, say: Say) -> None:
    version = next_version(clickhouse)
    for place in EVENTS:
        _change(clickhouse, place, erasure, say)
    failpoints.reached("erase.events")
    say("counting the sums by user again")
    minutes = " UNION ALL ".join(
        f"SELECT account_id, minute FROM {place.table} WHERE {_rows(place)}"  # noqa: S608 - our own names
        for place in SUBJECTS
    )
    horizon = kept_from(clickhouse)
    of_user = {**_named(erasure), "accounts": _accounts(clickhouse, erasure), "kept_from": horizon}
    recount(clickhouse, _TO_RECOUNT.format(minutes=minutes), of_user)
    failpoints.reached("erase.recounted")
    named = _named(erasure)
    for place in SUBJECTS:
        rest = {**named, "until": version}
        move_rest(clickhouse, RECOUNTED[place.table], f"{_rows(place)} AND version <= {{until:UInt64}}", rest)
    failpoints.reached("erase.moved")
    for place in OTHERS:
        _change(clickhouse, place, erasure, say)
    failpoints.reached("erase.others")
    for place in SUBJECTS:
        counting = f"SELECT count() FROM {place.table} FINAL WHERE {_rows(place)} AND events > 0"  # noqa: S608 - our own names
        # Events that came in meanwhile: the next round moves them.
        if not clickhouse.scalar(counting, named):
            _change(clickhouse, place, erasure, say)
    failpoints.reached("erase.deleted")


def _change(clickhouse: ClickHouse, place: Place, erasure: Erasure, say: Say) -> None:
    """Rewrites or deletes the rows of a table that name the user, where there are any."""
    named = _named(erasure)
    rows = int(clickhouse.scalar(f"SELECT count() FROM {place.table} WHERE {_rows(place)}", named))  # noqa: S608 - our own names
    if not rows:
        return
    say(f"{place.table}: {rows:,} rows")
    if place.way is Way.RENAME:
        changes = {place.user: "{pseudonym:String}", **place.emptied}
        action = f"UPDATE {', '.join(f'{column} = {value}' for column, value in changes.items())}"
    else:
        action = "DELETE"
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            clickhouse.execute(f"ALTER TABLE {place.table} {action} WHERE {_rows(place)}", named, _WAITING)
        except Retryable:
            # As when a tick drops a part that is being rewritten. What was rewritten is not found again.
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def _catch_up(clickhouse: ClickHouse) -> None:
    """Works in what was stored up to now, so that counting again brings nothing that is new."""
    mark = flight.Mark.now(clickhouse)
    while flight.pending(clickhouse, mark).batches:
        tick(clickhouse)


def _accounts(clickhouse: ClickHouse, erasure: Erasure) -> list[str]:
    """The accounts in which the user has been, under the id or the pseudonym."""
    users = " UNION DISTINCT ".join(
        f"SELECT account_id FROM {place.table} WHERE user_id = {{pseudonym:String}} OR {_rows(place)}"  # noqa: S608 - our own names
        for place in (*EVENTS, *SUBJECTS)
    )
    return sorted(account for (account,) in clickhouse.rows(users, _named(erasure)))


def _rows(place: Place) -> str:
    """The rows that name the user."""
    account = "({account_id:String} = '' OR account_id = {account_id:String})"
    return f"({place.only}) AND {account} AND {digest_sql(place.user)} = {{digest:String}}"


def _named(erasure: Erasure) -> dict[str, Any]:
    return {
        "account_id": erasure.account_id,
        "digest": erasure.digest,
        "salt": erasure.salt,
        "pseudonym": erasure.pseudonym,
    }
