"""The embedded usage page in Chromium, alone and in frames of other sites."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.api.embedding import SECRET, Place
from tests.api.new_key import new_key
from tests.dashboard.browser import chromium

from taximeter_consumers.api.embed.tokens import EmbedToken, signed

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.integration
SHOTS = os.environ.get("TAXIMETER_SCREENSHOTS", "")
"""A directory, to look at the page."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with chromium() as found:
        yield found


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
        for theme in ("light", "dark"):
            url = f"{place.at.url}/embed/usage#token={token}&title=Tokens+this+month&theme={theme}"
            with opened(browser, url, width=280) as (page, _):
                page.locator("#card[data-state=shown]").wait_for()
                for width in (280, 480, 800):
                    page.set_viewport_size({"width": width, "height": 180})
                    page.get_by_role("progressbar").focus()
                    wide = page.evaluate("document.documentElement.scrollWidth")
                    box = page.locator("#tip").bounding_box()
                    assert wide <= width
                    assert box is not None
                    assert box["x"] >= 0
                    assert box["x"] + box["width"] <= width
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
