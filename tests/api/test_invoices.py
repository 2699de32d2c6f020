"""Invoices over HTTP: what billing issued, as JSON, page and PDF."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient
from tests.api.conftest import Get
from tests.api.new_key import new_key
from tests.api.use import MARK, MINE

from taximeter_consumers.api.accepted import accepted
from taximeter_consumers.api.keys import Scope
from taximeter_consumers.billing.invoice import invoice_object
from taximeter_consumers.billing.stored import invoices_of
from taximeter_consumers.clickhouse import ClickHouse
from taximeter_schemas.money import plain

FORMS = {"application/json": 1, "text/html": 2, "application/pdf": 3}


@pytest.mark.integration
def test_an_invoice_says_what_was_issued(get_mine: Get, sql: ClickHouse) -> None:
    """Every line and every sum to the last digit, its digest, and that it is intact."""
    (wanted,) = invoices_of(sql, MINE)
    told = get_mine(f"/v1/invoices/{wanted.invoice_id}")
    said = invoice_object(wanted)
    assert told["digest"] == wanted.digest
    assert told["isIntact"] is True
    assert told["totals"]["dueUsd"] == plain(wanted.due_usd)
    assert [line["amountUsd"] for line in told["lines"]] == [line["amount_usd"] for line in said["lines"]]
    assert told == get_mine(f"/v1/invoices/{wanted.number}")


@pytest.mark.integration
def test_heads_are_paged_and_filtered(get: Get, get_mine: Get) -> None:
    """The last one first; an account sees its own."""
    first = get("/v1/invoices", limit=2)
    second = get("/v1/invoices", limit=2, cursor=first["nextCursor"])
    numbers = [one["number"] for one in first["invoices"] + second["invoices"]]
    assert numbers == [3, 2, 1]
    assert second["nextCursor"] is None
    assert {one["accountId"] for one in get_mine("/v1/invoices")["invoices"]} == {MINE}
    assert get("/v1/invoices", status="paid")["invoices"] == []
    assert len(get("/v1/invoices", period="2026-11", status="pending")["invoices"]) == 3


@pytest.mark.integration
@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (("application/pdf", ""), ("application/pdf", b"%PDF-")),
        (("text/html,application/xhtml+xml,*/*;q=0.8", ""), ("text/html", b"<!")),
        (("text/html", "?format=pdf"), ("application/pdf", b"%PDF-")),
        (("*/*", ""), ("application/json", b"{")),
    ],
)
def test_the_form_follows_the_query_then_the_header(
    client: TestClient, keys: dict[str, str], sql: ClickHouse, asked: tuple[str, str], answered: tuple[str, bytes]
) -> None:
    """The page needs nothing else and runs nothing."""
    (accept, query), (media, begins) = asked, answered
    (wanted,) = invoices_of(sql, MINE)
    answer = client.get(f"/v1/invoices/{wanted.number}{query}", headers={"X-API-Key": keys["mine"], "Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(media)
    assert answer.content.lstrip().startswith(begins)
    if media == "text/html":
        assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.integration
def test_a_form_that_nobody_has_is_406_and_other_numbers_are_404(client: TestClient, keys: dict[str, str]) -> None:
    """Also the number of an invoice of somebody else."""
    mine = {"X-API-Key": keys["mine"]}
    assert client.get("/v1/invoices/1", headers={**mine, "Accept": "image/png"}).status_code == 406
    answers = [client.get(f"/v1/invoices/{number}", headers=mine) for number in (1, 2, 3, 99)]
    assert sorted(answer.status_code for answer in answers) == [200, 404, 404, 404]
    refused = [answer.json()["detail"] for answer in answers if answer.status_code == 404]
    assert len(set(refused)) == 1
    assert MARK not in refused[0]


@pytest.mark.integration
def test_invoices_need_the_scope_billing(client: TestClient, sql: ClickHouse) -> None:
    """403 says which; it is the key's own matter."""
    key = new_key(sql, MINE, frozenset({Scope.READ}))
    for path in ("/v1/invoices", "/v1/invoices/1", "/v1/export?dataset=invoices"):
        answer = client.get(path, headers={"X-API-Key": key})
        assert (answer.status_code, answer.json()["type"]) == (403, "/docs#scope-missing")


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (None, 1),
        ("", 1),
        ("*/*", 1),
        ("text/*", 2),
        ("application/pdf;q=0.9, text/html;q=0.4", 3),
        ("application/*;q=0.1, text/html", 2),
        ("application/json;q=0, */*", 2),
        ("image/png", None),
        ("text/html;q=nonsense", None),
        (",;,=;q=,,", None),
    ],
)
def test_what_a_header_accepts(header: str | None, wanted: int | None) -> None:
    """As RFC 9110 has it: the most particular range counts, then the quality."""
    assert accepted(header, FORMS) == wanted
