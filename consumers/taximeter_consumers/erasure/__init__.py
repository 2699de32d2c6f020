"""Erasing a user from everything that is stored, while every sum stays.

Where to look: `places` every column that can name a user (values), `record` what is remembered of it, `recount` the
rollups whose key is the user, `money` the comparison of the sums, `erase` the order of the steps, and what a crash
leaves.
"""

from taximeter_consumers.erasure.erase import Erased, again, erase, found, returned
from taximeter_consumers.erasure.record import Erasure, erasures, new_erasure

__all__ = ["Erased", "Erasure", "again", "erase", "erasures", "found", "new_erasure", "returned"]
