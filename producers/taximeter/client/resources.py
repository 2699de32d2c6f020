"""What the clients offer, by what it is about: `client.runs.get(...)`, `client.usage.record(...)`, and so on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from taximeter.client.calls import account, billing, ingest, metering, prices, quota_settings, quotas
from taximeter.client.holding import Holding
from taximeter.client.routes import Carrier, Listing, Resource, Route

if TYPE_CHECKING:
    from taximeter.client.asked import HoldsListWords, InvoicesListWords, ModelsListWords, RunsListWords, UsageListWords


def _runs(**words: Unpack[RunsListWords]) -> None:
    """Runs with their cost and use; `order="cost"`: the dearest first, else the latest. Sub-runs are runs, too."""


def _usage(**words: Unpack[UsageListWords]) -> None:
    """Usage, event by event, the newest first. What arrives meanwhile neither repeats nor skips another event."""


def _models(**words: Unpack[ModelsListWords]) -> None:
    """The models of the price book that have a price, by provider and name."""


def _invoices(**words: Unpack[InvoicesListWords]) -> None:
    """Invoices without their lines, the last one first."""


def _reservations(**words: Unpack[HoldsListWords]) -> None:
    """The reservations that still claim something, the newest first."""


class Runs(Resource[Carrier]):
    """Runs as trees."""

    get = Route(metering.read_run)
    list = Listing(_runs, metering.runs_page, lambda page: page.runs)
    page = Route(metering.runs_page)


class Usage(Resource[Carrier]):
    """What was used."""

    record = Route(ingest.send_usage)
    list = Listing(_usage, metering.usage_page, lambda page: page.usage)
    page = Route(metering.usage_page)
    summary = Route(metering.sum_usage)


class Events(Resource[Carrier]):
    """MeterEvents, in batches."""

    send = Route(ingest.send_events)


class Models(Resource[Carrier]):
    """The price book."""

    list = Listing(_models, prices.models_page, lambda page: page.models)
    page = Route(prices.models_page)


class Quota(Resource[Carrier]):
    """Limits and how they stand."""

    check = Route(quotas.check_quota)
    get = Route(quotas.read_quota)


class Plans(Resource[Carrier]):
    """Plans and their limits."""

    list = Route(quota_settings.list_plans)
    change = Route(quota_settings.change_plan)
    set_limit = Route(quota_settings.set_limit)


class Assignments(Resource[Carrier]):
    """Who has which plan."""

    list = Route(quota_settings.list_assignments)
    create = Route(quota_settings.assign_plan)


class AddOns(Resource[Carrier]):
    """What was bought beside a plan."""

    list = Route(quota_settings.list_add_ons)
    create = Route(quota_settings.add_on)


class Invoices(Resource[Carrier]):
    """Invoices."""

    list = Listing(_invoices, billing.invoices_page, lambda page: page.invoices)
    page = Route(billing.invoices_page)
    get = Route(billing.read_invoice)
    html = Route(billing.invoice_html)
    pdf = Route(billing.invoice_pdf)


class Account(Resource[Carrier]):
    """The usage bar."""

    usage = Route(account.read_account_usage)
    simulate_tokens = Route(account.simulate_tokens)


class EmbedTokens(Resource[Carrier]):
    """Tokens for the embedded usage page."""

    create = Route(account.embed_token)


class Worker(Resource[Carrier]):
    """What workflow workers call, with the deployment's own secret."""

    charge_tokens = Route(ingest.charge_tokens)


class Reservations(Resource[Carrier]):
    """Amounts held before work begins."""

    create = Route(quotas.reserve)
    get = Route(quotas.read_reservation)
    list = Listing(_reservations, quotas.reservations_page, lambda page: page.reservations)
    page = Route(quotas.reservations_page)
    confirm = Route(quotas.confirm)
    release = Route(quotas.release)
    hold = Holding(quotas.reserve)
