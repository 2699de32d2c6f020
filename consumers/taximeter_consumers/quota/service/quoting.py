"""Quotes: answered from the history of a workflow, beside the decisions.

Whoever has given up meanwhile is not answered, so that nobody waits for the history of those. A quote that is lost with
its process is asked again by its caller.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taximeter_consumers.quota.service.desk import Desk, Line
from taximeter_consumers.quota.truth.quotes import quotation
from taximeter_schemas.quota.answers import Answer, Status

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.quota.service.counters import QuotaCounters
    from taximeter_consumers.quota.service.replies import Replies
    from taximeter_consumers.quota.service.settings import QuotaSettings
    from taximeter_schemas.quota.commands import Quote
    from taximeter_schemas.settings import ClickHouseSettings


@dataclass(frozen=True)
class _Asked:
    """A command, and the monotonic moment at which its caller has given up."""

    command: Quote
    given_up_at: float


class Quoting:
    """A desk for quotes. `ask` is the loop's."""

    def __init__(
        self, clickhouse: ClickHouseSettings, settings: QuotaSettings, replies: Replies, counters: QuotaCounters
    ) -> None:
        self._replies = replies
        self._counters = counters
        self._span_us = settings.quote_days * 24 * 3_600_000_000
        line = Line(clickhouse, settings.quote_timeout_seconds, settings.facts_retry_seconds)
        self._desk: Desk[_Asked] = Desk("quota-quotes", line, self._answer, self._refuse)

    def ask(self, command: Quote) -> None:
        """Answers it when its turn comes."""
        self._desk.ask(_Asked(command, time.monotonic() + command.wait_ms / 1000))

    def close(self, timeout_seconds: float) -> None:
        """Answers what is in the queue, within that time."""
        self._desk.close(timeout_seconds)

    def _answer(self, clickhouse: ClickHouse, questions: Sequence[_Asked]) -> None:
        since = time.time_ns() // 1_000 - self._span_us
        for asked in questions:
            if time.monotonic() > asked.given_up_at:
                continue
            command = asked.command
            found = quotation(clickhouse, command.subject.account_id, command.workflow_id, since)
            self._counters.quotes += 1
            self._replies.answer(
                Answer(command_id=command.command_id, caller=command.caller, status=Status.QUOTED, quotation=found),
                command.answer_to,
            )

    def _refuse(self, questions: Sequence[_Asked], reason: str) -> None:
        for command in (asked.command for asked in questions):
            self._counters.unavailable += 1
            self._replies.answer(
                Answer(command_id=command.command_id, caller=command.caller, status=Status.UNAVAILABLE, reason=reason),
                command.answer_to,
            )
