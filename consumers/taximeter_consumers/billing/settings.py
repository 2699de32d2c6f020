"""Settings of billing in ClickHouse: dated rows, read whole, only ever appended. An append twice changes nothing."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.billing.terms import AddOn, BillingSettings, Credit, Plan, Terms
from taximeter_schemas.money import COST_SCALE, exact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from taximeter_consumers.clickhouse import ClickHouse

Row = Terms | Plan | AddOn | Credit

_TABLES: Final[dict[type[Row], tuple[str, str]]] = {
    Terms: ("stored_billing_accounts", "billing_accounts"),
    Plan: ("stored_plans", "plans"),
    AddOn: ("stored_add_ons", "add_ons"),
    Credit: ("stored_credits", "credits"),
}


@dataclass(frozen=True)
class Settings:
    """All settings of all accounts, as they were read."""

    terms: Mapping[str, Sequence[Terms]]
    plans: Sequence[Plan]
    add_ons: Mapping[str, Sequence[AddOn]]
    credits: Mapping[str, Sequence[Credit]]

    @property
    def accounts(self) -> set[str]:
        """The accounts that may owe something without having used anything."""
        return {*self.terms, *self.add_ons}

    def of(self, account_id: str) -> BillingSettings:
        """What is set for one account."""
        return BillingSettings(
            account_id,
            self.terms.get(account_id, ()),
            self.plans,
            self.add_ons.get(account_id, ()),
            self.credits.get(account_id, ()),
        )


def read_settings(clickhouse: ClickHouse) -> Settings:
    """All of them, as they are now. Raises Retryable or Misconfigured."""
    return Settings(
        _by_account(Terms(*row) for row in _rows(clickhouse, Terms)),
        [Plan(*row) for row in _rows(clickhouse, Plan)],
        _by_account(AddOn(*row) for row in _rows(clickhouse, AddOn)),
        _by_account(Credit(*row) for row in _rows(clickhouse, Credit)),
    )


def append(clickhouse: ClickHouse, row: Row) -> None:
    """Appends a dated row. One with the same subject and instant is replaced; a credit with the same id is not."""
    table, _ = _TABLES[type(row)]
    values = [exact(value, COST_SCALE) if name.endswith("_usd") else value for name, value in _named(row)]
    clickhouse.insert(table, [field.name for field in fields(row)], [values])


def _named(row: Row) -> Iterable[tuple[str, Any]]:
    return zip((field.name for field in fields(row)), astuple(row), strict=True)


def _rows(clickhouse: ClickHouse, kind: type[Row]) -> list[list[Any]]:
    _, view = _TABLES[kind]
    columns = [field.name for field in fields(kind)]
    sql = f"SELECT {', '.join(columns)} FROM {view} ORDER BY ALL"  # noqa: S608  # names of our own
    return [[_zoned(value) for value in row] for row in clickhouse.rows(sql)]


def _zoned(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


def _by_account(rows: Iterable[Any]) -> dict[str, list[Any]]:
    sorted_out: defaultdict[str, list[Any]] = defaultdict(list)
    for row in rows:
        sorted_out[row.account_id].append(row)
    return dict(sorted_out)
