"""The embedded usage page: tokens over HTTP, and the page itself in Chromium, alone and in frames of other sites."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.api.conformance import assert_conforms, described
from tests.api.conftest import new_key
from tests.api.listening import Live, hearing, live
from tests.api.use import event
from tests.databases import Databases
from tests.rollups.database import with_book
from tests.rollups.rows import Sink

from taximeter_consumers.api import key_store
from taximeter_consumers.api.embed.tokens import EmbedToken, signed
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
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.integration
CHROMIUM = shutil.which("chromium")
SECRET = secrets.token_hex(32)
ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync"
)
AGO = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(days=70)
SHOTS = os.environ.get("TAXIMETER_SCREENSHOTS", "")
"""A directory, to look at the page."""


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


@pytest.fixture(scope="module")
def place(databases: Databases) -> Iterator[Place]:
    """One server for the module; each test takes accounts of its own."""
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


def test_a_token_shows_the_bar_of_its_account_and_nothing_else(place: Place) -> None:
    """No key opens the page's routes, no token any other; of another account no token is made."""
    account = place.account(1_000, 250)
    key = new_key(place.clickhouse, account)
    made = place.made(key)
    assert made.status_code == 201, made.text
    told = made.json()
    assert told["path"] == f"/embed/usage#token={told['token']}"
    ends = datetime.fromisoformat(told["expiresAt"])
    assert timedelta(minutes=59) < ends - datetime.now(UTC) <= timedelta(hours=1)
    shown = place.read(told["token"]).json()
    assert (shown["used"], shown["limit"], shown["percent"]) == (250, 1_000, 25.0)
    assert (shown["accountId"], shown["userId"]) == (account, None)
    assert not any("cost" in name.lower() for name in shown)
    assert place.made(key, accountId="rival").status_code == 404
    assert place.made(key, ttlSeconds=86_401).status_code == 422
    bearer = {"Authorization": f"Bearer {key}"}
    for url, headers in (
        ("/embed/usage.json", bearer),
        ("/embed/stream", bearer),
        ("/embed/usage.json", {}),
        ("/embed/stream", {}),
        ("/v1/usage", {"Authorization": f"Embed {told['token']}"}),
        ("/v1/stream", {"Authorization": f"Bearer {told['token']}"}),
    ):
        answer = httpx.get(place.at.url + url, headers=headers, trust_env=False, timeout=60)
        assert answer.status_code == 401, url


def test_a_token_of_a_user_shows_that_users_own_use(place: Place) -> None:
    """By the limit that each user has."""
    account = place.account(10_000, user_limit=400)
    place.use(account, 100, "ada")
    place.use(account, 300, "bob")
    token = place.token(account, userId="ada")
    shown = place.read(token).json()
    assert (shown["userId"], shown["used"], shown["limit"], shown["percent"]) == ("ada", 100, 400, 25.0)
    with hearing(f"{place.at.url}/embed/stream", {"Authorization": f"Embed {token}"}) as heard:
        assert heard.event("usage")["used"] == 100
        place.use(account, 50, "ada")
        assert heard.event("usage", lambda data: data["used"] == 150)
        assert {name for name, _ in heard.told} == {"usage"}


def test_a_token_ends_with_its_time_and_with_its_key(place: Place) -> None:
    """An open stream, too; the two refusals differ, as the page says different things."""
    account = place.account(1_000)
    key = new_key(place.clickhouse, account)
    short = place.made(key, ttlSeconds=3).json()["token"]
    with hearing(f"{place.at.url}/embed/stream", {"Authorization": f"Embed {short}"}) as heard:
        heard.event("usage")
        heard.wait(lambda stream: stream.is_over)
    assert place.read(short).json()["type"] == "/docs#token-expired"
    token = place.made(key).json()["token"]
    assert place.read(token).status_code == 200
    own = signed(EmbedToken(account, "", datetime.now(UTC) + timedelta(minutes=5)), SECRET)
    key_store.revoke(place.clickhouse, key.split("_")[1], "test")
    with hearing(f"{place.at.url}/embed/stream", {"Authorization": f"Embed {own}"}) as heard:
        assert heard.event("usage")["used"] == 0
        refused = place.read(token)
        assert (refused.status_code, refused.json()["type"]) == (401, "/docs#no-token")
    for wrong in ("x", own[:-1], signed(EmbedToken(account, "", datetime.now(UTC)), "x" * 32)):
        assert place.read(wrong).json()["type"] == "/docs#no-token"


def test_tokens_do_what_the_document_says(place: Place) -> None:
    """Generated requests: no 5xx, no status, content or body that the document does not have."""
    api = described(place.at.app.state.services)
    account = place.account(1_000)
    assert_conforms(
        api["/v1/embed-tokens"]["POST"], {"Authorization": f"Bearer {new_key(place.clickhouse, account)}"}, examples=10
    )
    assert_conforms(api["/embed/usage.json"]["GET"], {"Authorization": f"Embed {place.token(account)}"}, examples=3)


def test_without_a_secret_there_is_no_embedding(databases: Databases) -> None:
    """404 that names the setting, for whoever has a key."""
    from starlette.testclient import TestClient

    from taximeter_consumers.api.app import create_app

    with (
        databases.borrowed() as settings,
        with_book(settings) as clickhouse,
        TestClient(create_app(services_of(settings, ApiSettings()))) as client,
    ):
        answer = client.post("/v1/embed-tokens", json={}, headers={"X-API-Key": new_key(clickhouse, "a")})
        assert answer.status_code == 404
        assert "TAXIMETER_API_EMBED_SECRET" in answer.json()["detail"]
        assert client.get("/embed/usage.json", headers={"Authorization": "Embed x.y"}).status_code == 401


def test_the_page_is_static_and_says_who_may_frame_it(place: Place) -> None:
    """The same for everybody, nothing from elsewhere, checked by its ETag."""
    for path, kind in (("usage", "text/html"), ("usage.css", "text/css"), ("usage.js", "text/javascript")):
        answer = httpx.get(f"{place.at.url}/embed/{path}", trust_env=False, timeout=60)
        assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
        assert answer.headers["content-security-policy"].endswith(f"frame-ancestors 'self' {place.friend}")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        again = {"If-None-Match": answer.headers["etag"]}
        assert httpx.get(str(answer.url), headers=again, trust_env=False, timeout=60).status_code == 304
        assert "http://" not in answer.text.replace(place.friend, "")
        assert "https://" not in answer.text


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS.split())
        yield found
        found.close()


@contextmanager
def opened(browser: Browser, url: str, *, width: int = 480, scheme: Any = "light") -> Iterator[tuple[Page, list[str]]]:
    """A page of its own, and what went wrong on it."""
    page = browser.new_page(viewport={"width": width, "height": 180}, color_scheme=scheme, device_scale_factor=2)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(url)
    try:
        yield page, said
    finally:
        page.close()


def shot(page: Page, name: str) -> None:
    """A picture, where somebody wants to look."""
    if SHOTS:
        page.wait_for_timeout(600)  # what moves has come to rest
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"))


def test_the_page_shows_use_and_moves_with_it(place: Place, browser: Browser) -> None:
    """Percent, bar, words and the tip on focus and hover; new use moves them without a reload; the token is nowhere in
    what the server was asked."""
    from playwright.sync_api import expect

    account = place.account(2_000_000, 964_000)
    token = place.token(account)
    with opened(browser, f"{place.at.url}/embed/usage#token={token}&title=AI%20tokens%20<b>this</b>%20month") as (
        page,
        said,
    ):
        bar = page.get_by_role("progressbar")
        page.locator("#card[data-live=yes]").wait_for()
        assert page.locator("#percent").inner_text() == "48%"
        assert page.locator("#title").inner_text() == "AI tokens <b>this</b> month"
        assert page.locator("#status").inner_text() == "Within the limit"
        assert page.locator("#left").inner_text() == "1,036,000 tokens left"
        names = ("aria-valuemin", "aria-valuemax", "aria-valuenow", "aria-valuetext")
        told = [bar.get_attribute(name) for name in names]
        assert told == ["0", "100", "48", "48%, 964,000 of 2,000,000 tokens used"]
        tip = page.locator("#tip")
        expect(tip).to_have_css("opacity", "0")
        page.keyboard.press("Tab")
        expect(tip).to_have_css("opacity", "1")
        assert tip.inner_text() == "964,000 / 2,000,000 tokens"
        shot(page, "focus")
        page.evaluate("document.activeElement.blur()")
        expect(tip).to_have_css("opacity", "0")
        bar.hover()
        expect(tip).to_have_css("opacity", "1")
        place.use(account, 636_000)
        page.locator("#percent", has_text="80%").wait_for()
        assert page.locator("#status").inner_text() == "Close to the limit"
        place.use(account, 500_000)
        page.locator("#percent", has_text="105%").wait_for()
        assert page.locator("#status").inner_text() == "Limit reached"
        assert page.locator("#left").inner_text() == "No tokens left"
        assert bar.get_attribute("aria-valuenow") == "100"
        assert said == []


@pytest.mark.parametrize(("limit", "used", "name"), [(None, 1_234_567, "unlimited"), (0, 0, "zero")])
def test_the_page_of_an_account_without_a_limit(
    place: Place, browser: Browser, limit: int | None, used: int, name: str
) -> None:
    """What was used, in words, and no bar."""
    token = place.token(place.account(limit, used))
    with opened(browser, f"{place.at.url}/embed/usage#token={token}") as (page, said):
        page.locator("#card[data-state=unlimited]").wait_for()
        assert page.locator("#percent").inner_text() == f"{used:,}"
        assert page.locator("#status").inner_text() == "No limit"
        assert not page.get_by_role("progressbar").is_visible()
        shot(page, name)
        assert said == []


def test_the_page_says_plainly_why_it_shows_nothing(place: Place, browser: Browser) -> None:
    """An expired token, a wrong one, and none."""
    old = signed(EmbedToken("a", "", datetime.now(UTC) - timedelta(seconds=5)), SECRET)
    for fragment, words in (
        (f"#token={old}", "This view has expired"),
        ("#token=x.y", "Usage cannot be shown"),
        ("", "Usage cannot be shown"),
    ):
        with opened(browser, f"{place.at.url}/embed/usage{fragment}") as (page, _):
            page.wait_for_selector("#message:not([hidden])")
            assert page.locator("#message-title").inner_text() == words
            assert not page.get_by_role("progressbar").is_visible()
            shot(page, "expired" if fragment == f"#token={old}" else "wrong")


def test_only_allowed_sites_frame_the_page_and_give_it_tokens(place: Place, browser: Browser) -> None:
    """In a site's frame it is shown, asks for a token where it has none, and takes one by message; another site gets
    neither a frame nor an ear."""
    account = place.account(1_000, 100)
    token = place.token(account)
    address = f"{place.at.url}/embed/usage"
    with opened(browser, f"{place.friend}/#{address}%23token={token}") as (page, said):
        frame = page.frame_locator("iframe")
        frame.locator("#percent", has_text="10%").wait_for()
        shot(page, "framed")
        assert said == []
    with opened(browser, f"{place.friend}/#{address}") as (page, _):
        page.wait_for_function("document.title === 'token-needed'")
        send = "([token, at]) => window.frames[0].postMessage({taximeterToken: token}, at)"
        page.evaluate(send, [token, place.at.url])
        page.frame_locator("iframe").locator("#percent", has_text="10%").wait_for()
    with opened(browser, f"{place.stranger}/#{address}%23token={token}") as (page, said):
        page.wait_for_function("document.readyState === 'complete'")
        page.wait_for_timeout(200)  # nothing is to happen
        assert page.frame_locator("iframe").locator("#card").count() == 0
        assert any("frame-ancestors" in text for text in said)


def test_the_page_fits_wherever_it_stands(place: Place, browser: Browser) -> None:
    """From 280 to 800 pixels, light and dark, nothing is cut off sideways."""
    for used, limit in ((120_000, 2_000_000), (1_640_000, 2_000_000), (2_310_000, 2_000_000)):
        token = place.token(place.account(limit, used))
        for width in (280, 480, 800):
            for theme in ("light", "dark"):
                url = f"{place.at.url}/embed/usage#token={token}&title=Tokens+this+month&theme={theme}"
                with opened(browser, url, width=width) as (page, _):
                    page.locator("#card[data-state=shown]").wait_for()
                    page.get_by_role("progressbar").focus()
                    wide = page.evaluate("document.documentElement.scrollWidth")
                    box = page.locator("#tip").bounding_box()
                    assert wide <= width
                    assert box is not None
                    assert box["x"] >= 0
                    assert box["x"] + box["width"] <= width
                    if SHOTS:
                        page.evaluate("document.activeElement.blur()")
                    shot(page, f"{used}-{width}-{theme}")


def test_the_examples_of_the_page_run(place: Place, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server makes a frame, another signs a token itself, and a script follows a stream."""
    account = place.account(1_000)
    key = new_key(place.clickhouse, account)
    for name, value in (("API_URL", place.at.url), ("API_KEY", key), ("API_EMBED_SECRET", f"{SECRET},{'x' * 32}")):
        monkeypatch.setenv(f"TAXIMETER_{name}", value)
    text = (Path(__file__).parents[2] / "docs" / "streaming-and-embedding.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        exec(compile(block, "streaming-and-embedding.md", "exec"), names)
    frame = names["usage_frame"](account)
    assert place.read(frame.partition("#token=")[2].partition("&")[0]).json()["accountId"] == account
    assert place.read(names["usage_token"](account)).json()["accountId"] == account
    script = re.findall(r"^```javascript\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)[0].partition("\nfollow(")[0]
    with browser.new_context(bypass_csp=True) as context:
        page = context.new_page()
        page.goto(f"{place.at.url}/docs")
        seen = "window.seen = []; follow(url, key, (name, data) => window.seen.push([name, data.used]));"
        page.evaluate(f"([url, key]) => {{ {script}; {seen} }}", [place.at.url, key])
        page.wait_for_function("window.seen.some(([name, used]) => name === 'usage' && used === 0)")
        place.use(account, 7)
        page.wait_for_function("window.seen.some(([name, used]) => name === 'usage' && used === 7)")
