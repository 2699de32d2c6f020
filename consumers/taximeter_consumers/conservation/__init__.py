"""The audit of the money: do rollups, quota usage and invoices say what the stored events say, to the last digit?

Where to look: `measures` is what is held equal (pure), `hours` the sides by account and hour, `keyed` those by run,
node and minute, `invoiced`, `due`, `not_billed` and `invoice_rows` the invoices, `flight` what changes meanwhile,
`table` what is shown and the digest (pure), `findings` the words (pure); `conservation` does all of it. It writes
nothing that counts.
"""

from taximeter_consumers.conservation.conservation import MoneyAudit, MoneyReport, PairReport
from taximeter_consumers.conservation.due import Due
from taximeter_consumers.conservation.measures import Gap, Place, amount
from taximeter_consumers.conservation.scope import MoneyScope

__all__ = ["Due", "Gap", "MoneyAudit", "MoneyReport", "MoneyScope", "PairReport", "Place", "amount"]
