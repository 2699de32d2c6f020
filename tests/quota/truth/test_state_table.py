"""`quota_state`: what the service writes and analysts read."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.quota.truth.world import DAY, NOW, World

from taximeter_consumers.quota.truth.state_table import State, write_states
from taximeter_schemas.quota.answers import Standing
from taximeter_schemas.quota.limits import Action, OnOutage, Window

AMOUNTS = st.decimals(min_value=0, max_value=10**16, places=9, allow_nan=False)


def standing(level: str = "user/acme/a%2Fb", **fields: object) -> Standing:
    """One of a limit by month."""
    usual = {
        "level": level,
        "limit_id": "p/total_tokens/month",
        "plan_id": "p",
        "meter": "total_tokens",
        "window": Window.MONTH,
        "hard": True,
        "action": Action.BLOCK,
        "on_outage": OnOutage.CLOSED,
        "limit": Decimal(7),
        "added": Decimal(3),
        "used": Decimal("2.5"),
        "held": Decimal(1),
        "leased": Decimal(1),
        "remaining": Decimal("6.5"),
        "lacking": 2,
        "starts_at": DAY,
        "resets_at": NOW,
    }
    return Standing.model_validate(usual | fields)


@pytest.mark.integration
def test_states_are_read_as_they_were_written(world: World) -> None:
    """Names apart, amounts to the last digit; the later of two counts, in whatever order they come."""
    write_states(world.clickhouse, [State("account/acme", standing(used=Decimal("9.999999999999999999")), NOW)])
    assert write_states(world.clickhouse, [State("account/acme", standing(), NOW - 1)]) == 1
    (row,) = world.clickhouse.records("SELECT * FROM quota_state")
    names = ("root", "level", "kind", "account_id", "name", "used", "percent", "limit_amount", "lacking")
    assert [row[name] for name in names] == [
        *("account/acme", "user/acme/a%2Fb", "user", "acme", "a/b", Decimal("9.999999999999999999")),
        *(Decimal("99.99"), 7, 2),
    ]
    assert row["starts_at"].replace(tzinfo=UTC) == datetime.fromtimestamp(DAY / 1_000_000, UTC)


@pytest.mark.integration
def test_amounts_of_any_size_are_written(world: World) -> None:
    """A plugin's units and a multiplied limit may have more digits than a cost; of the least limit much may be used."""
    most = Decimal(10) ** 27
    huge = standing(used=most, limit=most, remaining=Decimal(0))
    tiny = standing("account/acme", used=Decimal(10) ** 10, limit=Decimal("1E-18"), added=Decimal(0))
    write_states(world.clickhouse, [State("account/acme", one, NOW) for one in (huge, tiny)])
    found = world.clickhouse.rows("SELECT used, percent FROM quota_state ORDER BY used")
    assert found == [(tiny.used, tiny.percent), (huge.used, huge.percent)]


@pytest.mark.integration
def test_percent_is_that_of_the_standing(world: World) -> None:
    """To two places, rounded down, whatever the amounts."""
    told: list[Standing] = []

    @given(AMOUNTS, AMOUNTS, AMOUNTS)
    def make(used: Decimal, most: Decimal, added: Decimal) -> None:
        level = f"user/acme/{len(told)}"
        told.append(standing(level, used=used, limit=most + Decimal("0.000000001"), added=added))

    make()
    write_states(world.clickhouse, [State("account/acme", one, NOW) for one in told])
    found = dict(world.clickhouse.rows("SELECT level, percent FROM quota_state"))
    assert found == {one.level: one.percent for one in told}
