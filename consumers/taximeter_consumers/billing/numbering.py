"""Numbers of invoices: 1, 2, 3, ..., each claimed by one invoice, none left out.

Whoever claims a number has read all lower ones and found them to be other invoices. So an invoice never gets two
numbers, and none is skipped, with any number of runs at once and whenever they die. A number that is claimed and has no
invoice yet, since its run died, is issued by the next run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from taximeter_consumers import failpoints
from taximeter_consumers.clickhouse.claims import first_row
from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

_READ: Final = """
SELECT number, account_id, period, revision FROM stored_invoice_numbers FINAL
WHERE number > {known:UInt64} ORDER BY number
"""


@dataclass(frozen=True)
class InvoiceKey:
    """Which invoice: of which account, for which period; `revision` counts how often a void one was issued anew."""

    account_id: str
    period: str
    revision: int = 0


class Numbers:
    """The numbers that are claimed, as far as they were read."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse
        self._keys: list[InvoiceKey] = []
        self._numbers: dict[InvoiceKey, int] = {}

    def read(self) -> None:
        """Reads what was claimed meanwhile. Raises Retryable where a number cannot be seen yet."""
        for number, *key in self._clickhouse.rows(_READ, {"known": len(self._keys)}):
            if number != len(self._keys) + 1:
                raise Retryable(f"invoice number {len(self._keys) + 1} cannot be read yet")
            self._keys.append(InvoiceKey(*key))
            self._numbers.setdefault(self._keys[-1], number)

    def number_of(self, key: InvoiceKey) -> int | None:
        """The number of an invoice, None where it has none yet, as far as was read."""
        return self._numbers.get(key)

    def key_of(self, number: int) -> InvoiceKey:
        """The invoice that a claimed number stands for."""
        return self._keys[number - 1]

    def claimed_by(self, account_id: str) -> list[int]:
        """The numbers of an account, ascending."""
        return [number for number, key in enumerate(self._keys, 1) if key.account_id == account_id]

    def claim(self, key: InvoiceKey) -> int:
        """The number of this invoice, claimed now if it has none. Raises Retryable; to call it again is safe."""
        self.read()
        while (number := self._numbers.get(key)) is None:
            self._claim_next(key)
        return number

    def _claim_next(self, key: InvoiceKey) -> None:
        number = len(self._keys) + 1
        failpoints.reached("invoice.before_claim")
        row = {"number": number, "account_id": key.account_id, "period": key.period, "revision": key.revision}
        first_row(
            self._clickhouse, "stored_invoice_numbers", f"invoice-number-{number}", row, lambda: self._now(number)
        )
        failpoints.reached("invoice.after_claim")

    def _now(self, number: int) -> int | None:
        self.read()
        return number if len(self._keys) >= number else None
