"""Debian's Chromium under Playwright, and pages that keep account of every complaint of the browser.

The page's policy forbids `eval`, which Playwright's own waits for functions need; conditions are asked for instead.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from taximeter_consumers.api.app import create_app
from taximeter_consumers.api.server import listen, serve
from taximeter_consumers.api.services import Services

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
PATIENCE_SECONDS = 90.0
BEAT_MS = 50
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; skips with the reason where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"there is no Chromium at {CHROMIUM}")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def answering(services: Services) -> Iterator[str]:
    """The API over some services, on a port of its own; the services are closed with it."""
    listener = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    stop, started = threading.Event(), threading.Event()
    thread = threading.Thread(target=serve, args=(create_app(services), listener, stop, started.set))
    thread.start()
    try:
        assert started.wait(60)
        yield url
    finally:
        stop.set()
        thread.join(60)


@dataclass
class Opened:
    """A page, and what the browser said against it."""

    page: Any
    complaints: list[str] = field(default_factory=list)

    def until(self, condition: Callable[[], Any], what: str = "") -> Any:
        """What the condition gives, as soon as it is true."""
        for _ in range(int(PATIENCE_SECONDS * 1000 / BEAT_MS)):
            if found := condition():
                return found
            self.page.wait_for_timeout(BEAT_MS)
        raise AssertionError(f"it never came: {what or condition}; the page: {self.page.inner_text('body')[:2000]}")

    def settled(self) -> Opened:
        """Every panel has its answer."""
        self.until(lambda: self.of(".panel[data-state]"), "panels")
        busy = ".panel[data-state=loading], .totals[data-state=loading], [aria-busy]"
        self.until(lambda: not self.of(busy), "answers of all panels")
        return self

    def of(self, selector: str, attribute: str = "") -> list[str]:
        """The text, or an attribute, of everything that a selector finds."""
        script = "(found, name) => found.map((one) => name ? one.getAttribute(name) ?? '' : one.textContent)"
        return list(self.page.eval_on_selector_all(selector, script, attribute))

    def column(self, panel: str, name: str) -> list[str]:
        """The exact values of a panel's column."""
        return self.of(f"#{panel} tbody [data-column='{name}'] data", "value")

    def names(self, panel: str) -> list[str]:
        """The names in the first column of a panel."""
        return self.of(f"#{panel} tbody th .name")

    @property
    def is_wider_than_the_screen(self) -> bool:
        """Whether it scrolls sideways."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


def watched(context: Any) -> Opened:
    """A new page of a browser's context."""
    opened = Opened(context.new_page())
    opened.page.on("console", lambda said: opened.complaints.append(said.text) if said.type == "error" else None)
    opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    return opened
