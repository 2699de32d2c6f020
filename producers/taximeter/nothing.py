"""The run and the node of code that runs in none: they take every call, keep nothing, and count what they were told.

The count is the process's (`unattributed` of every meter's counters): without a run there is no meter to ask.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from taximeter.process import ProcessCount

UNATTRIBUTED = ProcessCount()


class _NullBlock:
    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        return None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        return None


class NullNode(_NullBlock):
    """Has every method of `Node`. Records are counted as unattributed; the rest does nothing."""

    node_id = ""
    attempt = 0

    def ai(self, *_given: object, **_words: object) -> None:
        """Count one unattributed record."""
        UNATTRIBUTED.add()

    def ai_tapped(self, *_given: object, **_words: object) -> None:
        """Count one unattributed record."""
        UNATTRIBUTED.add()

    def ai_claimed(self, *_given: object, **_words: object) -> None:
        """Count one unattributed record."""
        UNATTRIBUTED.add()

    def http(self, *_given: object, **_words: object) -> None:
        """Count one unattributed record."""
        UNATTRIBUTED.add()

    def plugin(self, *_given: object, **_words: object) -> None:
        """Count one unattributed record."""
        UNATTRIBUTED.add()

    def code(self, *_given: object, **_words: object) -> None:
        """Count one unattributed record."""
        UNATTRIBUTED.add()

    def record(self, *_given: object, **_words: object) -> None:
        """Count one unattributed record."""
        UNATTRIBUTED.add()

    def report(self, *_given: object, **_words: object) -> None:
        """Count one unattributed record."""
        UNATTRIBUTED.add()

    def reported(self, *_given: object, **_words: object) -> bool:
        """Count one unattributed record."""
        UNATTRIBUTED.add()
        return False

    def breach(self, *_given: object, **_words: object) -> None:
        """Count one unattributed record."""
        UNATTRIBUTED.add()

    def outcome(self, *_given: object, **_words: object) -> None:
        """Nothing to set."""

    def describe(self, *_given: object, **_words: object) -> None:
        """Nothing to describe."""

    def start(self, *_given: object, **_words: object) -> None:
        """Nothing to begin."""

    def finish(self, *_given: object, **_words: object) -> None:
        """Nothing to end."""


NULL_NODE = NullNode()


class NullRun(_NullBlock):
    """Has every method of `Run`; its nodes are `NullNode`s."""

    run_id = ""

    def node(self, *_given: object, **_words: object) -> NullNode:
        """A node that keeps nothing."""
        return NULL_NODE


NULL_RUN = NullRun()
