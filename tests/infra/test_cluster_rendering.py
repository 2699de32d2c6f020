"""The migrations as SQL: one server byte for byte as ever, and a cluster's, each statement read by the real parser."""

from __future__ import annotations

import hashlib
import re

import pytest
from typer.testing import CliRunner

from taximeter_infra.cli.app import app
from taximeter_infra.cluster import PLACES, ClusterLayout, Place
from taximeter_infra.cluster_migrate import script
from taximeter_infra.migrate import Migration, Statement, packaged, single_server
from taximeter_infra.migrate import script as single_script
from taximeter_infra.stack.clickhouse_http import Endpoint
from taximeter_infra.stack.plan import StackAddresses
from taximeter_schemas.errors import Misconfigured

LAYOUT = ClusterLayout("meter")
STATEMENTS = [*LAYOUT.log(), *(made for file in packaged() for made in LAYOUT.statements(file))]
# Of the first fourteen files, which are applied out there: their SQL for one server never changes again.
FROZEN = "7df180b6106d0288ddd4c808ce78bdfa1edb3fc3bba73f93a6213602dc6c67ee"


def test_one_server_gets_the_same_bytes_as_ever() -> None:
    """That there are clusters changed nothing for who has none."""
    text = "\n;\n".join(sql for file in packaged()[:14] for sql in file.statements(single_server()))
    assert hashlib.sha256(text.encode()).hexdigest() == FROZEN


def test_every_table_has_a_place() -> None:
    """No table of the migrations is forgotten, and none that is not there is named."""
    made = {
        found[1]
        for file in packaged()
        for template in file.templates()
        if (found := re.match(r"CREATE TABLE IF NOT EXISTS (\w+)", template))
    }
    assert made | {"stored_migrations"} == set(PLACES)


def test_what_lies_by_account_has_an_account_first() -> None:
    """Copies meet on a shard only if the sharding key is a part of what they share: the first of the sorting key."""
    for statement in STATEMENTS:
        named = re.match(r"CREATE TABLE IF NOT EXISTS (\w+) ", statement.sql)
        if named and "Replicated" in statement.sql and PLACES[named[1]] is Place.ACCOUNT:
            assert re.search(r"ORDER BY \(account_id, ", statement.sql), named[1]


def test_all_is_on_the_cluster_and_no_placeholder_is_left() -> None:
    """Each statement says where; engines that keep rows are replicated, under a path that no other table has."""
    paths = re.findall(r"ReplicatedReplacingMergeTree\('([^']+)'", "\n".join(one.sql for one in STATEMENTS))
    for statement in STATEMENTS:
        assert re.search(r"ON CLUSTER `meter(_everywhere)?`", statement.sql)
        assert not re.search(r"\{(on_cluster|ReplacingMergeTree|deduplication_window)\}", statement.sql)
        assert " non_replicated_deduplication_window" not in statement.sql
    # The rollups were made anew once, in the place of those before.
    assert len(set(paths)) >= len(paths) - 4
    assert all(path.endswith(("/{shard}", "/everywhere")) for path in paths)


def test_the_front_has_what_the_shards_have() -> None:
    """Every table but those of a tick, and every view, under the same name."""

    def names(database: str) -> set[str]:
        made = [one.sql for one in STATEMENTS if one.database == database]
        return {
            found[1] for sql in made if (found := re.match(r"CREATE (?:OR REPLACE )?(?:TABLE|VIEW)[A-Z ]* (\w+)", sql))
        }

    ticks = {name for name, place in PLACES.items() if place is Place.TICK}
    assert names("metering") == (names("metering_shard") - ticks) | {"shards_rolled_up_batches"}


def test_a_column_comes_to_the_front_as_well_and_an_index_does_not() -> None:
    """Commas inside a comment or a type do not part actions."""
    column = "ADD COLUMN IF NOT EXISTS a Map(String, Int64) COMMENT 'x, (y'"
    sql = f"ALTER TABLE stored_events {{on_cluster}}\n  {column},\n  ADD INDEX i a TYPE minmax;\n"
    shard, front = LAYOUT.statements(Migration(99, "0099_x", sql))
    assert "ADD INDEX" in shard.sql
    assert front == Statement("metering", f"ALTER TABLE stored_events ON CLUSTER `meter`\n    {column}")


def test_what_is_not_known_is_refused() -> None:
    """A new table without a place, a statement of another kind, a name that is none: each says what to do."""
    for sql in ("CREATE TABLE other {on_cluster} (a Int8) ENGINE = Null;\n", "RENAME TABLE a TO b;\n"):
        with pytest.raises(Misconfigured, match="not known"):
            LAYOUT.statements(Migration(99, "0099_x", sql))
    with pytest.raises(Misconfigured, match="not a name"):
        ClusterLayout("a`b")


def test_the_command_prints_both() -> None:
    """`taximeter migrate --print` asks no server."""
    for argv, text in (([], single_script("metering", single_server())), (["--cluster", "meter"], script(LAYOUT))):
        done = CliRunner().invoke(app, ["migrate", "--print", *argv])
        assert done.exit_code == 0
        assert done.output.strip() == text.strip()


@pytest.mark.integration
def test_the_engine_can_read_every_statement(local_stack: StackAddresses) -> None:
    """The parser of the real engine takes all of the cluster's SQL; it is not run here, as there is no Keeper."""
    engine = Endpoint.of_url(local_stack.clickhouse_url.get_secret_value())
    statements = [*LAYOUT.databases(), *(one.sql for one in STATEMENTS)]
    texts = ", ".join("'" + sql.replace("\\", "\\\\").replace("'", "\\'") + "'" for sql in statements)
    answer = engine.ask(f"SELECT count() FROM (SELECT formatQuery(arrayJoin([{texts}])) AS read) WHERE read != ''")
    assert answer.text.strip() == str(len(statements)), answer.text
