"""The page and its files as they are served, without any server behind them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from taximeter_consumers.api.app import create_app
from taximeter_consumers.api.dashboard_page import PREFIX, static_files
from taximeter_consumers.api.services import services_of
from taximeter_consumers.api.settings import ApiSettings
from taximeter_schemas.settings import ClickHouseSettings


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    """An API with nothing behind it."""
    nowhere = services_of(ClickHouseSettings(url=SecretStr("http://127.0.0.1:9")), ApiSettings())
    with TestClient(create_app(nowhere), raise_server_exceptions=False) as found:
        yield found


def test_the_page_is_served_under_a_strict_policy(client: TestClient) -> None:
    """Nothing but its own files, no inline code or style, and nobody may frame it."""
    answer = client.get("/dashboard")
    policy = answer.headers["content-security-policy"]
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"} <= set(
        policy.split("; ")
    )
    assert "unsafe" not in policy
    assert "<script>" not in answer.text
    assert " style=" not in answer.text
    assert not re.search(r"https?://", answer.text)


@pytest.mark.parametrize("name", sorted(static_files()))
def test_every_file_has_its_type_and_is_checked_by_its_etag(client: TestClient, name: str) -> None:
    """A second load costs a 304; the type is never guessed."""
    answer = client.get(PREFIX + name)
    types = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml", "html": "text/html"}
    assert answer.status_code == 200
    assert answer.headers["content-type"].split(";")[0] == types.get(
        name.rpartition(".")[2], answer.headers["content-type"].split(";")[0]
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-cache"
    again = client.get(PREFIX + name, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["", "nothing.js", "../app.py", "..%2f..%2fapp.py", "js/../../app.py", "js"])
def test_nothing_else_is_served(client: TestClient, name: str) -> None:
    """Only names that were read when the API started; a path never reaches a disk."""
    answer = client.get(PREFIX + name)
    assert answer.status_code == 404
    assert answer.json()["type"] == "/docs#not-found"


def test_every_import_and_link_leads_to_a_file() -> None:
    """Of the page and of all its modules."""
    files = static_files()
    page = files["index.html"].content.decode()
    for reference in re.findall(r'(?:href|src)="(/dashboard/static/[^"]+)"', page):
        assert reference.removeprefix(PREFIX) in files, reference
    for name, file in files.items():
        if name.startswith("js/"):
            folder = name.rpartition("/")[0].split("/")
            for reference in re.findall(r'from "([^"]+)"', file.content.decode()):
                steps = list(folder)
                for step in reference.split("/"):
                    if step == "..":
                        steps.pop()
                    elif step != ".":
                        steps.append(step)
                assert "/".join(steps) in files, (name, reference)


def test_no_module_takes_markup_or_evaluates_text() -> None:
    """Text becomes text: what would parse a name as markup or code is nowhere in the page's own modules."""
    for name, file in static_files().items():
        if name.startswith("js/"):
            found = re.findall(
                r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|srcdoc",
                file.content.decode(),
            )
            assert found == [], name


def test_what_is_vendored_is_what_its_readme_says() -> None:
    """By the sum of each file, with its licence beside it."""
    files = static_files()
    told = dict(re.findall(r"\| (\S+) \| ([0-9a-f]{64}) \|", files["vendor/README.md"].content.decode()))
    assert set(told) == {"uPlot.iife.min.js", "uPlot.min.css"}
    for name, digest in told.items():
        assert hashlib.sha256(files[f"vendor/uplot/{name}"].content).hexdigest() == digest
    assert b"MIT" in files["vendor/uplot/LICENSE"].content
