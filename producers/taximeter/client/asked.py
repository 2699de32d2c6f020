"""The words that calls take, as keyword arguments: the API's own, in snake_case.

Times are datetimes with a zone, days, or ISO texts; `since` is inclusive, `until` exclusive. Amounts may be int or
Decimal, never float.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Literal, Required, TypedDict

from taximeter.client.call import Instant

Amounts = Mapping[str, Decimal | int]
Dimension = Literal[
    "account", "user", "project", "workflow", "context", "quality", "provider", "model", "usageType", "nodeType", "node"
]


class RunsListWords(TypedDict, total=False):
    """Which runs, by when they began, and in which order; `limit` is the size of the pages."""

    account_id: str | None
    user_id: str | None
    workflow_id: str | None
    context: str | None
    since: Instant | None
    until: Instant | None
    order: Literal["recent", "cost"]
    limit: int


class RunsPageWords(RunsListWords, total=False):
    """And which page of them."""

    cursor: str | None


class SummaryWords(TypedDict, total=False):
    """Which use is summed, and how."""

    group_by: Sequence[Dimension]
    granularity: Literal["all", "hour", "day", "month"]
    since: Instant | None
    until: Instant | None
    account_id: str | None
    user_id: str | None
    project_id: str | None
    workflow_id: str | None
    context: str | None
    provider: str | None
    model: str | None
    node_type: str | None
    limit: int


class UsageFilter(TypedDict, total=False):
    """Which usage."""

    account_id: str | None
    user_id: str | None
    workflow_id: str | None
    provider: str | None
    model: str | None
    context: str | None
    external_id: str | None
    transaction_id: str | None
    run_id: str | None
    since: Instant | None
    until: Instant | None


class UsagePageWords(UsageFilter, total=False):
    """Which usage, and which page of it."""

    cursor: str | None
    limit: int
    summary: bool


class UsageListWords(UsageFilter, total=False):
    """Which usage; `limit` is the size of the pages that it is fetched in."""

    limit: int


class ExportWords(UsageFilter, total=False):
    """What of it, and as what. `rollup` goes with the dataset rollups."""

    rollup: str | None
    format: Literal["csv", "jsonl", "parquet"]


class UsageWords(TypedDict, total=False):
    """One use of a model. A customer's needs a transaction, and an account or an external id; the system's neither."""

    provider: Required[str]
    model: Required[str]
    context: Required[Literal["customer", "system"]]
    account_id: str | None
    external_id: str | None
    transaction_id: str | None
    user_id: str | None
    project_id: str | None
    workflow_id: str | None
    run_id: str | None
    node_id: str | None
    usage_type: Literal["text", "embedding", "audio_stt", "audio_tts", "image"]
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    audio_duration_seconds: Decimal | int
    characters: int
    images: int
    service_tier: str | None
    tags: Mapping[str, str]
    occurred_at: Instant | None
    idempotency_key: str | None


class ModelsListWords(TypedDict, total=False):
    """Which models, at whose prices, and when."""

    account_id: str | None
    provider: str | None
    model: str | None
    at: Instant | None
    limit: int


class ModelsPageWords(ModelsListWords, total=False):
    """And which page of them."""

    cursor: str | None


class EstimateWords(TypedDict, total=False):
    """A call that is not made yet."""

    provider: Required[str]
    model: Required[str]
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    units: Mapping[str, int]
    service_tier: str | None
    account_id: str | None
    at: Instant | None


class InvoicesListWords(TypedDict, total=False):
    """Which invoices."""

    account_id: str | None
    period: str | None
    status: str | None
    limit: int


class InvoicesPageWords(InvoicesListWords, total=False):
    """And which page of them."""

    cursor: str | None


class PartOf(TypedDict, total=False):
    """A part of an account."""

    project_id: str | None
    user_id: str | None
    key_id: str | None
    run_id: str | None


class SubjectWords(PartOf, total=False):
    """Whose use. An account's key may leave the account out."""

    account_id: str | None


class ReserveWords(SubjectWords, total=False):
    """Whose, for how long (seconds), and the caller's own key for it."""

    ttl_seconds: int
    idempotency_key: str | None


class HoldsListWords(SubjectWords, total=False):
    """Whose reservations; `limit` is the size of the pages."""

    limit: int


class HoldsPageWords(HoldsListWords, total=False):
    """And which page of them."""

    cursor: str | None


class LevelWords(TypedDict, total=False):
    """An account, or one project, user or key of it; or an organisation."""

    account_id: str | None
    organisation_id: str | None
    project_id: str | None
    user_id: str | None
    key_id: str | None


class AssignmentWords(LevelWords, total=False):
    """Since when."""

    valid_from: Instant | None


class LimitWords(TypedDict, total=False):
    """How a limit is kept."""

    window: Literal["run", "minute", "day", "month"]
    level: str | None
    hard: bool
    degrade_to: str | None
    on_outage: str | None
    thresholds: Sequence[Decimal | int]
    limit_id: str | None
    valid_from: Instant | None


class AddOnWords(LevelWords, total=False):
    """What raises the limits by month of a meter. The same `add_on_id` again replaces it."""

    add_on_id: Required[str]
    meter: Required[str]
    amount: Required[Decimal | int]
    starts_at: Instant | None
    ends_at: Instant | None
    reason: str | None


class ChargeWords(TypedDict, total=False):
    """What a worker used; a fraction of a token is rounded up."""

    flow_id: Required[str]
    user_id: Required[str]
    input_tokens: Required[Decimal | int]
    output_tokens: Required[Decimal | int]
    model: Required[str]
    ai_system: Required[str]
    idempotency_key: str | None


class SimulateWords(TypedDict, total=False):
    """As whose and of which model tokens are simulated."""

    account_id: str | None
    user_id: str | None
    provider: str | None
    model: str | None
