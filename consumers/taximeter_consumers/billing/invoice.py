"""The invoice as a value, its canonical JSON, and the digest that shows that nobody changed it. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.billing.amounts import less
from taximeter_consumers.billing.lines import Kind, Line, sum_of
from taximeter_consumers.billing.periods import Period
from taximeter_schemas.money import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taximeter_consumers.billing.terms import BillingSettings

PENDING: Final = "pending"
VOID: Final = "void"


@dataclass(frozen=True)
class Draft:
    """What an invoice will say, without a number. The sum of `lines` is what is due."""

    account_id: str
    period: Period
    lines: Sequence[Line]
    system_usd: Decimal
    settings: str
    revision: int = 0


@dataclass(frozen=True)
class Invoice:
    """An issued invoice with its latest status. Amounts are US dollars, exact; `settings` is JSON."""

    number: int
    draft: Draft
    issued_at: datetime
    digest: str = ""
    status: str = PENDING
    status_at: datetime | None = None

    @property
    def invoice_id(self) -> str:
        """As people name it."""
        return f"INV-{self.number:06}"

    @property
    def due_usd(self) -> Decimal:
        """What is to be paid."""
        return sum_of(self.draft.lines)

    @property
    def is_intact(self) -> bool:
        """Whether it still says what it said when it was issued."""
        return self.digest == digest_of(self.number, self.draft, self.issued_at)


def is_empty(draft: Draft) -> bool:
    """Whether there is nothing to bill: no use, no fee, nothing late. Credits and carried sums alone are no reason."""
    return not has_own_lines(draft) and not any(line.kind in (Kind.LATE, Kind.ALLOWANCE) for line in draft.lines)


def has_own_lines(draft: Draft) -> bool:
    """Whether the period itself has something to bill: use, even without a price, a fee, or an allowance for what other
    invoices had as late."""
    return any(
        line.kind is Kind.USAGE
        or (line.kind in (Kind.PLAN, Kind.ADD_ON) and line.amount_usd != 0)
        or (line.kind is Kind.ALLOWANCE and line.period == draft.period.label)
        for line in draft.lines
    )


def totals_of(lines: Sequence[Line]) -> dict[str, Decimal]:
    """The sums that stand at the head of an invoice, exact."""
    kinds = {
        "usage_usd": Kind.USAGE,
        "late_usd": Kind.LATE,
        "plan_usd": Kind.PLAN,
        "allowance_usd": Kind.ALLOWANCE,
        "add_ons_usd": Kind.ADD_ON,
        "carried_usd": Kind.CARRIED,
        "credits_usd": Kind.CREDIT,
        "rounding_usd": Kind.ROUNDING,
    }
    sums = {name: sum_of([line for line in lines if line.kind is kind]) for name, kind in kinds.items()}
    return {**sums, "due_usd": sum_of(lines)}


def sum_before_rounding(lines: Sequence[Line]) -> Decimal:
    """The exact sum that was rounded to what is due."""
    return less(sum_of(lines), sum_of([line for line in lines if line.kind is Kind.ROUNDING]))


def settings_json(settings: BillingSettings, period: Period) -> str:
    """How the account is billed in a period, for the record."""
    plan = settings.plan_at(period.starts_at)
    snapshot = {"terms": asdict(settings.terms_at(period.starts_at)), "plan": asdict(plan) if plan else None}
    return json.dumps(snapshot, sort_keys=True, default=plainly, ensure_ascii=False)


def as_object(draft: Draft) -> dict[str, Any]:
    """A draft as JSON has it: amounts as decimal strings, exact."""
    return {
        "account_id": draft.account_id,
        "period": draft.period.label,
        "revision": draft.revision,
        "starts_at": plainly(draft.period.starts_at),
        "ends_at": plainly(draft.period.ends_at),
        "totals": {name: plain(amount) for name, amount in totals_of(draft.lines).items()},
        "system_usd": plain(draft.system_usd),
        "settings": json.loads(draft.settings),
        "lines": [line_object(line) for line in draft.lines],
    }


def invoice_object(invoice: Invoice) -> dict[str, Any]:
    """An invoice as JSON has it, with digest and status."""
    return {
        **_signed(invoice.number, invoice.draft, invoice.issued_at),
        "digest": invoice.digest,
        "status": invoice.status,
        "status_at": plainly(invoice.status_at or invoice.issued_at),
    }


def digest_of(number: int, draft: Draft, issued_at: datetime) -> str:
    """SHA-256 over the canonical JSON of what was issued, hexadecimal. The status is no part of it."""
    text = json.dumps(_signed(number, draft, issued_at), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def line_object(line: Line) -> dict[str, Any]:
    """A line as JSON and CSV have it."""
    key = line.key
    return {
        "kind": line.kind.value,
        "period": line.period,
        "workflow_id": key.workflow_id if key else "",
        "provider": key.provider if key else "",
        "model": key.model if key else "",
        "unit": key.unit if key else "",
        "service_tier": key.service_tier if key else "",
        "source": key.source if key else "",
        "usd_per_unit": plain(key.usd_per_unit) if key else "0",
        "events": line.events,
        "quantity": plain(line.quantity),
        "amount_usd": plain(line.amount_usd),
        "reference": line.reference,
        "text": line.text,
    }


def plainly(value: Any) -> str:
    """The JSON form of an amount or an instant."""
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    raise TypeError(f"no JSON form for {type(value).__name__}")


def _signed(number: int, draft: Draft, issued_at: datetime) -> dict[str, Any]:
    return {
        "number": number,
        "invoice_id": f"INV-{number:06}",
        "issued_at": plainly(issued_at),
        **as_object(draft),
    }
