"""From what was used to what is due: fees, allowance, credits and the rounding to whole cents. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from taximeter_consumers.billing.amounts import ZERO, less, negated, total, whole_cents
from taximeter_consumers.billing.lines import Kind, Line, sum_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from decimal import Decimal

    from taximeter_consumers.billing.periods import Period
    from taximeter_consumers.billing.terms import BillingSettings, Credit


@dataclass(frozen=True)
class Carried:
    """An earlier invoice whose sum is negative and was neither paid out nor carried on yet."""

    invoice_id: str
    due_usd: Decimal


@dataclass(frozen=True)
class History:
    """What earlier invoices of the account leave to this one: used credits by id, and negative sums."""

    credits_used: Mapping[str, Decimal]
    carried: Sequence[Carried] = ()


def all_lines(period: Period, usage: Sequence[Line], settings: BillingSettings, history: History) -> list[Line]:
    """Every line of an invoice, given its usage and late lines. Their sum is what is due, in whole cents."""
    lines = [*usage, *fee_lines(period, usage, settings)]
    lines += [
        Line(Kind.CARRIED, period.label, carried.due_usd, reference=carried.invoice_id, text="Carried forward")
        for carried in history.carried
    ]
    lines += credit_lines(period, settings.credits, history.credits_used, sum_of(lines))
    exact = sum_of(lines)
    rounding = less(whole_cents(exact), exact)
    if rounding:
        lines.append(Line(Kind.ROUNDING, period.label, rounding, text="Rounding to whole cents"))
    return lines


def fee_lines(period: Period, usage: Sequence[Line], settings: BillingSettings) -> list[Line]:
    """Plan fee, allowance (never more than the usage of this very period) and add-ons, as of the period's start."""
    lines = []
    plan = settings.plan_at(period.starts_at)
    if plan is not None:
        lines.append(Line(Kind.PLAN, period.label, plan.fee_usd, reference=plan.plan_id, text=plan.name))
        allowance = min(plan.included_usd, sum_of([line for line in usage if line.kind is Kind.USAGE]))
        if allowance > ZERO:
            text = f"Included in {plan.name}"
            amount = negated(allowance)
            lines.append(Line(Kind.ALLOWANCE, period.label, amount, reference=plan.plan_id, text=text))
    add_ons = settings.add_ons_at(period.starts_at)
    lines += [Line(Kind.ADD_ON, period.label, one.fee_usd, reference=one.name, text=one.name) for one in add_ons]
    return lines


def credit_lines(period: Period, granted: Iterable[Credit], used: Mapping[str, Decimal], due: Decimal) -> list[Line]:
    """Credits that lower what is due, to nothing at most: those that expire first before the others."""
    lines: list[Line] = []
    usable = [credit for credit in granted if _is_alive(credit, period)]
    for credit in sorted(usable, key=_first_to_expire):
        left = less(credit.amount_usd, used.get(credit.credit_id, ZERO))
        amount = min(left, less(due, total(negated(line.amount_usd) for line in lines)))
        if amount > ZERO:
            text = credit.reason or "Credit"
            lines.append(Line(Kind.CREDIT, period.label, negated(amount), reference=credit.credit_id, text=text))
    return lines


def _is_alive(credit: Credit, period: Period) -> bool:
    return credit.granted_at < period.ends_at and (credit.expires_at is None or credit.expires_at > period.starts_at)


def _first_to_expire(credit: Credit) -> tuple[bool, float, str]:
    return credit.expires_at is None, credit.expires_at.timestamp() if credit.expires_at else 0.0, credit.credit_id
