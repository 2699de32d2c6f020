"""What the migrations become on a ClickHouse cluster: the same tables twice, in two databases.

* `metering_shard` holds the rows. Every server has it. What belongs to an account lies on one shard, by the hash of the
  account; what is small and needed by everybody (prices, plans, the ledger, invoices) lies on every server.
* `metering` holds a Distributed table for each of them under the same name, and the same views. It shows everything.

So no statement of Taximeter knows that there are shards. An aggregator works in `metering_shard` of one server of its
shard: all copies of an event, all events of a run and all rows of a rollup lie there, so FINAL, ticks and block
deduplication need no other shard. Everybody else works in `metering`. Pure functions from text to text; a repeated run
is safe like one of `migrate`. What a statement of a new migration needs and this does not know is refused, not guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from taximeter_infra.migrate import LOG, Statement
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from taximeter_infra.migrate import Migration

_NAME: Final = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_HEAD: Final = re.compile(
    r"^(CREATE TABLE IF NOT EXISTS|CREATE VIEW IF NOT EXISTS|CREATE OR REPLACE VIEW|DROP VIEW IF EXISTS"
    r"|DROP TABLE IF EXISTS|TRUNCATE TABLE IF EXISTS|ALTER TABLE) (\w+) \{on_cluster\}"
)
_ENGINE: Final = re.compile(r"\{ReplacingMergeTree\}(?:\((\w+)\))?")
_OF_COLUMNS: Final = ("ADD COLUMN ", "MODIFY COLUMN ")
_ROLLED_UP: Final = "stored_rolled_up_batches"
_ON_SHARDS: Final = "shards_rolled_up_batches"


class Place(Enum):
    """Where the rows of a table lie."""

    ACCOUNT = "on the shard of their account"
    SHARD = "on the shard that they speak of: how far its aggregator is"
    TICK = "on the server that an aggregator works on, while it does"
    EVERYWHERE = "on every server"
    NOWHERE = "nowhere"


PLACES: Final = {
    **dict.fromkeys(
        (
            "stored_events",
            "stored_run_costs",
            "stored_node_costs",
            "stored_model_costs",
            "stored_usage_by_subject",
            "stored_charges",
            "stored_adjustments",
            "stored_quota_usage",
            "stored_transaction_usage",
        ),
        Place.ACCOUNT,
    ),
    **dict.fromkeys((_ROLLED_UP, "stored_book_versions", "stored_reprices"), Place.SHARD),
    **dict.fromkeys(("stored_transactions_read", "stored_tick_events"), Place.TICK),
    "trial_events": Place.NOWHERE,
    **dict.fromkeys(
        (
            "stored_migrations",
            "stored_ingest_batches",
            "stored_rates",
            "stored_model_aliases",
            "stored_prices",
            "stored_discounts",
            "stored_price_cards",
            "stored_price_series",
            "stored_billing_accounts",
            "stored_plans",
            "stored_add_ons",
            "stored_credits",
            "stored_billing_periods",
            "stored_invoice_numbers",
            "stored_invoices",
            "stored_invoice_statuses",
            "stored_quota_plans",
            "stored_quota_limits",
            "stored_quota_assignments",
            "stored_quota_add_ons",
            "stored_quota_organisations",
            "stored_quota_state",
            "stored_api_keys",
            "stored_erasures",
            "stored_retentions",
            "stored_dead_letter_actions",
        ),
        Place.EVERYWHERE,
    ),
}
"""Every table of the migrations. Quota state is keyed by its root, which may span accounts, and is small."""


@dataclass(frozen=True)
class ClusterLayout:
    """A cluster as the servers' `remote_servers` have it: `name` with its shards, and `<name>_everywhere`, the same
    servers as replicas of one shard.

    Without a Keeper (`has_keeper` false) there is neither replication nor ON CLUSTER: plain engines, and the statements
    are run on every server. `<name>_everywhere` then has `internal_replication` off, so that an insert goes to all.
    """

    name: str
    database: str = "metering"
    has_keeper: bool = True

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            raise Misconfigured(
                f"{self.name!r} is not a name for a cluster of Taximeter",
                mend="give the name in remote_servers: letters, digits and _, and beside it NAME_everywhere",
            )

    @property
    def shard_database(self) -> str:
        """Where the rows are."""
        return f"{self.database}_shard"

    @property
    def everywhere(self) -> str:
        """The cluster of one shard, of which every server is a replica."""
        return f"{self.name}_everywhere"

    def databases(self) -> list[str]:
        """The statements that create both."""
        on_cluster = self._on(self.name)
        return [f"CREATE DATABASE IF NOT EXISTS `{name}` {on_cluster}" for name in (self.shard_database, self.database)]

    def log(self) -> list[Statement]:
        """The statements that create the record of migrations."""
        return list(self._rendered(LOG.strip()))

    def statements(self, migration: Migration) -> list[Statement]:
        """The statements of a migration, in order. Raises Misconfigured for a table without a place."""
        return [made for template in migration.templates() for made in self._rendered(template)]

    def _rendered(self, template: str) -> Iterator[Statement]:
        head = _HEAD.match(template)
        if head is None:
            raise _unknown(template.partition("\n")[0])
        verb, name = head[1], head[2]
        if "VIEW" in verb:
            for database in (self.shard_database, self.database):
                yield Statement(database, self._filled(template, self.name))
            return
        place = PLACES.get(name)
        if place is None:
            raise _unknown(name)
        yield Statement(self.shard_database, self._stored(template, name, place))
        if place is not Place.TICK:
            yield from (Statement(self.database, sql) for sql in self._shown(template, verb, name, place))

    def _stored(self, template: str, name: str, place: Place) -> str:
        is_everywhere = place is Place.EVERYWHERE
        end, replica = ("everywhere", "{shard}-{replica}") if is_everywhere else ("{shard}", "{replica}")
        # Written out, so that a server that joins later finds the same path, and a table may be renamed.
        path = f"'/taximeter/{self.shard_database}/{name}/{end}', '{replica}'"
        replicated = self.has_keeper and place is not Place.TICK
        kind = "ReplicatedReplacingMergeTree" if replicated else "ReplacingMergeTree"

        def engine(found: re.Match[str]) -> str:
            parts = [part for part in (path if replicated else "", found[1]) if part]
            return f"{kind}({', '.join(parts)})" if parts else kind

        return self._filled(_ENGINE.sub(engine, template), self.everywhere if is_everywhere else self.name)

    def _shown(self, template: str, verb: str, name: str, place: Place) -> Iterator[str]:
        if place is Place.NOWHERE:
            yield self._filled(template, self.name)
        elif verb.startswith("CREATE"):
            shown = _ON_SHARDS if name == _ROLLED_UP else name
            yield (
                f"CREATE TABLE IF NOT EXISTS {shown} {self._on(self.name)} AS {self.shard_database}.{name}\n"
                f"ENGINE = Distributed('{self.everywhere if place is Place.EVERYWHERE else self.name}',"
                f" '{self.shard_database}', '{name}'{', cityHash64(account_id)' if place is Place.ACCOUNT else ''})"
            )
            if name == _ROLLED_UP:
                yield self._rolled_up_by_all()
        elif verb.startswith("DROP"):
            yield self._filled(template, self.name)
        elif verb == "ALTER TABLE":
            shown = _ON_SHARDS if name == _ROLLED_UP else name
            body = template[template.index("{on_cluster}") + len("{on_cluster}") :]
            actions = [action for action in _actions(body) if action.startswith(_OF_COLUMNS)]
            if actions:
                yield f"ALTER TABLE {shown} {self._on(self.name)}\n    " + ",\n    ".join(actions)

    def _rolled_up_by_all(self) -> str:
        """A batch has rows on any shard, so it is rolled up when the aggregators of all shards have been there."""
        shards = f"SELECT max(shard_num) FROM system.clusters WHERE cluster = '{self.name}'"  # noqa: S608 - a checked name
        return (
            f"CREATE VIEW IF NOT EXISTS {_ROLLED_UP} {self._on(self.name)} AS\n"
            "SELECT batch_id, max(batch.stored_at) AS stored_at, max(batch.tick) AS tick\n"
            f"FROM {_ON_SHARDS} AS batch GROUP BY batch_id\n"
            f"HAVING uniqExact(_shard_num) = ({shards})"
        )

    def _on(self, cluster: str) -> str:
        return f"ON CLUSTER `{cluster}`" if self.has_keeper else ""

    def _filled(self, sql: str, cluster: str) -> str:
        window = "replicated_deduplication_window" if self.has_keeper else "non_replicated_deduplication_window"
        return sql.replace("{on_cluster}", self._on(cluster)).replace("{deduplication_window}", window)


def _actions(body: str) -> Iterable[str]:
    """The actions of an ALTER: what stands between commas that are in no parenthesis and no text."""
    depth, quoted, begin = 0, False, 0
    for at, letter in enumerate(body):
        if letter == "'" and body[at - 1] != "\\":
            quoted = not quoted
        elif quoted:
            continue
        elif letter in "()":
            depth += 1 if letter == "(" else -1
        elif letter == "," and depth == 0:
            yield body[begin:at].strip()
            begin = at + 1
    yield body[begin:].strip()


def _unknown(what: str) -> Misconfigured:
    return Misconfigured(
        f"it is not known where `{what}` belongs on a cluster",
        mend="name the table in PLACES of taximeter_infra/cluster.py, or write the statement like those before it",
    )
