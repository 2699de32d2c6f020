"""The clients: `Taximeter` blocks, `AsyncTaximeter` awaits; both have the same methods.

    with Taximeter("https://meter.example.com", "tm_...") as client:
        for record in client.usage.list(workflow_id="digest"):
            print(record.cost_usd)

Calls raise ApiProblem, of the kinds that `problems` lists, and Misconfigured. What is safe to send again is sent again;
see `conversation`. A client may be shared by threads (the async one by the tasks of its loop). It never logs.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

from taximeter.client.calls import billing, metering, operations, prices
from taximeter.client.conversation import Patience
from taximeter.client.exporting import whole_file
from taximeter.client.live import astream, stream, stream_call
from taximeter.client.resources import (
    Account,
    AddOns,
    Assignments,
    EmbedTokens,
    Events,
    Invoices,
    Models,
    Plans,
    Quota,
    Reservations,
    Runs,
    Usage,
    Worker,
)
from taximeter.client.routes import Carrier, Resource, Route
from taximeter.client.terms import Terms
from taximeter.client.transport import AsyncTransport, Transport

if TYPE_CHECKING:
    import httpx

    from taximeter.client.answers.live import StreamEvent
    from taximeter.client.asked import ExportWords

Dataset = Literal["usage", "rollups", "invoices"]


class Offer(Resource[Carrier]):
    """What both clients offer."""

    summary = Route(metering.summarise)
    cost_estimate = Route(prices.estimate_cost)
    ready = Route(operations.is_ready)
    key = Route(operations.read_key)
    alive = Route(operations.is_alive)
    metrics = Route(operations.read_metrics)

    def __init__(self, transport: Carrier) -> None:
        super().__init__(transport)
        self.runs: Runs[Carrier] = Runs(transport)
        self.usage: Usage[Carrier] = Usage(transport)
        self.events: Events[Carrier] = Events(transport)
        self.models: Models[Carrier] = Models(transport)
        self.reservations: Reservations[Carrier] = Reservations(transport)
        self.quota: Quota[Carrier] = Quota(transport)
        self.plans: Plans[Carrier] = Plans(transport)
        self.assignments: Assignments[Carrier] = Assignments(transport)
        self.add_ons: AddOns[Carrier] = AddOns(transport)
        self.invoices: Invoices[Carrier] = Invoices(transport)
        self.account: Account[Carrier] = Account(transport)
        self.embed_tokens: EmbedTokens[Carrier] = EmbedTokens(transport)
        self.worker: Worker[Carrier] = Worker(transport)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.transport.terms.base_url!r})"


class Taximeter(Offer[Transport]):
    """Blocks. Close it, or use it as a block; what is left open is closed with the process."""

    def __init__(
        self,
        base_url: str,
        api_key: str = "",
        *,
        internal_key: str = "",
        timeout: float = 30.0,
        max_retries: int = 3,
        http: httpx.Client | None = None,
    ) -> None:
        """`timeout` in seconds, for each of sending, and waiting for the next byte. `internal_key` is for workers.

        `http` is a client of your own, for proxies or certificates; it is not closed here. Raises Misconfigured.
        """
        patience = Patience(retries=max_retries)
        super().__init__(Transport(Terms(base_url, api_key, internal_key, timeout, patience), http))

    @classmethod
    def from_environment(cls, **words: Any) -> Self:
        """By TAXIMETER_API_URL, TAXIMETER_API_KEY and INTERNAL_API_KEY; `words` are those of the class.

        Raises Misconfigured."""
        found = Terms.from_environment()
        return cls(found.base_url, found.api_key, internal_key=found.internal_key, **words)

    def export(self, to: str | os.PathLike[str], dataset: Dataset, **words: Unpack[ExportWords]) -> int:
        """Writes usage, rollups or invoices to a file, streamed; its size in bytes.

        The file is there whole or not at all: one that breaks off is fetched anew, or leaves what was there.
        """
        with whole_file(to) as file:
            self.transport.ask(billing.export(dataset, **words), into=file)
            return file.tell()

    def stream(self, *, account_id: str | None = None, user_id: str | None = None) -> Iterator[StreamEvent]:
        """Usage, quotas, today's totals and freshness as they change, until the loop is left. It connects again."""
        return stream(self.transport, stream_call(account_id=account_id, user_id=user_id))

    def close(self) -> None:
        """Closes its connections. Closing twice is harmless."""
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncTaximeter(Offer[AsyncTransport]):
    """Awaits."""

    def __init__(
        self,
        base_url: str,
        api_key: str = "",
        *,
        internal_key: str = "",
        timeout: float = 30.0,
        max_retries: int = 3,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        """See Taximeter."""
        patience = Patience(retries=max_retries)
        super().__init__(AsyncTransport(Terms(base_url, api_key, internal_key, timeout, patience), http))

    @classmethod
    def from_environment(cls, **words: Any) -> Self:
        """See Taximeter."""
        found = Terms.from_environment()
        return cls(found.base_url, found.api_key, internal_key=found.internal_key, **words)

    async def export(self, to: str | os.PathLike[str], dataset: Dataset, **words: Unpack[ExportWords]) -> int:
        """See Taximeter."""
        with whole_file(to) as file:
            await self.transport.ask(billing.export(dataset, **words), into=file)
            return file.tell()

    def stream(self, *, account_id: str | None = None, user_id: str | None = None) -> AsyncIterator[StreamEvent]:
        """See Taximeter; for `async for`."""
        return astream(self.transport, stream_call(account_id=account_id, user_id=user_id))

    async def close(self) -> None:
        """See Taximeter."""
        await self.transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
