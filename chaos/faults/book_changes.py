"""The price book changes while events come in: aggregators die over it, two work at once, a re-rating is broken off."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Final

from chaos.faults.fault import Fault
from chaos.price_changes import PriceChange, append
from chaos.world import World
from taximeter_consumers.failpoints import REPRICE

# Nobody knows a price for it; all its calls are unpriced until it gets one.
_UNKNOWN: Final = ("inhouse", "ledger-reasoner-preview")
_KNOWN: Final = (("openai", "gpt-4o"), ("openai", "o4-mini"), ("google", "gemini-2.5-flash"))
_REPRICE: Final = tuple(point for point in REPRICE if point.startswith("reprice."))
_ORDER: Final = ("--from", "2026-06-01", "--to", "2026-10-01", "--reason", "chaos", "--by", "chaos", "--yes")
_MOST_VISITS: Final = 10


def rerated_under_fire(world: World, rng: Random) -> None:
    """A model gets its first price, then another its next one, and everything is re-rated; whoever works dies at it."""
    world.start_sink()
    follower = world.start_aggregator()
    world.await_stored(rng.randrange(300, 900))
    await_calls(world, _UNKNOWN, "unpriced_calls")
    name = rng.choice(_KNOWN)
    await_calls(world, name, "priced_calls")
    follower.stop()
    change(world, priced(rng, _UNKNOWN), from_now=False)
    for where in ("aggregate.after_repriced", f"aggregate.after_recompute@{rng.randint(1, _MOST_VISITS)}"):
        world.await_death(world.start_aggregator(failpoint=where), where)
    changed = priced(rng, name, account_of(world, name) if rng.random() < 0.4 else "")
    change(world, changed, from_now=True)
    world.await_stored_past(world.price_changes[-1].known_from)
    if rng.random() < 0.5:
        follower = world.start_aggregator()
    for where in _REPRICE:
        if where == _REPRICE[-1] and rng.random() < 0.5:
            two_orders(world, where)
        else:
            world.await_death(world.start_command("reprice", *_ORDER, failpoint=where), where)
    follower.stop()
    world.price_changes[-1] = rerated(world.price_changes[-1])
    if _waiting(world):
        where = "aggregate.before_rerated"
        world.await_death(world.start_aggregator(failpoint=where), where)
    # What was written counts: the same order finds nothing to do.
    world.run_command("reprice", *_ORDER)
    if rng.random() < 0.5:
        world.start_aggregator()
        change(world, priced(rng, rng.choice(_KNOWN)), from_now=True)
        world.await_stored(world.stored() + rng.randrange(1, 200))


def two_orders(world: World, where: str) -> None:
    """The same order twice at once; one of them dies if it is the one that counts."""
    orders = [world.start_command("reprice", *_ORDER, failpoint=point) for point in (where, None)]
    world.await_condition(lambda: not any(order.running for order in orders), "two re-ratings")
    world.injected.append(f"two re-ratings at once{f', one killed at {where}' if orders[0].died else ''}")


def two_aggregators(world: World, rng: Random) -> None:
    """Two aggregators follow while prices change again and again; one of them is killed and started again."""
    world.start_sink()
    both = [world.start_aggregator() for _ in range(2)]
    for turn in range(8 if world.long else 4):
        world.await_stored(world.stored() + rng.randrange(1, 400))
        if turn == 1:
            await_calls(world, _UNKNOWN, "unpriced_calls")
            change(world, priced(rng, _UNKNOWN), from_now=False)
        else:
            name = rng.choice(_KNOWN)
            await_calls(world, name, "ai_calls")
            change(world, priced(rng, name, account_of(world, name) if rng.random() < 0.4 else ""), from_now=True)
        if rng.random() < 0.3:
            both[0].kill()
            world.injected.append("one of two aggregators killed")
            both[0] = world.start_aggregator()
    world.await_stored_past(world.price_changes[-1].known_from)


def priced(rng: Random, name: tuple[str, str], account_id: str = "") -> PriceChange:
    """New prices for a model; for one of its units there may be none, which then keeps the one that it has."""
    units = ["input_tokens", "output_tokens", *(["cache_read_tokens"] if rng.random() < 0.5 else [])]
    prices = {unit: Decimal(rng.randrange(1, 10**8)).scaleb(-13) for unit in units}
    return PriceChange(*name, prices, account_id)


def change(world: World, wanted: PriceChange, *, from_now: bool) -> None:
    """Brings new prices into the book, and notes it for the verdict."""
    made = append(world.clickhouse, wanted, from_now=from_now)
    world.price_changes.append(made)
    world.injected.append(str(made))


def rerated(made: PriceChange) -> PriceChange:
    """The change, once all that came before it was priced anew."""
    return PriceChange(made.provider, made.model, made.usd_per_unit, made.account_id, made.known_from, rerated=True)


def await_calls(world: World, name: tuple[str, str], which: str) -> None:
    """Waits until calls of a model are in the rollups."""
    sql = f"SELECT sum({which}) FROM model_costs WHERE provider = '{name[0]}' AND model = '{name[1]}'"
    world.await_condition(lambda: int(world.clickhouse.scalar(sql) or 0) > 0, f"{which} of {name[1]}")


def account_of(world: World, name: tuple[str, str]) -> str:
    """The account with most calls of a model."""
    return str(
        world.clickhouse.scalar(
            f"SELECT account_id FROM model_costs WHERE provider = '{name[0]}' AND model = '{name[1]}'"
            " GROUP BY account_id ORDER BY sum(priced_calls) DESC, account_id LIMIT 1"
        )
    )


def _waiting(world: World) -> bool:
    return bool(world.clickhouse.scalar("SELECT count() FROM reprices WHERE step = 2"))


FAULTS = (
    Fault(
        "rerated_under_fire",
        "kill -9 of the aggregator over a changed book, of a re-rating (or two at once) and of who rolls it up",
        rerated_under_fire,
        tested=False,
        aggregates_along=False,
    ),
    Fault(
        "book_changes_two_aggregators",
        "two aggregators at once while prices change, for all and for one account",
        two_aggregators,
        tested=False,
        aggregates_along=False,
    ),
)
