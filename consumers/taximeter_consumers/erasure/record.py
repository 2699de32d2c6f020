"""What is remembered of erasures: a salted hash of each erased id, never the id itself.

The hash is all that ever reaches ClickHouse, so no log of queries or mutations of the server keeps the id. The
pseudonym is random and remembered here only while its erasure goes on. Who may read the table and guesses an id can
find out that it was erased. The server's own list of finished mutations has hash and pseudonym for longer: see
docs/privacy.md.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid4

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

PREFIX: Final = "erased-"
BEGUN: Final = 1
DONE: Final = 2

_KEEP: Final = """
INSERT INTO stored_erasures
SELECT {erasure_id:UUID}, {digest:String}, {salt:String}, {account_id:String}, {pseudonym:String}, {rows:UInt64},
    {by:String}, {step:UInt8}, now64(6)
"""
_READ: Final = """
SELECT erasure_id, digest, salt, account_id, pseudonym, rows, by, step FROM stored_erasures FINAL
ORDER BY at, erasure_id
"""


@dataclass(frozen=True)
class Erasure:
    """One erasure. `account_id` empty: in every account. `pseudonym` is empty once it is done."""

    erasure_id: UUID
    digest: str
    salt: str
    account_id: str
    pseudonym: str
    rows: int
    by: str
    step: int

    @property
    def is_open(self) -> bool:
        """Whether it was begun and not brought to its end."""
        return self.step < DONE

    @property
    def whom(self) -> tuple[str, str, str]:
        """Of whom it is."""
        return self.salt, self.digest, self.account_id


def digest_of(salt: str, user_id: str) -> str:
    """The hash by which a user is remembered and found."""
    return hashlib.sha256((salt + user_id).encode()).hexdigest()


def digest_sql(column: str) -> str:
    """The same over a column; its parameter is `salt`."""
    return f"lower(hex(SHA256(concat({{salt:String}}, {column}))))"


def erasures(clickhouse: ClickHouse) -> list[Erasure]:
    """All that were begun, oldest first."""
    return [Erasure(*row) for row in clickhouse.rows(_READ)]


def new_erasure(known: list[Erasure], user_id: str, account_id: str, by: str) -> Erasure:
    """The erasure of a user: the one that is open already, or a new one with a pseudonym of its own. Not kept yet."""
    salt = known[0].salt if known else secrets.token_hex(16)
    return erasure_of((salt, digest_of(salt, user_id), account_id), known, by)


def erasure_of(whom: tuple[str, str, str], known: list[Erasure], by: str) -> Erasure:
    """The same for somebody of whom only the hash is known."""
    for one in known:
        if one.is_open and one.whom == whom:
            return one
    salt, digest, account_id = whom
    return Erasure(uuid4(), digest, salt, account_id, PREFIX + secrets.token_hex(12), 0, by, BEGUN)


def keep(clickhouse: ClickHouse, erasure: Erasure) -> None:
    """Remembers a step. The last one forgets the pseudonym."""
    row = vars(erasure) | {"erasure_id": str(erasure.erasure_id)}
    clickhouse.execute(_KEEP, row | ({} if erasure.is_open else {"pseudonym": ""}))


def forget_pseudonyms(clickhouse: ClickHouse) -> None:
    """Deletes the first steps of erasures that are done: a merge would, some day."""
    done = "SELECT erasure_id FROM stored_erasures WHERE step = 2"
    left = f"SELECT count() FROM stored_erasures WHERE step = 1 AND erasure_id IN ({done})"  # noqa: S608 - our own text
    if clickhouse.scalar(left):
        ended = [str(one) for (one,) in clickhouse.rows(done)]
        sql = "ALTER TABLE stored_erasures DELETE WHERE step = 1 AND toString(erasure_id) IN {ended:Array(String)}"
        clickhouse.execute(sql, {"ended": ended}, {"mutations_sync": 2})
