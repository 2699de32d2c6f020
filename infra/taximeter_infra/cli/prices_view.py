"""How the price book looks: tables for people; the same as JSON, amounts as exact strings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.markup import escape
from rich.table import Table

from taximeter_infra.cli.price_words import shown_price, shown_window
from taximeter_infra.cli.report_view import wide_console

if TYPE_CHECKING:
    from taximeter_consumers.pricing.check import Finding
    from taximeter_consumers.pricing.estimate import Estimate, PricedModel
    from taximeter_consumers.pricing.rate import Discount, Rate
    from taximeter_consumers.pricing.sync import Difference
    from taximeter_consumers.pricing.unpriced import Unpriced

_LISTED: Final = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
_SHOWN_CHANGES: Final = 40


def show_models(models: Sequence[PricedModel], limit: int) -> None:
    """Models with the prices that most calls need, dollars for a million tokens; the rest by name."""
    table = _table(("provider", "model", "input $/M", "cache read", "cache write", "output $/M", "further prices"), 2)
    for model in models[:limit]:
        own = model.prices
        cells = [_per_million(own.get(unit), unit, own) for unit in _LISTED]
        table.add_row(escape(model.provider), escape(model.model), *cells, escape(", ".join(_further(model))))
    console = wide_console()
    console.print(table, highlight=False)
    if len(models) > limit:
        typer.echo(f"{limit:,} of {len(models):,}; name a provider, or --limit")


def show_rates(title: str, rates: Sequence[Rate], discounts: Sequence[Discount]) -> None:
    """Every dated row of a model, by unit."""
    heads = ("unit", "price", "from (UTC)", "service tier", "above input tokens", "hours (UTC)", "account", "source")
    table = _table(heads, 4, title)
    for rate in rates:
        known = "" if rate.known_from.year < 1971 else f"; calls that arrived from {rate.known_from:%Y-%m-%d %H:%M} on"
        table.add_row(
            rate.unit,
            shown_price(rate.provider, rate.unit, rate.usd_per_unit),
            "always" if rate.valid_from.year < 1971 else f"{rate.valid_from:%Y-%m-%d %H:%M}",
            rate.service_tier,
            f"{rate.above_input_tokens:,}" if rate.above_input_tokens else "",
            shown_window(rate.window_start, rate.window_end) or "all day",
            escape(rate.account_id) or "all",
            escape(f"{rate.source}{known}"),
        )
    wide_console().print(table, highlight=False)
    for discount in discounts:
        typer.echo(described_discount(discount))


def described_discount(discount: Discount) -> str:
    """A discount in words."""
    of = "/".join(word for word in (discount.provider, discount.model) if word) or "all models"
    off = "no discount on" if discount.percent is None else f"{discount.percent.normalize():f} % off"
    return f"{discount.account_id}: {off} {of} from {discount.valid_from:%Y-%m-%d %H:%M} UTC on"


def show_difference(difference: Difference, *, dry_run: bool) -> None:
    """What a sync appended, or would."""
    counts: dict[str, int] = {}
    for change in difference.changes:
        counts[change.kind] = counts.get(change.kind, 0) + 1
    for change in [one for one in difference.changes if one.kind != "new model"][:_SHOWN_CHANGES]:
        rate = change.rate
        old, new = (shown_price(rate.provider, rate.unit, usd) for usd in (change.before, rate.usd_per_unit))
        where = f"{rate.provider}/{rate.model} {rate.unit} {rate.service_tier}"
        since = "always" if rate.valid_from.year < 1971 else f"{rate.valid_from:%Y-%m-%d}"
        typer.echo(f"{change.kind}: {where}: {old} -> {new}, from {since}{_knowledge(rate)}")
    for rate in difference.overruled:
        typer.echo(f"left as it is: {rate.provider}/{rate.model} {rate.unit}: a price of your own holds")
    for provider, model in difference.vanished:
        typer.echo(f"not in the package any more, keeps its prices: {provider}/{model}")
    if not difference.changes:
        typer.echo("the book says all that the package says")
        return
    told = ", ".join(f"{count:,} {kind}" for kind, count in sorted(counts.items()))
    typer.echo(f"{'would append' if dry_run else 'appended'} {len(difference.changes):,} rows: {told}")


def show_unpriced(found: Sequence[Unpriced]) -> None:
    """What lacks a price, and the command that gives it one."""
    if not found:
        typer.echo("everything that the rollups have seen has a price")
        return
    table = _table(("provider", "model", "in the book", "lacks", "calls", "tokens", "first seen", "last seen"), 4)
    for one in found:
        table.add_row(
            escape(one.provider),
            escape(one.model),
            escape("/".join(one.book_name)) if one.book_name else "no match",
            ", ".join(one.units) or "a price at that time",
            f"{one.calls:,}",
            f"{one.tokens:,}",
            f"{one.first_seen:%Y-%m-%d %H:%M}",
            f"{one.last_seen:%Y-%m-%d %H:%M}",
        )
    wide_console().print(table, highlight=False)
    typer.echo("mend, with the provider's price in place of USD:")
    for one in found:
        typer.echo(f"  {one.mend}")


def show_findings(findings: Sequence[Finding]) -> None:
    """Findings with their mends."""
    for finding in findings:
        where = "/".join(word for word in (finding.account_id, finding.provider, finding.model) if word)
        typer.echo(f"{finding.kind}: {where + ': ' if where else ''}{finding.what}\n  mend: {finding.mend}")
    typer.echo(f"{len(findings):,} findings" if findings else "nothing odd in the price book")


def show_estimate(found: Estimate) -> None:
    """The cost of a call, line by line."""
    from taximeter_schemas.money import plain

    table = _table(("unit", "quantity", "price", "amount"), 1)
    for line in found.lines:
        price = shown_price(found.book_name[0], line.unit, found.prices.get(line.unit))
        table.add_row(
            line.unit,
            f"{line.quantity.normalize():,f}",
            price,
            f"${plain(line.amount)}" if line.source == "priced" else "-",
        )
    if found.lines:
        wide_console().print(table, highlight=False)
    if found.cost_source == "unpriced":
        typer.echo(f"unknown: no price for {', '.join(found.lacking) or 'this model at that time'}")
    else:
        typer.echo(
            f"${plain(found.cost_usd)} by the prices of {'/'.join(found.book_name)} at {found.at:%Y-%m-%d %H:%M} UTC"
        )


def estimate_object(found: Estimate) -> dict[str, Any]:
    """An estimate as JSON."""
    return {
        "provider": found.call.provider,
        "model": found.call.model,
        "book_name": list(found.book_name),
        "account_id": found.call.account_id,
        "service_tier": found.call.service_tier or "standard",
        "at": found.at,
        "cost_usd": found.cost_usd,
        "cost_source": found.cost_source,
        "lines": [
            {name: value for name, value in asdict(line).items() if name not in ("provider", "model")}
            for line in found.lines
        ],
        "prices": dict(found.prices),
    }


def _knowledge(rate: Rate) -> str:
    return "" if rate.known_from.year < 1971 else "; calls that are priced keep their price"


def _further(model: PricedModel) -> list[str]:
    """Prices of their own that are not in the columns, and the situations that have others."""
    from taximeter_consumers.pricing.units import UNIT

    own = model.prices
    units = [
        unit
        for unit in own
        if unit not in _LISTED and not any(own[unit] == own.get(parent) for parent in UNIT[unit].prices_of)
    ]
    told = [shown_price(model.provider, unit, own[unit]) if len(units) == 1 else unit for unit in units]
    told += [f"tier {tier}" for tier in model.service_tiers]
    told += [f"above {above:,} input tokens" for above in model.above_input_tokens]
    return [*told, "other hours"] if model.windows else told


def _per_million(usd: Any, unit: str, own: Mapping[str, Any]) -> str:
    if usd is None:
        return "-"
    if unit.startswith("cache_") and usd == own.get("input_tokens"):
        return "as input"
    return shown_price("", unit, usd).split(" ")[0]


def _table(heads: Sequence[str], words: int, title: str | None = None) -> Table:
    """The first `words` columns stand left, as does the last; numbers stand right."""
    table = Table(box=None, pad_edge=False, title=title, title_justify="left")
    for place, head in enumerate(heads):
        left = place < words or place == len(heads) - 1
        table.add_column(head, justify="left" if left else "right", overflow="fold")
    return table
