"""Every text column of every table is known to erasure: as one that can name a user, or as one that cannot."""

from __future__ import annotations

import pytest

from taximeter_consumers.clickhouse import connect
from taximeter_consumers.erasure.places import IN_SOME_TABLES, NOBODY, PERSONAL, PLACES
from taximeter_schemas.settings import ClickHouseSettings

_TEXTS = """
SELECT column.table, column.name FROM system.columns AS column
INNER JOIN system.tables AS held ON held.database = column.database AND held.name = column.table
WHERE column.database = {database:String} AND held.engine LIKE '%MergeTree%'
  AND match(column.type, 'String|Map|Array|Tuple|JSON') AND held.name != 'stored_migrations'
ORDER BY 1, 2
"""


@pytest.mark.integration
def test_every_column_of_the_catalogue_is_known(migrated_database: ClickHouseSettings) -> None:
    """A new column goes into erasure/places.py: into PLACES if it can name a user, else into NOBODY."""
    clickhouse = connect(migrated_database)
    columns = {(table, column) for table, column in clickhouse.rows(_TEXTS, {"database": migrated_database.database})}
    clickhouse.close()
    replaced = {(place.table, column) for place in PLACES for column in (place.user, *place.emptied)}
    replaced |= {("stored_quota_state", "level")}
    personal = {(table, column) for table, column in columns if column in PERSONAL} | IN_SOME_TABLES
    assert personal - replaced == set(), "these can name a user, and erasure does not replace them"
    assert {(table, column) for table, column in columns - personal if column not in NOBODY} == set(), "unknown columns"
    assert replaced <= columns


def test_a_name_is_in_one_list() -> None:
    """What always names a user is in no list of what never does."""
    assert PERSONAL.isdisjoint(NOBODY)
