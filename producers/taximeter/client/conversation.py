"""How a call is made: attempts and waits, as steps that a transport takes. Pure; sync and async take the same ones.

A call is sent again only where that does no harm: questions, and changes that the API counts once. Waits grow, differ
by chance so that clients do not come back together, and are never shorter than the API asked for. A wait that it asks
for and that is longer than `longest_wait` is left to the caller: the refusal is raised at once.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from random import Random
from typing import BinaryIO, TypeVar

from taximeter.client.call import Call, Reply
from taximeter.client.problems import ApiProblem, LimitReached, Unavailable, garbled, problem_of, unreachable

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """`retries` beside the first attempt; waits in seconds."""

    retries: int = 3
    first_wait: float = 0.2
    longest_wait: float = 20.0


@dataclass(frozen=True)
class Send:
    """Send the request. A good answer's body goes to `into`, from its beginning, where that is given."""

    call: Call[object]
    into: BinaryIO | None = None


@dataclass(frozen=True)
class Wait:
    """Let so many seconds pass."""

    seconds: float


@dataclass(frozen=True)
class Lost:
    """Nobody answered, or the answer broke off; `why` has neither key nor content. `was_sent`: perhaps it arrived."""

    why: str
    was_sent: bool = True


Step = Send | Wait
Heard = Reply | Lost | None
Steps = Generator[Step, Heard, T]


def conversation(call: Call[T], patience: Patience, random: Random, into: BinaryIO | None = None) -> Steps[T]:
    """The steps of one call. Raises ApiProblem."""
    for attempt in range(patience.retries + 1):
        heard = yield Send(call, into)
        if isinstance(heard, Reply) and (heard.status < 400 or heard.status in call.also):
            return _read(call, heard)
        problem = problem_of(heard) if isinstance(heard, Reply) else unreachable(heard.why if heard else "no answer")
        arrived = not isinstance(heard, Lost) or heard.was_sent
        seconds = wait_before_retry(problem, attempt, patience, random)
        if attempt == patience.retries or seconds is None or (arrived and not call.may_repeat):
            raise problem
        yield Wait(seconds)
    raise AssertionError("the last attempt returns or raises")


def wait_before_retry(problem: ApiProblem, attempt: int, patience: Patience, random: Random) -> float | None:
    """Seconds until the same may be sent again; None: it would be refused again, or not for long."""
    paced = isinstance(problem, LimitReached) and problem.status == 429 and problem.standing is None
    if not paced and not (isinstance(problem, Unavailable) and problem.status in (0, 502, 503, 504)):
        return None
    grown = min(patience.first_wait * 2**attempt, patience.longest_wait)
    seconds = max(grown * (0.5 + random.random() / 2), problem.retry_after or 0.0)
    return seconds if seconds <= patience.longest_wait else None


def _read(call: Call[T], reply: Reply) -> T:
    try:
        return call.read(reply)
    except ValueError:
        raise garbled(reply) from None
