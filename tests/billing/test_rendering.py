"""What people get to see of an invoice."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from html.parser import HTMLParser

import pytest

from taximeter_consumers.billing.invoice import Draft, Invoice, digest_of, invoice_object, settings_json
from taximeter_consumers.billing.lines import Key, Kind, Line
from taximeter_consumers.billing.page import page_of
from taximeter_consumers.billing.periods import Period
from taximeter_consumers.billing.render_csv import invoice_csv
from taximeter_consumers.billing.render_html import invoice_html
from taximeter_consumers.billing.render_pdf import FONT_VARIABLE, invoice_pdf
from taximeter_consumers.billing.terms import EPOCH, BillingSettings, Plan, Terms
from taximeter_consumers.billing.totals import History, all_lines
from taximeter_consumers.billing.wording import dollars, price_text, quantity_text
from taximeter_schemas.errors import Misconfigured

PERIOD = Period(datetime(2026, 10, 4, 22, tzinfo=UTC), datetime(2026, 11, 4, 23, tzinfo=UTC), "2026-10")


def line(unit: str, quantity: str, price: str, source: str = "priced", workflow: str = "triage") -> Line:
    """A line of usage."""
    key = Key(workflow, "openai", "gpt-4.1", unit, "standard", source, Decimal(price))
    return Line(Kind.USAGE, "2026-10", Decimal(quantity) * Decimal(price), key, 3, Decimal(quantity))


def invoice(*lines: Line, name: str = "Acme", address: str = "") -> Invoice:
    """An invoice of these lines."""
    settings = BillingSettings(
        "acme",
        [Terms("acme", EPOCH, plan_id="pro", anchor_day=5, time_zone="Europe/Berlin", name=name, address=address)],
        [Plan("pro", EPOCH, "Professional", Decimal(99))],
    )
    made = all_lines(PERIOD, lines, settings, History({}))
    draft = Draft("acme", PERIOD, made, Decimal(0), settings_json(settings, PERIOD))
    at = datetime(2026, 11, 6, 1, tzinfo=UTC)
    return Invoice(42, draft, at, digest_of(42, draft, at))


@pytest.mark.parametrize(
    ("unit", "quantity", "price", "shown"),
    [
        ("input_tokens", "1234567", "0.0000025", ("1,234,567 input tokens", "$2.50 per 1M tokens")),
        ("output_tokens", "1", "0.00001", ("1 output token", "$10.00 per 1M tokens")),
        ("cache_read_tokens", "2000", "0.000000125", ("2,000 cache read tokens", "$0.125 per 1M tokens")),
        ("audio_ms", "90000", "0.0000001", ("1.5 minutes of audio", "$0.006 per minute of audio")),
        ("cpu_us", "2500000", "0.00000000001", ("2.5 CPU seconds", "$0.00001 per CPU second")),
        ("http_bytes_out", "1500", "0.00000000009", ("0.002 MB sent", "$0.00009 per MB sent")),
        ("web_searches", "12", "0.01", ("12 web searches", "$10.00 per 1K web searches")),
        ("images", "1", "0.04", ("1 image", "$0.04 per image")),
        ("pages-ocr", "-3", "0.0025", ("-3 pages-ocr", "$0.0025 per pages-ocr")),
    ],
)
def test_quantities_and_prices_are_humane(unit: str, quantity: str, price: str, shown: tuple[str, str]) -> None:
    """In the unit that people know, per as many as make a price worth reading."""
    key = Key("", "openai", "m", unit, "standard", "priced", Decimal(price))
    assert (quantity_text(Decimal(quantity), unit), price_text(key)) == shown


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "$0.00"), ("3.3333", "$3.3333"), ("-3.3333", "-$3.3333"), ("1234567.5", "$1,234,567.50"),
        ("0.0000001", "< $0.000001"), ("-0.0000001", "> -$0.000001"), ("0.0000005", "$0.000001"),
    ],
)  # fmt: skip
def test_amounts_are_shown_with_cents_at_least(amount: str, shown: str) -> None:
    """And what is not nothing never shows as nothing."""
    assert dollars(Decimal(amount)) == shown


def test_uses_without_a_price_say_so() -> None:
    """Unknown is not zero: the line is there, its amount is in words, and a note counts the uses."""
    page = page_of(invoice(line("input_tokens", "500", "0", "unpriced"), line("calls", "2", "0", "unmeasured")))
    (section, _) = page.sections
    assert [(row.price, row.amount) for row in section.rows] == [
        ("no price known: not billed", "not billed"),
        ("use not known: not billed", "not billed"),
    ]
    assert any("3 uses have no known price" in note for note in page.notes)


def test_a_call_without_a_price_is_one_use_however_many_units_it_has() -> None:
    """Each of its units has a line; they are still the same calls."""
    page = page_of(invoice(*(line(unit, "500", "0", "unpriced") for unit in ("input_tokens", "output_tokens"))))
    assert any("3 uses have no known price" in note for note in page.notes)


def test_the_period_is_told_by_its_days_in_the_accounts_zone() -> None:
    """First and last day, both within it."""
    assert ("Billing period", "5 October 2026 to 4 November 2026 (Europe/Berlin)") in page_of(invoice()).facts


def test_the_page_escapes_every_text_and_loads_nothing() -> None:
    """Names come from events and from customers."""
    evil = "<script>alert(1)</script>"
    page = invoice_html(
        invoice(line("input_tokens", "5", "0.1", workflow=evil), name=evil, address=f"{evil}\n& Sons"), seller=evil
    )
    tags: list[str] = []
    links: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append(tag)
            links.extend(str(value) for name, value in attrs if name in ("src", "href"))

    Reader().feed(page)
    assert "script" not in tags
    assert page.count("&lt;script&gt;") == 4
    assert links == []
    assert not re.search(r"https?:|url\(|@import", page)
    assert "@page" in page
    assert "@media print" in page


def test_csv_is_exact_and_no_name_is_a_formula() -> None:
    """A spreadsheet must not run what a stranger called his workflow."""
    evil = line("input_tokens", "3", "0.000000000000000001", workflow='=HYPERLINK("x")')
    made = invoice(evil)
    rows = list(csv.DictReader(io.StringIO(invoice_csv([made]))))
    assert rows[0]["workflow_id"] == '\'=HYPERLINK("x")'
    assert rows[0]["amount_usd"] == "0.000000000000000003"
    assert sum(Decimal(row["amount_usd"]) for row in rows) == made.due_usd


def test_json_is_exact_and_its_digest_fits() -> None:
    """Amounts are strings; a changed line breaks the digest."""
    made = invoice(line("input_tokens", "3", "0.000000000000000001"))
    said = json.loads(json.dumps(invoice_object(made)))
    assert said["lines"][0]["usd_per_unit"] == "0.000000000000000001"
    assert said["totals"]["due_usd"] == "99"
    assert made.is_intact
    assert not replace(made, draft=replace(made.draft, lines=made.draft.lines[:-1])).is_intact
    assert not replace(made, draft=replace(made.draft, system_usd=Decimal(1))).is_intact


def test_the_same_invoice_gives_the_same_pdf() -> None:
    """Byte for byte: its date is that of issue."""
    made = invoice(line("input_tokens", "1234567", "0.0000025"), name="Müller & Söhne", address="Straße 1\nKöln")
    document = invoice_pdf(made, "Taxi Inc.\n1 Market Street")
    assert document.startswith(b"%PDF-")
    assert document == invoice_pdf(made, "Taxi Inc.\n1 Market Street")


def test_letters_without_a_font_are_refused_with_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with holes is no name."""
    monkeypatch.setenv(FONT_VARIABLE, "/nowhere/font.ttf")
    with pytest.raises(Misconfigured, match=FONT_VARIABLE):
        invoice_pdf(invoice(name="株式会社"))


@pytest.mark.parametrize("name", ["zero\u200bwidth", "\u202eback", "wide\u3000space", "bell\x07"])
def test_letters_without_a_shape_are_left_out_of_a_pdf(name: str) -> None:
    """They are in names that were pasted; no font has them, and nothing is lost to the eye."""
    assert invoice_pdf(invoice(line("input_tokens", "5", "0.1", workflow=name), name=name), name).startswith(b"%PDF-")


def test_a_long_invoice_has_many_pages() -> None:
    """Hundreds of lines are no matter."""
    lines = [line("input_tokens", str(count), "0.000001", workflow=f"wf-{count:03}") for count in range(1, 60)]
    document = invoice_pdf(invoice(*lines))
    found = re.search(rb"/Count (\d+)", document)
    assert found is not None
    assert int(found.group(1)) > 3
