"""`taximeter prices set` and `prices discount`: what an operator appends to the book."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from taximeter_infra.cli.failures import told_plainly
from taximeter_infra.cli.reach import open_clickhouse
from taximeter_infra.cli.who import who

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.pricing.rate import Discount, Rate
    from taximeter_consumers.pricing.setting import Outcome, Wish

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of text")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be appended, and append nothing")]
By = Annotated[str, typer.Option(help="Who sets it", show_default="the user of this shell")]
Since = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="TIME", help="From this time on: ISO 8601 (UTC), or how long ago", show_default="now"
    ),
]


@told_plainly
def set_price(
    provider: Annotated[str, typer.Argument(help="As in the book; or plugin, or resource")],
    model: Annotated[str, typer.Argument(help="As in the book; a plugin's id; nothing for resources")] = "",
    unit: Annotated[str, typer.Option(help="input_tokens, output_tokens, images, cpu_us, a plugin's unit, ...")] = "",
    usd: Annotated[str | None, typer.Option(metavar="AMOUNT", help="US dollars; none: no price from then on")] = None,
    per: Annotated[str | None, typer.Option(metavar="COUNT", help="For how many: 1M, 1000, 1GB; of time 3600s")] = None,
    account: Annotated[str, typer.Option(metavar="ID", help="Only for this account", show_default="all")] = "",
    service_tier: Annotated[str, typer.Option(help="standard, batch, flex, priority, ...")] = "standard",
    above: Annotated[int, typer.Option(min=0, help="Only for calls with more input tokens than this")] = 0,
    window: Annotated[str | None, typer.Option(metavar="HH:MM-HH:MM", help="Only in these hours (UTC)")] = None,
    since: Since = None,
    until: Annotated[str | None, typer.Option("--to", metavar="TIME", help="Before this time; then as before")] = None,
    source: Annotated[str, typer.Option(help="Where the price is written")] = "set by an operator",
    by: By = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Append a price, or with `--usd none` that there is none from then on.

    Calls that have been priced keep their price; it says so, and
    `taximeter reprice` is what changes it. Calls without a price get this one
    by the next tick.

    \b
    Examples:
      taximeter prices set openai gpt-4o --unit input_tokens --usd 2.5 --per 1M --account acme
      taximeter prices set house llm-1 --unit output_tokens --usd 0.4 --per 1M --from 2026-11-01
      taximeter prices set deepseek deepseek-chat --unit input_tokens --usd 0.1 --per 1M --window 16:30-00:30
      taximeter prices set plugin pdf-reader --unit pages --usd 0.01 --per 1
      taximeter prices set resource --unit cpu_us --usd 0.05 --per 3600s --dry-run
    """
    from taximeter_consumers.pricing.aliases import book_names
    from taximeter_consumers.pricing.book import server_time
    from taximeter_consumers.pricing.rate import Rate
    from taximeter_consumers.pricing.setting import Wish, checked_name, checked_unit
    from taximeter_consumers.pricing.setting import set_price as append
    from taximeter_infra.cli.price_words import parse_window
    from taximeter_schemas.service_tier import service_tier_of

    if not unit:
        raise typer.BadParameter("say which unit has the price", param_hint="--unit")
    checked_unit(provider, unit)
    price, rounded = _price(provider, unit, usd, per)
    with closing(_connect()) as clickhouse:
        now = server_time(clickhouse)
        names = book_names(clickhouse)
        name, _ = checked_name(provider, model, names)
        start = _moment(since, "--from", now)
        end = None if until is None else _moment(until, "--to", now)
        if end is not None and end <= start:
            raise typer.BadParameter("ends before it begins", param_hint="--to")
        rate = Rate(
            name[0],
            name[1],
            unit,
            price,
            start,
            source + (", rounded at the 18th place" if rounded else ""),
            account_id=account,
            service_tier=service_tier_of(service_tier) or "standard",
            above_input_tokens=above,
            added_by=who(by),
        )
        wish = Wish(rate, end, parse_window(window))
        outcome = append(clickhouse, wish, names, dry_run=dry_run)
    _tell(wish, outcome, dry_run=dry_run, as_json=as_json)


@told_plainly
def set_discount(
    account: Annotated[str, typer.Argument(help="Whose calls cost less")],
    percent: Annotated[str, typer.Argument(metavar="PERCENT", help="Off the list price: 12.5; or none, to end one")],
    provider: Annotated[str, typer.Option(help="Only of this provider", show_default="all")] = "",
    model: Annotated[str, typer.Option(help="Only of this model of the book", show_default="all")] = "",
    since: Since = None,
    source: Annotated[str, typer.Option(help="Why")] = "set by an operator",
    by: By = "",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Append a discount on an account's list prices; the most particular one counts.

    It applies neither to the account's own prices nor to what a provider
    states that a call cost.

    \b
    Examples:
      taximeter prices discount acme 10
      taximeter prices discount acme 25 --provider openai --model gpt-4o --from 2026-12-01
      taximeter prices discount acme none
    """
    from taximeter_consumers.pricing.book import server_time
    from taximeter_consumers.pricing.rate import Discount
    from taximeter_consumers.pricing.setting import set_discount as append

    if model and not provider:
        raise typer.BadParameter("a model needs its provider", param_hint="--provider")
    with closing(_connect()) as clickhouse:
        start = _moment(since, "--from", server_time(clickhouse))
        asked = Discount(account, _percent(percent), provider, model, start, source, added_by=who(by))
        told = append(clickhouse, asked, dry_run=dry_run)
    _tell_discount(told, dry_run=dry_run, as_json=as_json)


def register(prices: typer.Typer) -> None:
    """Put these commands under `prices`."""
    prices.command("set")(set_price)
    prices.command("discount")(set_discount)


def _price(provider: str, unit: str, usd: str | None, per: str | None) -> tuple[Decimal | None, bool]:
    from taximeter_consumers.pricing.setting import usd_per_unit
    from taximeter_infra.cli.price_words import parse_per, parse_usd

    if usd is None:
        raise typer.BadParameter("say the price, or none", param_hint="--usd")
    if usd == "none":
        return None, False
    if per is None:
        raise typer.BadParameter("say for how many the amount is, like 1M", param_hint="--per")
    return usd_per_unit(parse_usd(usd), parse_per(per, unit), provider)


def _percent(text: str) -> Decimal | None:
    if text == "none":
        return None
    try:
        percent = Decimal(text.strip().removesuffix("%"))
    except ArithmeticError as error:
        raise typer.BadParameter(f"{text!r} is no percentage like 12.5", param_hint="PERCENT") from error
    exponent = percent.as_tuple().exponent
    if not percent.is_finite() or not 0 <= percent <= 100 or (isinstance(exponent, int) and exponent < -6):
        raise typer.BadParameter("from 0 to 100, with at most 6 decimal places", param_hint="PERCENT")
    return percent


def _tell(wish: Wish, outcome: Outcome, *, dry_run: bool, as_json: bool) -> None:
    from taximeter_infra.cli.price_words import rate_object
    from taximeter_infra.cli.report_view import print_json

    if as_json:
        rows = [rate_object(rate) for rate in outcome.rates]
        later = [rate_object(rate) for rate in outcome.later]
        touched = {"stored_events": outcome.touched, "keep_their_price": outcome.keeps}
        print_json({"dry_run": dry_run, "appended": rows, **touched, "later": later})
        return
    for rate in outcome.rates:
        typer.echo(f"{'would append' if dry_run else 'appended'} {_row(rate)}")
    for rate in outcome.later:
        typer.echo(f"still there: {_row(rate)}; --to says until when yours holds")
    events = "1 stored event" if outcome.touched == 1 else f"{outcome.touched:,} stored events"
    if not outcome.touched:
        typer.echo("no stored event lies in its interval")
    elif outcome.keeps:
        start = wish.rate.valid_from
        typer.echo(
            f"{events} in its interval; those that have been priced keep their price until\n"
            f"  taximeter reprice --from {start:%Y-%m-%dT%H:%M:%SZ} --dry-run"
        )
    else:
        typer.echo(
            f"{events} in its interval, none priced by it before: the next tick of `taximeter aggregate` does it"
        )


def _row(rate: Rate) -> str:
    from taximeter_infra.cli.price_words import shown_price, shown_window

    where = [
        f"{rate.provider}/{rate.model}" if rate.model else rate.provider,
        rate.unit,
        f"of account {rate.account_id}" if rate.account_id else "",
        "" if rate.service_tier == "standard" else rate.service_tier,
        f"above {rate.above_input_tokens:,} input tokens" if rate.above_input_tokens else "",
        shown_window(rate.window_start, rate.window_end),
    ]
    price = shown_price(rate.provider, rate.unit, rate.usd_per_unit)
    return f"{' '.join(word for word in where if word)}: {price} from {rate.valid_from:%Y-%m-%d %H:%M} UTC on"


def _tell_discount(told: Discount, *, dry_run: bool, as_json: bool) -> None:
    from taximeter_infra.cli.prices_view import described_discount
    from taximeter_infra.cli.report_view import print_json

    if as_json:
        print_json({"dry_run": dry_run, "appended": asdict(told)})
        return
    typer.echo(f"{'would append' if dry_run else 'appended'} {described_discount(told)}")
    if told.known_from.year > 1970:
        typer.echo("calls that have been priced keep their price until `taximeter reprice`")


def _moment(text: str | None, option: str, now: datetime) -> datetime:
    from taximeter_infra.cli.moments import parse_moment

    return now if text is None else parse_moment(text, datetime.now(UTC), option)


def _connect() -> ClickHouse:
    from taximeter_infra.cli.context import clickhouse_settings

    return open_clickhouse(clickhouse_settings())
