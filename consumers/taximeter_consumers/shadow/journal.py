"""What was done to a shadow, in a table of its own database: so that kill -9 at any point is taken up by the next call.

Rows are only appended; the last one of a swap says where it stands. A swap that was noted is finished by whoever comes
next; one that was only prepared is called off.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

PREPARED: Final = "prepared"
NOTED: Final = "noted"
ENDED: Final = ("done", "called_off")

_CREATE: Final = """
CREATE TABLE IF NOT EXISTS shadow_journal
(
    number   UInt64,
    step     LowCardinality(String) COMMENT 'made, prepared, noted, exchanged, done, called_off',
    details  String COMMENT 'JSON',
    at       DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
)
ENGINE = MergeTree ORDER BY number
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
"""
_IS_THERE: Final = "SELECT count() FROM system.tables WHERE database = {database:String} AND name = 'shadow_journal'"
_NOTE: Final = """
INSERT INTO shadow_journal (number, step, details)
SELECT (SELECT max(number) FROM shadow_journal) + 1, {step:String}, {details:String}
"""
_ALL: Final = "SELECT step, details FROM shadow_journal ORDER BY number"


@dataclass(frozen=True)
class Standing:
    """Where a shadow stands: how it was made, the last step of the last swap with its details, and whether it is
    swapped in now."""

    made: bool = False
    book: str = ""
    step: str = ""
    details: Mapping[str, Any] | None = None
    swapped_in: bool = False

    @property
    def open(self) -> bool:
        """Whether a swap was begun and is not over."""
        return bool(self.step) and self.step not in ENDED


def create(shadow: ClickHouse) -> None:
    """Makes the table, if need be."""
    shadow.execute(_CREATE)


def is_there(shadow: ClickHouse) -> bool:
    """Whether the shadow has a journal."""
    return bool(shadow.scalar(_IS_THERE, {"database": shadow.database}))


def note(shadow: ClickHouse, step: str, details: Mapping[str, Any] | None = None) -> None:
    """Appends a row; it is on disk when this returns."""
    shadow.execute(_NOTE, {"step": step, "details": json.dumps(details or {})})


def standing(shadow: ClickHouse) -> Standing:
    """Where the shadow stands."""
    made, book, step, details, swapped = False, "", "", None, False
    for step_then, text in shadow.rows(_ALL):
        if step_then == "made":
            made, book = True, json.loads(text)["book"]
            continue
        step, details = step_then, json.loads(text)
        if step_then == "done":
            swapped = bool(details["swapped_in"])
    return Standing(made, book, step, details, swapped)
