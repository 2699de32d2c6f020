"""Re-rating: what past uses cost by the book of now, shown first, then written as adjustments. Nothing is edited.

Where to look: `order` what is asked for, and the slices in which it is worked off; `differences` the SQL that compares
two books; `summary` the sums that are shown (pure); `rerate` the order of the steps and what a crash leaves behind.
"""

from taximeter_consumers.reprice.order import Order
from taximeter_consumers.reprice.rerate import Outcome, preview, rerate
from taximeter_consumers.reprice.summary import Summary

__all__ = ["Order", "Outcome", "Summary", "preview", "rerate"]
