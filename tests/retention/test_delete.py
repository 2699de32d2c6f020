"""Raw events of old days are deleted, and every sum stays: in ticks, rebuilds, audits, re-ratings and invoices."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal

import pytest
from tests.conservation.storage import Storage
from tests.erasure.conftest import Taximeter
from tests.erasure.sums import sums
from tests.retention.conftest import TODAY, event, store_as_used

from taximeter_consumers.conservation import MoneyAudit, MoneyScope
from taximeter_consumers.failpoints import RETENTION, VARIABLE
from taximeter_consumers.pricing.book import append_rates
from taximeter_consumers.pricing.rate import Rate
from taximeter_consumers.rollups import rebuild

pytestmark = pytest.mark.integration
QUICK = "retention.noted"
DAY = (TODAY - timedelta(days=100)).date().isoformat()


def money(storage: Storage) -> dict[str, list[tuple[object, ...]]]:
    """All sums, without the raw events."""
    return {name: rows for name, rows in sums(storage.clickhouse).items() if name != "events"}


def runs(storage: Storage) -> list[str]:
    """The runs that have raw events."""
    return [run for (run,) in storage.clickhouse.rows("SELECT DISTINCT run_id FROM stored_events ORDER BY 1")]


def test_old_events_go_and_every_sum_stays(storage: Storage, taximeter: Taximeter) -> None:
    """Counted, refused without --yes, deleted; a rebuild, the audit and an invoice have the same numbers."""
    before = money(storage)
    counted = taximeter("retention", "delete", "--before", DAY, "--dry-run", "--json")
    assert (counted.exit_code, json.loads(counted.stdout)["rows"]) == (0, 3), counted.output
    assert taximeter("retention", "delete", "--before", DAY).exit_code == 2
    done = taximeter("retention", "delete", "--before", DAY, "--yes")
    assert done.exit_code == 0, done.output
    # What reaches over the day, and what came after it, stays.
    assert runs(storage) == ["late", "new0", "new1", "over"]
    rebuild(storage.clickhouse)
    assert money(storage) == before
    report = MoneyAudit(storage.clickhouse, MoneyScope()).run()
    assert report.holds, (report.gaps, report.findings)
    assert "retention" in {finding.kind for finding in report.findings}
    assert taximeter("audit", "--no-ingest").exit_code == 0
    period = (TODAY - timedelta(days=300)).strftime("%Y-%m")
    invoiced = taximeter("invoice", "run", "--period", period, "--json")
    assert invoiced.exit_code == 0, invoiced.output
    shown = json.loads(taximeter("retention", "show", "--json").stdout)
    assert (shown["events_kept_from"], shown["late_rows"]) == (DAY, 1)
    assert "those before" in taximeter("retention", "show").stdout


def test_what_comes_late_changes_nothing_that_is_frozen(storage: Storage, taximeter: Taximeter) -> None:
    """An event of a frozen minute or of a frozen run is stored, and no sum loses what it had."""
    assert taximeter("retention", "delete", "--before", DAY, "--yes").exit_code == 0
    before = money(storage)
    storage.store([event(storage, 300, run_id="old0", transaction_id="t-old")], arrived=TODAY)
    storage.roll_up()
    assert money(storage) == before
    # A frozen run that goes on: its new use counts by time, and the run keeps its sum.
    store_as_used(storage, [event(storage, 40, run_id="old1")])
    storage.roll_up()
    after = money(storage)
    assert after["run_costs"] == before["run_costs"]
    assert len(after["usage_by_subject"]) == len(before["usage_by_subject"]) + 1
    assert taximeter("retention", "delete", "--before", DAY, "--dry-run").exit_code == 0


def test_prices_of_deleted_uses_do_not_change(storage: Storage, taximeter: Taximeter) -> None:
    """A re-rating that begins before is refused with the day; a new price for what had none leaves frozen sums."""
    assert taximeter("retention", "delete", "--before", DAY, "--yes").exit_code == 0
    refused = taximeter("reprice", "--from", "400d", "--dry-run")
    assert (refused.exit_code, DAY in refused.stderr) == (1, True)
    assert taximeter("reprice", "--from", DAY, "--dry-run").exit_code == 0
    before = money(storage)
    since = TODAY - timedelta(days=400)
    append_rates(
        storage.clickhouse, [Rate("openai", "gpt-4o", "requests", Decimal("0.5"), source="t", valid_from=since)]
    )
    storage.roll_up()
    after = money(storage)
    frozen = [row for row in before["run_costs"] if str(row[1]).startswith("old")]
    assert [row for row in after["run_costs"] if str(row[1]).startswith("old")] == frozen


@pytest.mark.parametrize(
    "point", [point if point == QUICK else pytest.param(point, marks=pytest.mark.long) for point in RETENTION]
)
def test_killed_anywhere_and_given_again(storage: Storage, taximeter: Taximeter, point: str) -> None:
    """The same order deletes the rest, and the sums are what they were."""
    before = money(storage)
    ended = subprocess.run(
        [sys.executable, "-m", "taximeter_infra", "retention", "delete", "--before", DAY, "--yes"],
        env={**os.environ, VARIABLE: point},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == -9, ended.stderr
    assert taximeter("aggregate", "--rebuild").exit_code == 0
    assert taximeter("retention", "delete", "--before", DAY, "--yes").exit_code == 0
    assert runs(storage) == ["late", "new0", "new1", "over"]
    assert money(storage) == before


def test_young_events_are_never_deleted(taximeter: Taximeter) -> None:
    """The last 35 days: the error names the day up to which it may be."""
    refused = taximeter("retention", "delete", "--before", "10d", "--yes")
    assert (refused.exit_code, "35 days" in refused.stderr) == (1, True)


def test_texts_have_a_retention_of_their_own(storage: Storage, taximeter: Taximeter) -> None:
    """Old texts are emptied, young ones stay, no sum changes; the setting is shown, and can be taken back."""
    before = sums(storage.clickhouse)
    counted = taximeter("retention", "set", "--texts", "100", "--dry-run", "--json")
    assert (counted.exit_code, json.loads(counted.stdout)["due_rows"]) == (0, 4), counted.output
    assert taximeter("retention", "set", "--texts", "100").exit_code == 2
    assert json.loads(taximeter("retention", "show", "--json").stdout)["texts_days"] is None
    assert taximeter("retention", "set", "--texts", "100", "--yes", "--by", "ops").exit_code == 0
    noted = storage.clickhouse.rows("SELECT kept_from, texts_days, by, state FROM retentions")
    assert noted == [(None, 100, "ops", "done")]
    assert json.loads(taximeter("retention", "show", "--json").stdout)["texts_days"] == 100
    storage.clickhouse.execute("ALTER TABLE stored_events MATERIALIZE TTL", settings={"mutations_sync": 1})
    texts = "SELECT run_id FROM stored_events WHERE error_message != '' ORDER BY run_id"
    assert [run for (run,) in storage.clickhouse.rows(texts)] == ["late", "new0", "new1", "over"]
    assert sums(storage.clickhouse) == before
    assert taximeter("retention", "set", "--texts", "forever").exit_code == 0
    assert json.loads(taximeter("retention", "show", "--json").stdout)["texts_days"] is None
    assert taximeter("retention", "set", "--texts", "soon").exit_code == 2


def test_the_servers_own_logs_are_trimmed(storage: Storage, taximeter: Taximeter) -> None:
    """Every log that the local server keeps goes after a day, without anybody's doing."""
    storage.clickhouse.execute("SYSTEM FLUSH LOGS")
    logs = json.loads(taximeter("retention", "show", "--json").stdout)["system_logs"]
    assert logs == dict.fromkeys(("part_log", "query_log"), "event_date + toIntervalDay(1)")
