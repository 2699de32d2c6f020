"""The verdict turns red for every fault that is planted into sound evidence, and by the right check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from tests.chaos.sound import sound, with_range, with_row

from chaos.checks import CHECKS, judge, quotas
from chaos.evidence import Copies, Evidence
from chaos.journal import Written
from chaos.topic_log import Record
from chaos.truth import micros

SOUND = sound()
_JULY, _AUGUST = (micros(datetime(2026, month, 1, tzinfo=UTC)) for month in (7, 8))
_LINE = ("workflow_id", "provider", "model", "unit", "service_tier", "source", "usd_per_unit")
ALONE = Copies(SOUND.copies.rows + 1, SOUND.copies.places, SOUND.copies.by_batch)


def _without_row(evidence: Evidence) -> Evidence:
    return replace(evidence, rows=evidence.rows[1:])


def _with_letter(evidence: Evidence, **changed: object) -> Evidence:
    return replace(evidence, letters=[replace(evidence.letters[0], **changed), *evidence.letters[1:]])


def _with_rollup(evidence: Evidence, name: str, **changed: object) -> Evidence:
    rows = [{**evidence.rollups[name][0], **changed}, *evidence.rollups[name][1:]]
    return replace(evidence, rollups={**evidence.rollups, name: rows})


def _invoiced(evidence: Evidence, *, period: str = "2026-07") -> Evidence:
    """All charges of a period billed, as sound invoices would: one for each account that has any."""
    lines: list[dict[str, object]] = []
    invoices: list[dict[str, object]] = []
    for charge in sorted(evidence.rollups["charges"], key=lambda row: str(row["account_id"])):
        if charge["context"] == "system" or not _JULY <= charge["quarter"] < _AUGUST:
            continue
        if not invoices or invoices[-1]["account_id"] != charge["account_id"]:
            number = len(invoices) + 1
            invoices.append({"number": number, "invoice_id": f"INV-{number}", "account_id": charge["account_id"]})
        kept = {name: charge[name] for name in (*_LINE, "account_id", "events", "quantity")}
        line = {"number": len(invoices), "kind": "usage", "period": period, "amount_usd": charge["cost_usd"]}
        lines.append({**kept, **line})
    for invoice in invoices:
        exact = sum((line["amount_usd"] for line in lines if line["number"] == invoice["number"]), Decimal(0))
        rounding = round(exact, 2) - exact
        lines.append({"number": invoice["number"], "kind": "rounding", "period": period, "amount_usd": rounding})
        invoice |= {"period": period, "due_usd": round(exact, 2)}
    return replace(evidence, invoices=invoices, invoice_lines=lines, billed=[period])


def _twice(evidence: Evidence) -> Evidence:
    again = {**evidence.invoices[0], "number": len(evidence.invoices) + 1}
    return replace(evidence, invoices=[*evidence.invoices, again])


def _with_line(evidence: Evidence, **changed: object) -> Evidence:
    lines = [{**evidence.invoice_lines[0], **changed}, *evidence.invoice_lines[1:]]
    return replace(evidence, invoice_lines=lines)


def _unacknowledged(evidence: Evidence) -> Evidence:
    acks = dict(list(evidence.written.acks.items())[1:])
    return replace(evidence, written=Written(evidence.written.entries, acks))


# What is planted, and the check that must see it.
PLANTED: dict[str, tuple[str, Callable[[Evidence], Evidence]]] = {
    "a lost row": ("rows", _without_row),
    "a doubled row": ("rows", lambda sound: replace(sound, rows=[sound.rows[0], *sound.rows])),
    "a row that nobody sent": ("rows", lambda sound: with_row(sound, event_id="another")),
    "a row of another account": ("rows", lambda sound: with_row(sound, account_id="another")),
    "an amount": ("rows", lambda sound: with_row(sound, reported_cost=Decimal("0.000000000001"))),
    "a counter off by one": ("rows", lambda sound: with_row(sound, duration_us=sound.rows[0]["duration_us"] + 1)),
    "a time off by a microsecond": (
        "rows",
        lambda sound: with_row(sound, occurred_at=sound.rows[0]["occurred_at"] + 1),
    ),
    "a lost tag": ("rows", lambda sound: with_row(sound, tags={"other": "tag"})),
    "a sum": (
        "sums",
        lambda sound: replace(
            sound, sums={name: {**row, "executions": row["executions"] + 1} for name, row in sound.sums.items()}
        ),
    ),
    "an account without a sum": ("sums", lambda sound: replace(sound, sums=dict(list(sound.sums.items())[1:]))),
    "a lost range": ("tiles", lambda sound: replace(sound, ranges=sound.ranges[1:])),
    "a gap": ("tiles", lambda sound: with_range(sound, 1, lambda one: replace(one, first=one.first + 1))),
    "an overlap": ("tiles", lambda sound: with_range(sound, 1, lambda one: replace(one, first=one.first - 1))),
    "a range twice": ("tiles", lambda sound: replace(sound, ranges=[sound.ranges[0], *sound.ranges])),
    "a range beyond the log": ("tiles", lambda sound: with_range(sound, -1, lambda one: replace(one, records=99))),
    "a wrong account of a range": (
        "tiles",
        lambda sound: with_range(sound, 0, lambda one: replace(one, stored=one.stored - 1)),
    ),
    "a batch with too few rows": (
        "batches",
        lambda sound: replace(sound, copies=replace(sound.copies, by_batch={**sound.copies.by_batch, 1: 1})),
    ),
    "rows without a ledger": (
        "batches",
        lambda sound: replace(sound, copies=replace(sound.copies, by_batch={**sound.copies.by_batch, 999: 1})),
    ),
    "a copy by the sink": ("copies", lambda sound: replace(sound, copies=ALONE)),
    "a lost dead letter": ("dead_letters", lambda sound: replace(sound, letters=sound.letters[1:])),
    "a dead letter of other bytes": ("dead_letters", lambda sound: _with_letter(sound, value=b"other")),
    "a dead letter of another place": (
        "dead_letters",
        lambda sound: _with_letter(
            sound,
            headers={**sound.letters[0].headers, "taximeter-source-offset": "0"},
        ),
    ),
    "a dead letter without a reason": (
        "dead_letters",
        lambda sound: _with_letter(sound, headers={**sound.letters[0].headers, "taximeter-reason": ""}),
    ),
    "a dead letter of another topic": (
        "dead_letters",
        lambda sound: _with_letter(sound, headers={**sound.letters[0].headers, "taximeter-source-topic": "u"}),
    ),
    "an entry without an acknowledgement": ("journal", _unacknowledged),
    "a record that the broker lost": ("journal", lambda sound: replace(sound, log=sound.log[1:])),
    "a record that nobody sent": (
        "journal",
        lambda sound: replace(sound, log=[*sound.log, Record(0, 10_000, b"\x00foreign", {})]),
    ),
    "a batch that no tick recorded": ("rolled_up", lambda sound: replace(sound, unrecorded_batches=1)),
    "a process that failed": ("processes", lambda sound: replace(sound, ends={"1 sink": 1})),
    "a fault that did not happen": ("fault", lambda sound: replace(sound, injected=())),
    **{
        f"a cost in {name}": (
            name,
            lambda sound, name=name: _with_rollup(
                sound, name, cost_usd=sound.rollups[name][0]["cost_usd"] + Decimal("1e-18")
            ),
        )
        for name in SOUND.rollups
    },
    **{
        f"a row lost from {name}": (
            name,
            lambda sound, name=name: replace(sound, rollups={**sound.rollups, name: sound.rollups[name][1:]}),
        )
        for name in SOUND.rollups
    },
    "a call counted as free": (
        "model_costs",
        lambda sound: _with_rollup(sound, "model_costs", unpriced_calls=99, priced_calls=0),
    ),
    "re-rating counted twice": (
        "usage_by_subject",
        lambda sound: _with_rollup(sound, "usage_by_subject", adjusted_cost_usd=Decimal("1e-18")),
    ),
    "a price of another unit": ("charges", lambda sound: _with_rollup(sound, "charges", unit="images")),
    "nothing invoiced": ("invoices", lambda sound: replace(sound, billed=["2026-07"])),
    "an invoice twice": ("invoices", lambda sound: _twice(_invoiced(sound))),
    "a gap in the numbers": (
        "invoices",
        lambda sound: replace(_invoiced(sound), invoices=_invoiced(sound).invoices[1:]),
    ),
    "a line lost": (
        "invoices",
        lambda sound: replace(_invoiced(sound), invoice_lines=_invoiced(sound).invoice_lines[1:]),
    ),
    "a line billed twice": ("invoices", lambda sound: _with_line(_invoiced(sound), events=99)),
    "an amount that is not due": (
        "invoices",
        lambda sound: _with_line(_invoiced(sound), amount_usd=Decimal("0.01")),
    ),
    "use of another period": ("invoices", lambda sound: _with_line(_invoiced(sound), period="2026-06")),
    "an event left in a spool": ("metered", lambda sound: replace(sound, left_in_spool=["a.spool"])),
    "a run that began at another time": ("run_costs", lambda sound: _with_rollup(sound, "run_costs", started_at=1)),
    "a run of another user": ("run_costs", lambda sound: _with_rollup(sound, "run_costs", user_id="somebody")),
}


def test_sound_evidence_is_green() -> None:
    """Nothing planted, nothing found."""
    assert judge(SOUND) == {}
    assert SOUND.letters
    assert judge(_invoiced(SOUND)) == {}
    assert _invoiced(SOUND).invoices


@pytest.mark.parametrize("planted", PLANTED)
def test_every_planted_fault_is_seen(planted: str) -> None:
    """The check that stands for it turns red, and says something."""
    check, plant = PLANTED[planted]
    found = judge(plant(SOUND))
    assert found.get(check)


def test_every_check_has_been_seen_red() -> None:
    """No check is left that no planted fault has ever turned red; those of quotas have tests of their own."""
    assert set(CHECKS) - set(quotas.CHECKS) == {check for check, _ in PLANTED.values()}


def test_a_waived_check_is_left_out_and_no_other() -> None:
    """A fault may say that a check cannot hold; the rest is still judged."""
    spoiled = replace(_without_row(SOUND), unrecorded_batches=1)
    assert set(judge(spoiled, {"rolled_up": "for a test"})) == {"rows"}


def test_a_dead_letter_twice_under_its_coordinates_is_no_fault() -> None:
    """A crash between the letter and the commit writes it again."""
    assert judge(replace(SOUND, letters=[*SOUND.letters, SOUND.letters[0]])) == {}


def test_copies_by_producers_are_no_fault() -> None:
    """An event that was sent twice lies at two places of the log; both may be stored, one is shown."""
    assert judge(replace(SOUND, copies=Copies(130, 130, SOUND.copies.by_batch))) == {}
