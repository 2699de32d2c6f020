"""A site with everything: topics, a database with prices, sink, aggregator, quota service, and use of every kind."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.api.new_key import new_key
from tests.dashboard.browser import DESKTOP, Opened, answering, chromium, watched
from tests.quota.sdk.conftest import Site

from taximeter.quota import QuotaClient, Subject
from taximeter_consumers.api.event_sender import KafkaEventSender
from taximeter_consumers.api.keys import ALL_ACCOUNTS, Scope
from taximeter_consumers.api.services import services_of
from taximeter_consumers.api.settings import ApiSettings
from taximeter_consumers.api.sink_lag import KafkaSinkLag
from taximeter_consumers.clickhouse import ClickHouse
from taximeter_consumers.pricing.sync import load_book
from taximeter_consumers.quota.plans import named_level
from taximeter_consumers.quota.plans.assignments import Assignment
from taximeter_consumers.quota.plans.plans import Limit, QuotaPlan
from taximeter_consumers.quota.plans.setting_rows import append
from taximeter_infra.simulate.generator import events as simulated
from taximeter_infra.simulate.plan import SimulationPlan
from taximeter_infra.simulate.sending import EventSender, Pacing
from taximeter_infra.stack.child import Child, ChildSpec
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.errors import Retryable
from taximeter_schemas.event import AiUsage, MeterEvent, Outcome, Quality
from taximeter_schemas.quota.limits import Window
from taximeter_schemas.registry import PackagedRegistry
from taximeter_schemas.uuid7 import compose

ACCOUNT, OTHER, HOSTILE = "acct-001", "acct-002", "evil"
RUN = "the-run"
EVIL_MODEL = "<img src=x onerror='window.pwned=1'>"
EVIL_USER = '"><script>window.pwned=1</script>'
EVIL_FLOW = '=HYPERLINK("http://127.0.0.1/")'
_MIDNIGHT = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
_SIMULATED = SimulationPlan(360, 11, accounts=3, start=_MIDNIGHT - timedelta(days=4), pace=360 / (3.5 * 86_400))


@dataclass
class Stage:
    """The site, the API over it, a browser and keys. `opened` are the pages of the test at hand."""

    site: Site
    url: str
    browser: Any
    operator: str
    mine: str
    opened: list[tuple[Any, Opened]] = field(default_factory=list)
    _home: Opened | None = None

    @property
    def sql(self) -> ClickHouse:
        """To ask the same by SQL."""
        return self.site.clickhouse

    def blank(self, **context: Any) -> Opened:
        """A page that has been nowhere."""
        made = self.browser.new_context(**{"viewport": DESKTOP, "color_scheme": "light", **context})
        page = watched(made)
        self.opened.append((made, page))
        return page

    def open(self, search: str = "?range=all", key: str = "", **context: Any) -> Opened:
        """The dashboard of a key, the operator's by default, with every panel answered."""
        page = self.blank(**context)
        page.page.goto(f"{self.url}/dashboard{search}#key={key or self.operator}")
        return page.settled()

    def home(self) -> Opened:
        """The operator's page of everything, for tests that only read it: one for all of them."""
        if self._home is None:
            self._home = self.open()
            self.opened.pop()
        return self._home

    def close(self) -> list[str]:
        """Closes the pages; what the browser said against them, and against the common one."""
        pages = [page for _, page in self.opened] + ([self._home] if self._home else [])
        said = [one for page in pages for one in page.complaints]
        for context, _ in self.opened:
            context.close()
        self.opened.clear()
        return said


@contextmanager
def stage_at(site: Site) -> Iterator[Stage]:
    """Fills a site and opens the API and a browser over it. Everything ends with the block."""
    with ExitStack() as held:
        browser = held.enter_context(chromium())
        load_book(site.clickhouse)
        site.start()
        held.callback(site.stop)
        for name, *options in (("sink", "--group", site.topics.events), ("aggregate", "--follow", "--interval", "0.2")):
            argv = (sys.executable, "-m", "taximeter_infra", name, *options)
            child = Child.start(ChildSpec(name, argv, site.logs / f"{name}.log", environment=site.environment))
            held.callback(child.stop)
        _limit(site.clickhouse, ACCOUNT, 2_000_000)
        sent = [*simulated(_SIMULATED), *_own_run(), *_hostile()]
        outcome = EventSender(site.kafka, PackagedRegistry(), site.topics.events).send(sent, Pacing(), lambda _: None)
        assert outcome.acknowledged == len(sent)
        assert wait_until(lambda: _shows(site.clickhouse, len(sent)), 120), "the use does not show"
        with site.client(answer_seconds=5) as client:
            assert wait_until(lambda: _is_limited(client), 120), "the plan does not count"
        services = services_of(
            site.clickhouse_settings,
            ApiSettings(simulate=True, key_cache_seconds=0.05, simulations_a_minute=1_000),
            KafkaSinkLag(site.kafka, site.topics.events, site.topics.events),
            events=KafkaEventSender(site.kafka, site.topics.events, PackagedRegistry()),
            quota=site.client(answer_seconds=20),
        )
        url = held.enter_context(answering(services))
        operator = new_key(site.clickhouse, ALL_ACCOUNTS, frozenset({Scope.READ, Scope.ADMIN}))
        yield Stage(site, url, browser, operator, new_key(site.clickhouse, ACCOUNT, frozenset({Scope.READ})))


def _shows(clickhouse: ClickHouse, events: int) -> bool:
    return all(
        int(clickhouse.scalar(f"SELECT sum(events) FROM {view}")) >= events
        for view in ("usage_by_subject", "node_costs")
    )


def _is_limited(client: QuotaClient) -> bool:
    """Whether the plan counts, and every partition of the quota service answers."""
    try:
        for name in (OTHER, "acct-003", HOSTILE, "nobody"):
            client.show(Subject(account_id=name))
        return bool(client.show(Subject(account_id=ACCOUNT)).standings)
    except Retryable:
        return False


def _limit(clickhouse: ClickHouse, account: str, tokens: int) -> None:
    ago = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(days=70)
    limit = Limit("team", "most", ago, "total_tokens", Window.MONTH, Decimal(tokens))
    dollars = Limit("team", "dollars", ago, "cost_usd", Window.MONTH, Decimal("0.5"), hard=False)
    append(
        clickhouse,
        [QuotaPlan("team", ago, "Team"), limit, dollars, Assignment(named_level.account(account), ago, "team")],
    )


def _event(number: int, **fields: Any) -> MeterEvent:
    at = datetime.now(UTC) - timedelta(hours=3) + timedelta(seconds=number)
    identity = compose(int(at.timestamp() * 1000), number.to_bytes(10, "big"))
    return MeterEvent(event_id=identity, occurred_at=at, duration_us=400_000, node_type="ai", **fields)


def _call(model: str, provider: str = "openai", quality: Quality = Quality.REPORTED) -> AiUsage:
    return AiUsage(provider=provider, model=model, input_tokens=1_000, output_tokens=70, quality=quality)


def _own_run() -> Iterator[MeterEvent]:
    """A run with a node that failed and was tried again, one that is not priced, and a run below it."""
    ours = {"account_id": ACCOUNT, "user_id": "ada", "workflow_id": "triage", "run_id": RUN}
    yield _event(1, **ours, node_id="plan", ai=_call("gpt-4o"))
    yield _event(2, **ours, node_id="write", outcome=Outcome.ERROR, error_message="too <b>long</b>", ai=_call("gpt-4o"))
    yield _event(3, **ours, node_id="write", attempt=2, ai=_call("gpt-4o"))
    yield _event(4, **ours, node_id="guess", ai=_call("llm-9", "house"))
    below = {**ours, "run_id": "below", "parent_run_id": RUN}
    yield _event(5, **below, node_id="search", outcome=Outcome.TIMEOUT, ai=_call("gpt-4o"))


def _hostile() -> Iterator[MeterEvent]:
    """Names that would be markup or formulas."""
    theirs = {"account_id": HOSTILE, "user_id": EVIL_USER, "workflow_id": EVIL_FLOW, "run_id": EVIL_MODEL}
    for number in range(6, 9):
        yield _event(number, **theirs, node_id=EVIL_USER, ai=_call(EVIL_MODEL, "<b>house</b>"))
    yield _event(9, **theirs, node_id=EVIL_MODEL, ai=_call("gpt-4o"))
