"""A server that signs tokens of the embedded usage page, and other sites that may show it or not."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic
from typing import TYPE_CHECKING, Any

import httpx
from tests.api.listening import Live, live
from tests.api.new_key import new_key
from tests.api.use import event
from tests.databases import Databases
from tests.rollups.database import with_book
from tests.rollups.rows import Sink

from taximeter_consumers.api.recent import Recent
from taximeter_consumers.api.services import services_of
from taximeter_consumers.api.settings import ApiSettings
from taximeter_consumers.clickhouse import ClickHouse
from taximeter_consumers.quota.plans import named_level
from taximeter_consumers.quota.plans.assignments import Assignment
from taximeter_consumers.quota.plans.plans import Limit, QuotaPlan
from taximeter_consumers.quota.plans.setting_rows import append
from taximeter_consumers.rollups import tick
from taximeter_schemas.quota.limits import Window

if TYPE_CHECKING:
    pass

SECRET = secrets.token_hex(32)
AGO = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(days=70)


@dataclass
class Place:
    """A server, and a site that may show its page and one that may not."""

    at: Live
    clickhouse: ClickHouse
    sink: Sink
    friend: str
    stranger: str

    def account(self, limit: int | None, used: int = 0, *, user_limit: int | None = None) -> str:
        """A new account with a month's limit, and so many tokens used."""
        name = f"e{secrets.token_hex(5)}"
        rows: list[Any] = [QuotaPlan(name, AGO, name), Assignment(named_level.account(name), AGO, name)]
        if limit is not None:
            rows.append(Limit(name, "most", AGO, "total_tokens", Window.MONTH, Decimal(limit)))
        if user_limit is not None:
            rows.append(Limit(name, "each", AGO, "total_tokens", Window.MONTH, Decimal(user_limit), level="user"))
        append(self.clickhouse, rows)
        if used:
            self.use(name, used)
        return name

    def use(self, account: str, tokens: int, user: str = "ada") -> None:
        """Somebody has used something just now, and the rollups know it."""
        call = event(account, "run", "node", user_id=user, occurred_at=datetime.now(UTC))
        assert call.ai is not None
        self.sink.store([call.model_copy(update={"ai": call.ai.model_copy(update={"total_tokens": tokens})})])
        tick(self.clickhouse)

    def token(self, account: str, **more: Any) -> str:
        """A token as a product gets it."""
        return str(self.made(new_key(self.clickhouse, account), **more).json()["token"])

    def made(self, key: str, **asked: Any) -> httpx.Response:
        """The answer of POST /v1/embed-tokens."""
        return httpx.post(
            f"{self.at.url}/v1/embed-tokens", json=asked, headers={"X-API-Key": key}, trust_env=False, timeout=60
        )

    def read(self, token: str) -> httpx.Response:
        """What the page asks for."""
        headers = {"Authorization": f"Embed {token}"}
        return httpx.get(f"{self.at.url}/embed/usage.json", headers=headers, trust_env=False, timeout=60)


@contextmanager
def site(pages: dict[str, str]) -> Iterator[str]:
    """Another site with some pages; its origin."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pages.get(self.path.partition("?")[0], "").encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Nothing on standard error."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


HOST = """<!doctype html><meta charset="utf-8"><title>Product</title><body style="margin:0">
<iframe style="width:100%;height:180px;border:0" title="Usage"></iframe>
<script>
const frame = document.querySelector("iframe");
addEventListener("message", (event) => { if (event.data.taximeter) document.title = event.data.taximeter; });
frame.src = decodeURIComponent(location.hash.slice(1));
</script>"""


@contextmanager
def placed(databases: Databases) -> Iterator[Place]:
    """A server, and two other sites."""
    with ExitStack() as held:
        friend, stranger = (held.enter_context(site({"/": HOST})) for _ in range(2))
        settings = ApiSettings(
            key_cache_seconds=0.05,
            stream_look_seconds=0.1,
            embed_secret=SECRET,  # type: ignore[arg-type]  # as an environment gives it
            embed_origins=f"self {friend}",
        )
        direct = held.enter_context(databases.borrowed())
        clickhouse = held.enter_context(with_book(direct))
        # A limit that a test has just set counts at once.
        services = replace(services_of(direct, settings), directories=Recent(monotonic, seconds=0, most=1))
        at = held.enter_context(live(services))
        yield Place(at, clickhouse, Sink(clickhouse), friend, stranger)
