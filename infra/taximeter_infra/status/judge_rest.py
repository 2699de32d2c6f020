"""Verdicts on what is around the flow: costs, rebuilding, the spool, rates, and what services say themselves. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from taximeter_infra.served import PATIENCE
from taximeter_infra.status.facts import Trouble, seen
from taximeter_infra.status.verdicts import Level, Line, long, many

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taximeter_infra.status.facts import Facts, Service, Spool

WITHOUT_COST: Final = 0.02
"""As in the alert: of fewer than `FEW_CALLS` it is no news."""
FEW_CALLS: Final = 100
_PATIENCE_SECONDS: Final = 120.0
RECENT_SECONDS: Final = 60.0
RERATING_SECONDS: Final = 300.0


def costs(facts: Facts) -> Line:
    """How much of the last day has no known cost, and how much is estimated."""
    found = facts.costs
    if isinstance(found, Trouble):
        return Line("costs", Level.YELLOW, "cannot be seen")
    if not found.calls:
        return Line("costs", Level.GREEN, "no call in the last day")
    share, guessed = found.without_cost / found.calls, found.estimated / found.calls
    said = f"last day: {many(found.calls, 'call')}, {share:.1%} without a cost, {guessed:.1%} estimated"
    if found.calls > FEW_CALLS and share > WITHOUT_COST:
        return Line("costs", Level.YELLOW, said, "taximeter prices unmatched")
    return Line("costs", Level.GREEN, said)


def rebuilding(facts: Facts) -> Line | None:
    """Swaps and re-ratings that are under way; None where there is nothing to say."""
    found = facts.rebuilding
    if isinstance(found, Trouble):
        if isinstance(facts.server, Trouble):
            return Line("rebuilding", Level.YELLOW, "cannot be seen")
        return Line("rebuilding", Level.YELLOW, f"cannot be seen: {found.problem}", found.mend)
    said = [f"shadow {name} is in the middle of a swap" for name in found.swapping]
    mends = [f"if nobody is at it: taximeter replay --shadow {name} --swap" for name in found.swapping[:1]]
    if found.paused and not found.swapping:
        said.append("inserts of events are refused by a swap that left them so")
        mends.append("taximeter replay --shadow NAME --swap, or --undo, ends it")
    if found.reratings:
        said.append(f"{many(found.reratings, 're-rating')} waiting for a tick since {long(found.rerating_seconds)}")
    late = found.reratings and found.rerating_seconds > RERATING_SECONDS
    if late:
        mends.append("start `taximeter aggregate --follow`")
    if said:
        level = Level.YELLOW if found.swapping or found.paused or late else Level.GREEN
        return Line("rebuilding", level, "; ".join(said), "; ".join(mends))
    if found.shadows:
        return Line("rebuilding", Level.GREEN, f"shadows: {', '.join(found.shadows)}")
    return None


def spool(found: Spool | Trouble | None) -> Line | None:
    """What executors left on this machine's disk; None where no directory is named."""
    if found is None:
        return None
    if isinstance(found, Trouble):
        return Line("spool", Level.YELLOW, found.problem, found.mend)
    left = found.records - found.living
    since = "" if found.oldest_seconds is None else f", the oldest {long(found.oldest_seconds)} old"
    said = f"{many(found.records, 'event')}{since}, {found.living:,} of them of living executors"
    if found.damaged:
        return Line("spool", Level.YELLOW, f"{said}; something is damaged", "taximeter spool status")
    if left:
        return Line("spool", Level.YELLOW, said, "taximeter spool drain")
    return Line("spool", Level.GREEN, said if found.records else "empty")


def rates(facts: Facts, before: Facts | None) -> Line | None:
    """Events a second that come and that are stored; None where one look is all there is."""
    now, then = seen(facts.sink), None if before is None else seen(before.sink)
    if now is None or then is None or before is None or facts.at <= before.at:
        return None
    coming = max(now.ends - then.ends, 0) / (facts.at - before.at)
    stored = seen(facts.stored)
    rate = "" if stored is None else f", {stored.rate:,.0f} a second were stored in the last 10 s"
    return Line("rates", Level.GREEN, f"{coming:,.0f} events a second come{rate}")


def services(facts: Facts) -> Iterator[Line]:
    """What each service says that was asked at its metrics endpoint."""
    for one in facts.services:
        if isinstance(one, Trouble):
            yield Line("service", Level.YELLOW, one.problem, one.mend)
        else:
            yield _service(one)


def _service(one: Service) -> Line:
    beat = "" if one.beat_seconds is None else f"turned {long(one.beat_seconds)} ago"
    recent = sorted((seconds, kind) for kind, seconds in one.errors.items())
    last = f"; last error: {recent[0][1]}, {long(recent[0][0])} ago" if recent else "; no error yet"
    said = f"{one.name} at {one.place}: {beat}{last}"
    if one.beat_seconds is not None and one.beat_seconds > PATIENCE.get(one.name, _PATIENCE_SECONDS):
        return Line("service", Level.RED, said, "its loop hangs: look at its log, start it again")
    if recent and recent[0][0] < RECENT_SECONDS:
        return Line("service", Level.YELLOW, said, "look at its log")
    return Line("service", Level.GREEN, said)
