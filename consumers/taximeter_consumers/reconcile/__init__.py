"""What a provider billed against what was metered, by day and model, with candidates for what is between them.

Where to look: `bill` and `columns` read the provider's file (pure), `names` lets its models meet ours (pure),
`attribution` says what a residual may come from (pure); `metered` asks ClickHouse, `reconciliation` does all of it.
"""

from taximeter_consumers.reconcile.attribution import Candidate, Difference, Measure, Reason
from taximeter_consumers.reconcile.bill import Bill, read_bill
from taximeter_consumers.reconcile.reconciliation import Agreement, Reconciliation, reconcile

__all__ = [
    "Agreement",
    "Bill",
    "Candidate",
    "Difference",
    "Measure",
    "Reason",
    "Reconciliation",
    "read_bill",
    "reconcile",
]
