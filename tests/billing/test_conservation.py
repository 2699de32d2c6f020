"""What all invoices together have billed is what the charges are, whatever came when."""

from __future__ import annotations

import secrets
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.billing.charges import Used, put

from taximeter_consumers.billing import Change, Plan, Request, Status, Terms, append, change_status, close_periods
from taximeter_consumers.billing.amounts import ZERO
from taximeter_consumers.billing.charged import read_charges
from taximeter_consumers.billing.late import billed
from taximeter_consumers.billing.lines import Charge, Key, Kind, sum_of
from taximeter_consumers.billing.periods import Month, period_labelled
from taximeter_consumers.billing.stored import invoices_of
from taximeter_consumers.billing.terms import EPOCH
from taximeter_consumers.clickhouse import ClickHouse

MONTHS = ("2026-05", "2026-06", "2026-07")
FEE, INCLUDED = Decimal(30), Decimal(9)
NOW = datetime(2026, 11, 22, tzinfo=UTC)

uses = st.builds(
    Used,
    at=st.sampled_from([datetime(2026, month, day, tzinfo=UTC) for month in (5, 6, 7) for day in (1, 17)]),
    quantity=st.decimals(-(10**4), 10**7, places=9),
    usd_per_unit=st.sampled_from([Decimal("0.0000025"), Decimal("0.000000001")]),
    model=st.sampled_from(["x", "y"]),
    source=st.sampled_from(["priced", "adjusted"]),
    events=st.integers(0, 3),
)
steps = st.lists(
    st.one_of(st.lists(uses, min_size=1, max_size=4), st.sampled_from(MONTHS), st.just("void")), max_size=9
)


@pytest.mark.integration
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_invoices_bill_the_charges_of_their_periods_exactly(
    clickhouse: ClickHouse, happened: list[list[Used] | str]
) -> None:
    """Charges that come, change and vanish, runs in any order and void invoices: key by key, to the last digit. And
    the allowance of each period is its use, up to what the plan includes, where the plan's fee stands."""
    account = f"account-{secrets.token_hex(6)}"
    append(clickhouse, Plan("pro", EPOCH, "Pro", FEE, INCLUDED))
    append(clickhouse, Terms(account, EPOCH, plan_id="pro"))
    for step in [*happened, "2026-05", "2026-08"]:
        if isinstance(step, list):
            unique = {(one.at, one.model, one.source, one.usd_per_unit): one for one in step}
            put(clickhouse, [Used(**{**vars(one), "account_id": account}) for one in unique.values()])
        elif step == "void":
            void_last(clickhouse, account)
        else:
            put(
                clickhouse, [Used(account_id=account, at=datetime(2026, 8, 9, tzinfo=UTC))] if step == "2026-08" else []
            )
            assert close_periods(clickhouse, Request(step, account, reissue=step in MONTHS[1:]), NOW).refused == []
    invoices = invoices_of(clickhouse, account)
    standing = [invoice for invoice in invoices if invoice.status != "void"]
    first = min(invoice.draft.period.label for invoice in invoices)
    labels = [str(Month.of_label(first).plus(place)) for place in range(12)]
    covered = [period_labelled((), label) for label in labels if label <= "2026-08"]
    charged = read_charges(clickhouse, account, covered).billable
    assert _told(billed(line for one in standing for line in one.draft.lines)) == _told(charged)
    assert all(invoice.is_intact for invoice in invoices)
    lines = [line for one in standing for line in one.draft.lines]
    for label in labels:
        of_period = [line for line in lines if line.period == label]
        included = INCLUDED if any(line.kind is Kind.PLAN for line in of_period) else ZERO
        allowed = min(included, max(ZERO, sum_of(of_period, Kind.USAGE, Kind.LATE)))
        assert sum_of(of_period, Kind.ALLOWANCE) == -allowed


def void_last(clickhouse: ClickHouse, account: str) -> None:
    """The account's last invoice counts no more, if it has one that does."""
    standing = [invoice for invoice in invoices_of(clickhouse, account) if invoice.status == "pending"]
    if standing and standing[-1].due_usd >= 0:
        change_status(clickhouse, standing[-1], Change(Status.VOID, NOW, "ada"))


def _told(charges: dict[str, dict[Key, Charge]] | object) -> dict[tuple[str, Key], Charge]:
    assert isinstance(charges, dict)
    told: defaultdict[tuple[str, Key], Charge] = defaultdict()
    for label, of_period in charges.items():
        told.update({(label, key): charge for key, charge in of_period.items() if not charge.is_nothing})
    return dict(told)
