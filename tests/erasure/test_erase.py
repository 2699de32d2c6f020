"""A user is erased from everything that is stored, and no sum changes, whatever is killed on the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from datetime import timedelta

import pytest
from tests.conservation.storage import Storage
from tests.erasure.conftest import NOW, SPEAKING, Taximeter
from tests.erasure.sums import named, sums

from taximeter_consumers.conservation import MoneyAudit, MoneyScope
from taximeter_consumers.failpoints import ERASE, VARIABLE
from taximeter_consumers.rollups import rebuild, tick

pytestmark = pytest.mark.integration
QUICK = {"erase.events", "erase.deleted"}
# Somebody else's names, which happen to be the same.
OTHERS = {"stored_quota_assignments.name": 1, "stored_quota_add_ons.name": 1, "stored_quota_add_ons.reason": 2}
OTHERS |= {"stored_quota_state.name": 1, "stored_quota_state.level": 1}


def holds(storage: Storage) -> bool:
    """Whether the audit of the money closes."""
    return MoneyAudit(storage.clickhouse, MoneyScope()).run().holds


def test_nothing_names_the_user_and_no_sum_has_changed(storage: Storage, taximeter: Taximeter) -> None:
    """Counted, refused without --yes, erased, the audit green, a rebuild as well; again there is nothing to do."""
    clickhouse = storage.clickhouse
    before, names = sums(clickhouse), named(clickhouse, "adele")
    counted = taximeter("erase", "--user", "adele", "--dry-run", "--json")
    assert counted.exit_code == 0, counted.output
    # Merges take copies away meanwhile.
    assert 11 <= json.loads(counted.stdout)["tables"]["stored_events"] <= names["stored_events.user_id"]
    assert taximeter("erase", "--user", "adele").exit_code == 2
    assert (sums(clickhouse), set(named(clickhouse, "adele"))) == (before, set(names))
    done = taximeter("erase", "--user", "adele", "--yes")
    assert done.exit_code == 0, done.output
    assert "no sum has changed" in done.stdout
    assert named(clickhouse, "adele") == OTHERS
    assert sums(clickhouse) == before
    assert holds(storage)
    rebuild(clickhouse)
    assert (sums(clickhouse), named(clickhouse, "adele")) == (before, OTHERS)
    assert json.loads(taximeter("erase", "--again", "--yes", "--json").stdout)["rows"] == 0
    assert clickhouse.rows("SELECT account_id, state, rows > 0 FROM erasures") == [("", "done", True)]
    assert clickhouse.scalar("SELECT count() FROM stored_erasures WHERE pseudonym != ''") == 0


def test_the_servers_own_logs_do_not_learn_the_id(storage: Storage, taximeter: Taximeter) -> None:
    """Neither the record of mutations nor the log of queries has it."""
    clickhouse, whom = storage.clickhouse, "zoe-4711"
    storage.store([storage.event(user_id=whom)])
    assert taximeter("erase", "--user", whom, "--yes").exit_code == 0
    commands = "SELECT count(), countIf(position(command, {whom:String}) > 0) FROM system.mutations"
    count, telling = clickhouse.rows(f"{commands} WHERE database = currentDatabase()", {"whom": whom})[0]
    assert (count > 0, telling) == (True, 0)
    clickhouse.execute("SYSTEM FLUSH LOGS")
    # The digest marks what the erasure asked; the id may stand in what this test asks.
    asked = "SELECT count(), countIf(position(query, {whom:String}) > 0) FROM system.query_log"
    digest = clickhouse.scalar("SELECT max(digest) FROM stored_erasures")
    by_erasing = "WHERE current_database = currentDatabase() AND position(query, {digest:String}) > 0"
    count, telling = clickhouse.rows(f"{asked} {by_erasing}", {"whom": whom, "digest": digest})[0]
    assert (count > 0, telling) == (True, 0)


def test_one_account_alone(storage: Storage, taximeter: Taximeter) -> None:
    """The same id in another account is somebody else."""
    before = sums(storage.clickhouse)
    assert taximeter("erase", "--user", "adele", "--account", "other", "--yes").exit_code == 0
    users = storage.clickhouse.rows(
        "SELECT DISTINCT account_id, user_id = 'adele' FROM usage_by_subject"
        " WHERE user_id NOT IN ('bob', 'eve') ORDER BY account_id"
    )
    assert users == [("acme", 1), ("other", 0)]
    assert sums(storage.clickhouse) == before
    # Who is still in an account in which nobody erased them is not back.
    again = taximeter("erase", "--again", "--dry-run", "--json")
    assert (again.exit_code, json.loads(again.stdout)["rows"]) == (0, 0), again.output
    nobody = taximeter("erase", "--user", "nobody-of-this-name", "--dry-run")
    assert (nobody.exit_code, "no row names this user" in nobody.stderr) == (0, True)


@pytest.mark.parametrize(
    "point", [point if point in QUICK else pytest.param(point, marks=pytest.mark.long) for point in ERASE]
)
def test_killed_anywhere_and_given_again(storage: Storage, taximeter: Taximeter, point: str) -> None:
    """The same order, or `--again`, which does not know the id, finishes it: nothing is named, no sum has changed."""
    before = sums(storage.clickhouse)
    ended = subprocess.run(
        [sys.executable, "-m", "taximeter_infra", "erase", "--user", "adele", "--yes"],
        env={**os.environ, VARIABLE: point},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == -9, ended.stderr
    words = ("--again",) if ERASE.index(point) % 2 else ("--user", "adele")
    done = taximeter("erase", *words, "--yes")
    assert done.exit_code == 0, done.output
    assert named(storage.clickhouse, "adele") == OTHERS
    assert sums(storage.clickhouse) == before
    assert storage.clickhouse.scalar("SELECT count() FROM stored_erasures WHERE pseudonym != ''") == 0


def test_a_replay_does_not_bring_the_user_back(storage: Storage, taximeter: Taximeter) -> None:
    """What arrives once more, or late, is erased by --again under another name, and counts as it did."""
    clickhouse = storage.clickhouse
    assert taximeter("erase", "--user", "adele", "--yes").exit_code == 0
    first = set(clickhouse.rows("SELECT DISTINCT user_id FROM run_costs"))
    storage.store([storage.event(user_id="adele", run_id="late", occurred_at=NOW + timedelta(minutes=1)) | SPEAKING])
    storage.roll_up()
    before = sums(clickhouse)
    counted = taximeter("erase", "--again", "--dry-run", "--json")
    assert json.loads(counted.stdout)["tables"]["stored_events"] == 1
    done = taximeter("erase", "--again", "--yes")
    assert done.exit_code == 0, done.output
    assert (named(clickhouse, "adele"), sums(clickhouse)) == (OTHERS, before)
    assert len(set(clickhouse.rows("SELECT DISTINCT user_id FROM run_costs")) - first) == 1
    assert holds(storage)


def test_sums_without_events_are_kept(storage: Storage, taximeter: Taximeter) -> None:
    """Rows of rollups whose raw events are gone keep their numbers under the new name."""
    clickhouse = storage.clickhouse
    before = {name: rows for name, rows in sums(clickhouse).items() if name != "events"}
    storage.mutate("stored_events", "DELETE WHERE user_id = 'adele'")
    clickhouse.insert("stored_retentions", ["kept_from"], [(NOW + timedelta(days=1),)])
    assert taximeter("erase", "--user", "adele", "--yes").exit_code == 0
    after = {name: rows for name, rows in sums(clickhouse).items() if name != "events"}
    assert (after, named(clickhouse, "adele")) == (before, OTHERS)


def test_a_sum_that_changes_is_told(storage: Storage, taximeter: Taximeter) -> None:
    """Exit code 3 and both numbers, where a rollup was wrong before and is right now."""
    storage.mutate("stored_usage_by_subject", "UPDATE cost_usd = cost_usd + 1 WHERE user_id = 'bob'")
    done = taximeter("erase", "--user", "adele", "--yes")
    assert done.exit_code == 3
    assert "a sum was wrong before, and follows from the events now: usage_by_subject acme: 20 events" in done.stderr
    assert named(storage.clickhouse, "adele") == OTHERS


def test_a_tick_that_had_read_before_is_set_right(storage: Storage, taximeter: Taximeter) -> None:
    """It writes the id once more, and the use counts twice by user; --again finds it, and every sum is right."""
    clickhouse = storage.clickhouse
    before = sums(clickhouse)
    written = "SELECT * FROM stored_usage_by_subject FINAL WHERE user_id = 'adele' AND events > 0"
    clickhouse.execute(f"CREATE TABLE kept ENGINE = Memory AS {written}")
    assert taximeter("erase", "--user", "adele", "--yes").exit_code == 0
    clickhouse.execute("INSERT INTO stored_usage_by_subject SELECT * FROM kept")
    clickhouse.execute("DROP TABLE kept SYNC")
    assert sums(clickhouse) != before
    assert taximeter("erase", "--again", "--yes").exit_code == 0
    assert (sums(clickhouse), named(clickhouse, "adele")) == (before, OTHERS)
    assert holds(storage)


def test_sinks_and_ticks_go_on_meanwhile(storage: Storage, taximeter: Taximeter) -> None:
    """Events of others, in the same minutes and runs, are stored and rolled up during an erasure; none is lost."""
    stop = threading.Event()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            while not stop.is_set():
                storage.store([storage.event(run_id="r1", user_id="bob", occurred_at=NOW + timedelta(minutes=1))])
                tick(storage.clickhouse)
        except BaseException as error:  # noqa: BLE001 - a thread's failure is the test's
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        done = taximeter("erase", "--user", "adele", "--yes")
    finally:
        stop.set()
        thread.join()
    assert failed == []
    assert done.exit_code == 0, done.output
    storage.roll_up()
    assert taximeter("erase", "--again", "--yes").exit_code == 0
    assert named(storage.clickhouse, "adele") == OTHERS
    assert holds(storage)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--again", "--user", "x"),
        ("--user", ""),
        ("--user", "x", "--dry-run", "--yes"),
        ("--again", "--account", "a"),
    ],
)
def test_orders_that_make_no_sense_are_refused(taximeter: Taximeter, words: tuple[str, ...]) -> None:
    """With exit code 2, before any server is asked."""
    assert taximeter("erase", *words).exit_code == 2
