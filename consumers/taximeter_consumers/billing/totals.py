"""From what was used to what is due: fees, allowance, credits and the rounding to whole cents. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
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
class Included:
    """What the plan of an invoiced period includes, as it was when the period was invoiced."""

    plan_id: str
    name: str
    included_usd: Decimal


@dataclass(frozen=True)
class History:
    """What earlier invoices of the account leave to this one: used credits by id, and negative sums. By period: what
    the plans whose fee stands include, what was billed as used, and which allowance was given (positive)."""

    credits_used: Mapping[str, Decimal]
    carried: Sequence[Carried] = ()
    included: Mapping[str, Included] = field(default_factory=dict)
    billed_usd: Mapping[str, Decimal] = field(default_factory=dict)
    allowed_usd: Mapping[str, Decimal] = field(default_factory=dict)


def all_lines(period: Period, usage: Sequence[Line], settings: BillingSettings, history: History) -> list[Line]:
    """Every line of an invoice, given its usage and late lines. Their sum is what is due, in whole cents."""
    lines = [*usage, *fee_lines(period, usage, settings, history)]
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


def fee_lines(period: Period, usage: Sequence[Line], settings: BillingSettings, history: History) -> list[Line]:
    """Plan fee, allowances and add-ons, as of the period's start."""
    lines = []
    included = dict(history.included)
    plan = settings.plan_at(period.starts_at)
    if plan is not None:
        lines.append(Line(Kind.PLAN, period.label, plan.fee_usd, reference=plan.plan_id, text=plan.name))
        included[period.label] = Included(plan.plan_id, plan.name, plan.included_usd)
    lines += allowance_lines(period, usage, included, history)
    add_ons = settings.add_ons_at(period.starts_at)
    lines += [Line(Kind.ADD_ON, period.label, one.fee_usd, reference=one.name, text=one.name) for one in add_ons]
    return lines


def allowance_lines(
    period: Period, usage: Iterable[Line], included: Mapping[str, Included], history: History
) -> list[Line]:
    """What brings the allowance of this period and of every earlier one to what it is by now: as much as was used in
    it and billed, on whichever invoice, but not more than is `included`. Positive where less was used after all."""
    billed = dict(history.billed_usd)
    for line in usage:
        billed[line.period] = total((billed.get(line.period, ZERO), line.amount_usd))
    lines = []
    for label in sorted({*included, *history.allowed_usd}):
        plan = included.get(label)
        allowed = min(plan.included_usd, max(ZERO, billed.get(label, ZERO))) if plan is not None else ZERO
        amount = less(history.allowed_usd.get(label, ZERO), allowed)
        if amount and label <= period.label:
            text = f"Included in {plan.name if plan is not None else 'the plan'}"
            text = text if label == period.label else f"{text}, correction for {label}"
            reference = plan.plan_id if plan is not None else ""
            lines.append(Line(Kind.ALLOWANCE, label, amount, reference=reference, text=text))
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
