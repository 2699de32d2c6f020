"""A lease: amounts that this process may give out by itself until the lease ends. Pure arithmetic on grains.

What holds at every moment, for every meter: left + given out to open tickets + used = amounts. More than was estimated
may be used, so `left` can fall below zero; nothing more is given out then.
"""

from __future__ import annotations

from collections.abc import Mapping

from taximeter.quota.grains import Grains, scale_of

_LARGEST = 18  # a command carries no amount above 10^18


class Lease:
    """One hold of the quota service, drawn from in-process. For whoever holds the lock of its purse."""

    __slots__ = (
        "amounts", "asked", "began_at", "degrade_to", "drawn_at", "ends_at", "hold_id", "largest", "left",
        "low", "opened", "reason", "renew_at", "retired", "root", "settled",
    )  # fmt: skip

    def __init__(self, hold_id: str, root: str, amounts: Grains, began_at: float, life: float) -> None:
        """`began_at` is when it was asked for, by the clock of the gate: it ends here before it ends there."""
        self.hold_id = hold_id
        self.root = root
        self.amounts = amounts
        self.left = dict(amounts)
        self.low = {meter: amount // 2 for meter, amount in amounts.items()}
        self.largest: Grains = {}  # what one check took at most, by meter
        self.began_at = began_at
        self.ends_at = began_at + life
        self.renew_at = began_at + life / 2
        self.drawn_at = began_at
        self.opened = 0  # tickets that are not settled
        self.asked = False  # whether the next lease was asked for
        self.retired = False
        self.settled = False
        self.degrade_to = ""
        self.reason = ""

    def has(self, need: Mapping[str, int]) -> bool:
        """Whether there is room."""
        left = self.left
        return all(left.get(meter, 0) >= amount for meter, amount in need.items())

    def draw(self, need: Mapping[str, int], now: float) -> bool:
        """Give out what a ticket needs, room or not: whether less than half is left of something then."""
        left, low, largest = self.left, self.low, self.largest
        runs_low = False
        for meter, amount in need.items():
            rest = left.get(meter, 0) - amount
            left[meter] = rest
            if rest < low.get(meter, 0):
                runs_low = True
            if amount > largest.get(meter, 0):
                largest[meter] = amount
        self.opened += 1
        self.drawn_at = now
        return runs_low

    def settle(self, need: Mapping[str, int], actual: Mapping[str, int]) -> None:
        """A ticket for `need` used `actual`; a meter that is not in it: what was given out."""
        left = self.left
        for meter, amount in need.items():
            if meter in actual:
                left[meter] += amount - actual[meter]
        for meter, used in actual.items():
            if meter not in need and meter in self.amounts:
                left[meter] -= used
        self.opened -= 1

    def give_back(self, need: Mapping[str, int]) -> None:
        """A ticket for `need` used nothing."""
        for meter, amount in need.items():
            self.left[meter] += amount
        self.opened -= 1

    @property
    def used(self) -> Grains:
        """By settled tickets, and by open ones as they were estimated."""
        amounts = self.amounts
        return {meter: max(0, amounts.get(meter, 0) - left) for meter, left in self.left.items()}

    def extended(self, asked_at: float, life: float) -> None:
        """It lives on, from when that was asked for."""
        self.ends_at = max(self.ends_at, asked_at + life)
        self.renew_at = max(self.renew_at, asked_at + life / 2)


class Sizing:
    """How much to ask for: what was used lately in the life of a lease, and a quarter more. Pure.

    At least for `checks` checks like the largest, at most `most`; it grows at most eightfold at a time, so that one
    burst does not reserve what others need.
    """

    __slots__ = ("_checks", "_life", "_most")

    GROWTH = 8

    def __init__(self, life: float, checks: int, most: Mapping[str, int]) -> None:
        self._life, self._checks, self._most = life, checks, most

    def wanted(self, need: Mapping[str, int], last: Lease | None, now: float) -> Grains:
        """Of each meter of `need` and of the last lease."""
        wanted = {meter: amount * self._checks for meter, amount in need.items()}
        if last is not None:
            elapsed = max(now - last.began_at, self._life / 1_000)
            used = last.used
            for meter, largest in last.largest.items():
                before = max(last.amounts.get(meter, 0), 1)
                pace = int(used.get(meter, 0) * self._life / elapsed * 1.25)
                wanted[meter] = max(wanted.get(meter, 0), largest * self._checks, min(pace, before * self.GROWTH))
        return {meter: max(need.get(meter, 0), self._bounded(meter, amount)) for meter, amount in wanted.items()}

    def _bounded(self, meter: str, amount: int) -> int:
        largest: int = 10 ** (_LARGEST + scale_of(meter))
        return min(amount, self._most.get(meter, amount), largest)
