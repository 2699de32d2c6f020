"""Verdicts on what everything stands on: the broker, ClickHouse, the tables, the topics. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from taximeter_infra.status.facts import Trouble, seen
from taximeter_infra.status.verdicts import Level, Line, many

if TYPE_CHECKING:
    from taximeter_infra.status.facts import Facts

SLOW_SECONDS: Final = 1.0
AWAY: Final = "cannot be seen while Kafka is away"


def broker(facts: Facts) -> Line:
    """Whether Kafka answers."""
    found = facts.cluster
    if isinstance(found, Trouble):
        return Line("kafka", Level.RED, found.problem, found.mend)
    return Line("kafka", Level.GREEN, f"{many(found.brokers, 'broker')}, {many(found.topics, 'topic')}")


def clickhouse(facts: Facts) -> Line:
    """Whether ClickHouse answers, and how fast."""
    found = facts.server
    if isinstance(found, Trouble):
        return Line("clickhouse", Level.RED, found.problem, found.mend)
    said = f"version {found.version}, answers in {found.seconds * 1000:.0f} ms"
    if found.seconds > SLOW_SECONDS:
        return Line("clickhouse", Level.YELLOW, said, "look at its load: SELECT * FROM system.processes")
    return Line("clickhouse", Level.GREEN, said)


def tables(facts: Facts) -> Line:
    """Whether the migrations are applied."""
    found = facts.tables
    if isinstance(facts.server, Trouble):
        return Line("tables", Level.YELLOW, "cannot be seen while ClickHouse is away")
    if isinstance(found, Trouble):
        # Neither tables nor topics: nobody has set this up yet.
        cluster = seen(facts.cluster)
        new = cluster is not None and cluster.none_of_ours
        return Line("tables", Level.YELLOW if new else Level.RED, found.problem, found.mend)
    if found.pending:
        return Line("tables", Level.YELLOW, f"{many(len(found.pending), 'migration')} to apply", "taximeter migrate")
    return Line("tables", Level.GREEN, "every migration is applied")


def topics(facts: Facts) -> Line:
    """Whether the topics are there and led."""
    found = facts.cluster
    if isinstance(found, Trouble):
        return Line("topics", Level.YELLOW, AWAY)
    create = "taximeter topics create"
    stored = seen(facts.stored)
    if found.none_of_ours and (stored is None or not stored.ever):
        return Line("topics", Level.YELLOW, "none of them is there yet", create)
    if found.missing:
        return Line("topics", Level.RED, f"missing: {', '.join(found.missing)}", create)
    if found.leaderless:
        mend = "start the brokers that hold them"
        return Line("topics", Level.RED, f"without a leader: {', '.join(found.leaderless)}", mend)
    return Line("topics", Level.GREEN, "all are there")
