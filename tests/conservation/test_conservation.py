"""The audit of the money over a real ClickHouse: it closes over what is right, and names to the digit what is not."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from random import Random

import pytest
from tests.conservation.storage import START, Storage

from taximeter_consumers.conservation import MoneyAudit, MoneyReport, MoneyScope, amount
from taximeter_consumers.pricing.book import append_rates
from taximeter_consumers.pricing.rate import Rate

HOUR = timedelta(hours=1)


def audit(storage: Storage, scope: MoneyScope | None = None) -> MoneyReport:
    """What it finds."""
    return MoneyAudit(storage.clickhouse, scope or MoneyScope()).run()


def kinds(report: MoneyReport) -> set[str]:
    """What was found beside gaps."""
    return {finding.kind for finding in report.findings}


def filled(storage: Storage) -> Storage:
    """Two accounts, three hours, calls of every kind, duplicates in one and in two batches; rolled up."""
    storage.fill(used_by_two)
    return storage


def used_by_two(storage: Storage) -> None:
    """What is in it."""
    events = [
        storage.event(),
        storage.event(run_id="r2", node_id="n2", attempt=2, outcome="error", user_id="bob", transaction_id="t1"),
        storage.event(quality="missing", input_tokens=0, output_tokens=0, total_tokens=0),
        storage.event(provider="house", model="llm-1"),
        storage.event(reported_cost=Decimal("0.123456789012"), context="system"),
        storage.event(usage_type="", provider="", model="", quality="", plugin_id="ocr", plugin_invocations=1),
        storage.event(occurred_at=START + 2 * HOUR, kind="adjustment", input_tokens=-7, total_tokens=-7, executions=0),
        storage.event(account_id="beta", run_id="b1", occurred_at=START + HOUR),
    ]
    storage.store([*events, events[0]])
    storage.store(events[6:])
    storage.roll_up()


def test_a_scope_is_of_whole_hours() -> None:
    """What is compared by hour cannot be cut finer."""
    assert MoneyScope().in_hours() == MoneyScope()
    assert MoneyScope(since=START + timedelta(minutes=1), until=START + HOUR).in_hours() == MoneyScope(
        since=START, until=START + HOUR
    )


def test_a_pipeline_that_did_its_work_closes(storage: Storage) -> None:
    """All sides agree; copies are told apart from what is stored; two audits have one digest."""
    report = audit(filled(storage))
    assert report.holds, (report.gaps, report.findings)
    assert (report.table.shown["rows"], report.table.shown["stored"], report.table.shown["duplicates"]) == (11, 8, 3)
    assert {pair.name: pair.open for pair in report.pairs.values()} == dict.fromkeys(
        (
            "rows = charged",
            "charged = usage_by_subject",
            "charged of models = model_costs",
            "charged = charges",
            "charged = node_costs",
            "node_costs = run_costs",
            "charged = quota usage",
            "charged of customers = quota_usage",
            "charged = transaction_usage",
            "charges = invoice lines",
        ),
        0,
    )
    assert audit(storage).table.digest == report.table.digest
    storage.clickhouse.execute("OPTIMIZE TABLE stored_events FINAL")
    merged = audit(storage)
    assert (merged.holds, merged.table.digest, merged.table.shown["duplicates"]) == (True, report.table.digest, 0)


def test_costs_are_exact(storage: Storage) -> None:
    """Half a million input tokens at 2.5 dollars a million and a thousand output tokens at ten are 1.26 dollars."""
    storage.store([storage.event(), storage.event(input_tokens=1, output_tokens=0, total_tokens=1)])
    storage.roll_up()
    report = audit(storage)
    assert amount("cost_usd", report.pairs["charged = charges"].right["cost_usd"]) == Decimal("1.2600025")


def test_an_event_deleted_by_hand_is_found(storage: Storage) -> None:
    """Its account, hour, run and minute are named, with both numbers of each measure."""
    filled(storage)
    storage.mutate("stored_events", "DELETE WHERE run_id = 'b1'")
    report = audit(storage)
    assert not report.holds
    found = {(gap.pair, gap.measure): gap for gap in report.gaps}
    gap = found["charged = usage_by_subject", "cost_usd"]
    assert (gap.place.account_id, gap.place.key) == ("beta", "2026-11-02T11:00:00+00:00")
    assert (amount("cost_usd", gap.left), amount("cost_usd", gap.right)) == (0, Decimal("1.26"))
    assert found["charged = node_costs", "events"].place.key == "b1"
    assert found["charged = quota usage", "events"].difference == 1
    assert {gap.place.account_id for gap in report.gaps} == {"beta"}


@pytest.mark.parametrize(
    ("table", "condition", "pairs"),
    [
        ("stored_usage_by_subject", "context = 'system'", {"charged = usage_by_subject"}),
        ("stored_quota_usage", "user_id = 'bob'", {"charged of customers = quota_usage", "charged = quota usage"}),
        ("stored_transaction_usage", "transaction_id = 't1'", {"charged = transaction_usage"}),
        ("stored_model_costs", "provider = 'house'", {"charged of models = model_costs"}),
        ("stored_charges", "source = 'reported'", {"charged = charges"}),
        ("stored_charges", "source = 'unpriced'", {"charged = charges"}),
        ("stored_run_costs", "run_id = 'r2'", {"node_costs = run_costs"}),
        ("stored_node_costs", "node_id = 'n2'", {"charged = node_costs", "node_costs = run_costs"}),
    ],
)
def test_a_rollup_row_deleted_by_hand_is_found(storage: Storage, table: str, condition: str, pairs: set[str]) -> None:
    """Whichever rollup it is missing from, that one is named."""
    filled(storage)
    storage.mutate(table, f"DELETE WHERE {condition}")
    report = audit(storage)
    assert not report.holds
    assert {gap.pair for gap in report.gaps} == pairs


def test_a_changed_cost_is_found_to_the_last_digit(storage: Storage) -> None:
    """A millionth of a millionth of a millionth of a dollar is a gap."""
    filled(storage)
    storage.mutate(
        "stored_run_costs", "UPDATE cost_usd = cost_usd + toDecimal128('0.000000000000000001', 18) WHERE run_id = 'r2'"
    )
    (gap,) = audit(storage).gaps
    assert (gap.pair, str(gap.place), gap.measure, gap.difference) == (
        "node_costs = run_costs",
        "run r2",
        "cost_usd",
        1,
    )


def test_a_changed_meter_of_a_limit_is_found_to_the_last_digit(storage: Storage) -> None:
    """Whatever a limit can count: half a unit of a plugin and a microsecond of code are gaps by account and hour."""
    storage.store([storage.event(node_type="code", duration_us=5, plugin_id="ocr", custom_units={"page": Decimal(2)})])
    storage.roll_up()
    assert audit(storage).holds
    storage.mutate(
        "stored_quota_usage",
        "UPDATE code_us = code_us + 1, custom_units = map('page', toDecimal128('1.500000000', 9)) WHERE true",
    )
    found = {gap.measure: amount(gap.measure, gap.difference) for gap in audit(storage).gaps}
    assert found == {"code_us": 1, "plugin_units": Decimal("-0.5")}


def test_a_transaction_in_flight_is_not_judged(storage: Storage) -> None:
    """An event of a transaction that no tick has worked in yet is no gap."""
    filled(storage)
    storage.store([storage.event(account_id="beta", run_id="b2", transaction_id="t9", occurred_at=START + HOUR)])
    report = audit(storage)
    assert (report.gaps, kinds(report)) == ([], {"not_rolled_up", "in_flight"})


def test_faults_that_offset_each_other_are_found(storage: Storage) -> None:
    """Sums of an account agree where one run has what another lacks; runs do not."""
    filled(storage)
    for run, sign in (("r1", "+"), ("r2", "-")):
        storage.mutate(
            "stored_node_costs", f"UPDATE events = events {sign} 1 WHERE run_id = '{run}' AND account_id = 'acme'"
        )
    report = audit(storage)
    assert {str(gap.place) for gap in report.gaps} == {"run r1 node n1", "run r2 node n2", "run r1", "run r2"}


def test_what_is_not_rolled_up_is_not_proved(storage: Storage) -> None:
    """A batch that waits for its tick is no gap, and no proof either; a tick later all closes."""
    filled(storage)
    storage.store([storage.event(account_id="beta", run_id="b2", occurred_at=START + HOUR)])
    report = audit(storage)
    assert (report.holds, report.gaps, kinds(report)) == (False, [], {"not_rolled_up", "in_flight"})
    storage.roll_up()
    assert audit(storage).holds


def test_a_gap_beside_what_is_in_flight_is_still_found(storage: Storage) -> None:
    """Only the hours and runs that new rows touch are left out."""
    filled(storage)
    storage.mutate("stored_run_costs", "DELETE WHERE run_id = 'r2'")
    storage.store([storage.event(account_id="beta", run_id="b2", occurred_at=START + HOUR)])
    assert {str(gap.place) for gap in audit(storage).gaps} == {"run r2"}


def test_rows_that_no_ledger_knows_are_told(storage: Storage) -> None:
    """A sink that died between its insert and its ledger left them; no tick takes them until it is started again."""
    filled(storage)
    storage.store([storage.event()], in_ledger=False)
    report = audit(storage)
    assert (report.holds, report.gaps_found, kinds(report)) == (False, 0, {"not_in_ledger", "in_flight"})


def test_prices_that_no_tick_has_worked_in_are_told(storage: Storage) -> None:
    """The book has moved on: that is no gap, but no proof of the newest prices either."""
    filled(storage)
    append_rates(storage.clickhouse, [Rate("openai", "gpt-4o", "output_tokens", Decimal(1), source="test")])
    report = audit(storage)
    assert (report.holds, report.gaps_found, kinds(report)) == (False, 0, {"new_prices"})
    storage.roll_up()
    assert audit(storage).holds


def test_account_and_hours_bound_what_is_judged(storage: Storage) -> None:
    """A fault elsewhere is not seen, one inside is; runs are judged as a whole."""
    filled(storage)
    storage.mutate("stored_usage_by_subject", "DELETE WHERE account_id = 'beta'")
    assert audit(storage, MoneyScope("acme")).holds
    assert not audit(storage, MoneyScope("beta")).holds
    assert audit(storage, MoneyScope(since=START + 2 * HOUR)).holds
    assert audit(storage, MoneyScope(until=START + HOUR)).holds
    assert not audit(storage, MoneyScope(since=START + HOUR, until=START + 2 * HOUR)).holds
    storage.mutate("stored_run_costs", "DELETE WHERE run_id = 'r2'")
    assert not audit(storage, MoneyScope("acme", START, START + HOUR)).holds
    assert audit(storage, MoneyScope("acme", START + HOUR, START + 2 * HOUR)).holds


def test_any_events_in_any_order_close(storage: Storage) -> None:
    """Random runs, times near and far from the ids', duplicates, several ticks: still every digit is in its place."""
    random = Random(5)
    pool = []
    for _ in range(120):
        event = storage.event(
            account_id=random.choice(["acme", "beta", ""]),
            run_id=random.choice(["r1", "r2", "r3"]),
            node_id=random.choice(["n1", "n2", ""]),
            context=random.choice(["customer", "system"]),
            quality=random.choice(["reported", "estimated", "missing"]),
            input_tokens=random.randint(-5, 10**6),
            cache_read_tokens=random.choice([0, 17]),
            reported_cost=random.choice([None, None, Decimal(random.randint(0, 10**9)).scaleb(-12)]),
            occurred_at=START + timedelta(seconds=random.choice([0, 59, 3599, 3600, 90_000, -86_400, 10**8])),
        )
        pool.append(event)
    cuts = [0, *sorted(random.sample(range(1, 120), 4)), 120]
    for begin, end in pairwise(cuts):
        storage.store([*pool[begin:end], *random.sample(pool[:end], 3)])
        if random.random() < 0.5:
            storage.roll_up()
    storage.roll_up()
    report = audit(storage)
    assert report.holds, (report.gaps[:5], report.findings)
    assert report.table.shown["stored"] == 120
    assert audit(storage, MoneyScope("acme", START, START + HOUR)).holds
