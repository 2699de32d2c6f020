"""Every place in ClickHouse that can name a user, and what an erasure does there. Values only.

A text column of any table is either here or in `NOBODY`. A test reads the catalogue of a migrated database and fails
for a column that is in neither: whoever adds one decides whether it can name a user.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

from taximeter_consumers.rollups.definitions import QUOTA_USAGE, USAGE_BY_SUBJECT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from taximeter_consumers.rollups.definitions import Rollup


class Way(Enum):
    """How the user leaves a table."""

    RENAME = "the pseudonym takes the place of the id"
    RECOUNT = "the id is part of the key: counted again under the pseudonym, then the rows of the id are deleted"
    DELETE = "the rows are of nobody else, and no sum needs them: deleted"


@dataclass(frozen=True)
class Place:
    """One table. `user` is the column with the id, `only` narrows the rows in which it is one, `emptied` are columns
    whose content is replaced as well: name to SQL expression."""

    table: str
    way: Way
    user: str = "user_id"
    only: str = "true"
    emptied: Mapping[str, str] = field(default_factory=dict)


# The key is no name of a user, and limits count by it.
_TAGS: Final = {"tags": "mapFilter((name, value) -> name = 'key_id', tags)"}
_TEXTS: Final = ("thread_id", "breach_reason", "response_id", "error_message", "description")
_OF_USERS: Final = "level = 'user'"

EVENTS: Final = (
    Place(
        "stored_events",
        Way.RENAME,
        emptied={**_TAGS, **dict.fromkeys(_TEXTS, "''"), "provider_metadata": "map()"},
    ),
    # What a tick holds at this moment.
    Place("stored_tick_events", Way.RENAME, emptied=_TAGS),
)
SUBJECTS: Final = (Place(USAGE_BY_SUBJECT.table, Way.RECOUNT), Place(QUOTA_USAGE.table, Way.RECOUNT))
RECOUNTED: Final[Mapping[str, Rollup]] = {rollup.table: rollup for rollup in (USAGE_BY_SUBJECT, QUOTA_USAGE)}
OTHERS: Final = (
    Place("stored_run_costs", Way.RENAME),
    Place("stored_node_costs", Way.RENAME),
    Place("stored_quota_add_ons", Way.RENAME, user="name", only=_OF_USERS, emptied={"reason": "''"}),
    Place("stored_quota_assignments", Way.DELETE, user="name", only=_OF_USERS),
    Place("stored_quota_state", Way.DELETE, user="name", only="kind = 'user'"),
)
PLACES: Final = (*EVENTS, *SUBJECTS, *OTHERS)
"""All of them, in the order in which an erasure takes them."""

PERSONAL: Final = frozenset({"user_id", "tags", "provider_metadata", *_TEXTS})
"""Columns that may name a user wherever they are: each table that has one is in PLACES, and each is replaced there."""

IN_SOME_TABLES: Final = frozenset(
    (place.table, column) for place in OTHERS for column in (place.user, *place.emptied) if column not in PERSONAL
) | {("stored_quota_state", "level")}
"""Columns that name a user in some tables and something else in others."""

NOBODY: Final = frozenset(
    {
        # Ids of what was done: they lead to a user only through what the executor keeps.
        *("account_id", "project_id", "workflow_id", "run_id", "parent_run_id", "transaction_id", "node_id"),
        *("agent_name", "plugin_id", "key_id", "organisation_id", "context", "kind", "node_type", "outcome"),
        # What was used, and its price.
        *("provider", "model", "usage_type", "quality", "service_tier", "unit", "source", "meter", "custom_units"),
        *("ai_units", "usd_per_unit", "model_source", "plugin_source", "lines", "entries"),
        *("book_provider", "book_model", "reprice_id", "currency", "time_zone", "label", "period", "credit_id"),
        *("add_on_id", "plan_id", "limit_id", "window", "action", "degrade_to", "on_outage", "root", "thresholds"),
        # What an account is billed: its own, for as long as the law wants invoices.
        *("invoice_id", "settings", "digest", "status", "note", "address", "name"),
        # Settings and keys, and the operators who made them: not users of an account.
        *("level", "reason", "why", "by", "added_by", "ordered_by", "created_by", "revoked_by", "acted_by"),
        *("scopes", "secret_hash"),
        # Coordinates, hashes, machines.
        *("kafka_topic", "kafka_log", "content_hash", "sink", "checksum", "salt", "pseudonym", "letter_id"),
        *("dead_letter_topic", "source_topic", "target_topic"),
    }
)
"""Names of text columns that name no user, or only in the tables that IN_SOME_TABLES has."""
