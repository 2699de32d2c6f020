"""Every error of ours, named by what the caller must do.

    TaximeterError
    ├── Retryable        try the same again later: nothing is wrong with the input
    │   └── Full         try again later, or choose what to give up: a bound was reached
    ├── Poison           never try the same bytes again: set them aside, with the reason
    ├── Fenced           stop at once: another process owns this work now
    ├── Denied           do not do it: a limit or a permission says no
    └── Misconfigured    ask the operator: the message says what is wrong and how to mend it

A caller's `except` clause so reads as a decision. Errors of librdkafka, ClickHouse and HTTP are translated into this
tree once, at the edge where they enter, by a table.
"""

from __future__ import annotations


class TaximeterError(Exception):
    """The root of every error that Taximeter raises on purpose."""


class Retryable(TaximeterError):
    """The same call may succeed later: a broker, a server or a network was not there in time."""


class Full(Retryable):
    """A bound was reached (queue, spool, disk); the caller waits, sheds or drops, and counts it."""


class Poison(TaximeterError):
    """These very bytes can never be processed.

    `reason` is one short machine-readable word (for a header or a metric label); the message is for people and never
    quotes the payload.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Fenced(TaximeterError):
    """Another process has taken over (group generation, lock or lease); whatever is in hand must be dropped."""


class Denied(TaximeterError):
    """A quota, a permission or a policy refuses; retrying without a change will be refused again."""


class Misconfigured(TaximeterError):
    """Settings, environment or installation are wrong. The message names the culprit and the mend."""

    def __init__(self, problem: str, *, mend: str) -> None:
        super().__init__(f"{problem}\n  mend: {mend}")
        self.problem = problem
        self.mend = mend
