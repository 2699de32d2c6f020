"""An invoice as a PDF on A4. Needs fpdf2.

The same invoice gives the same bytes: its date is that of issue. The built-in fonts know Western European letters; for
any other a TrueType font is needed, and a text that cannot be shown is refused, never shown with holes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from taximeter_consumers.billing.page import Page, page_of
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fpdf import FPDF

    from taximeter_consumers.billing.invoice import Invoice

FONT_VARIABLE: Final = "TAXIMETER_INVOICE_FONT"
_FONTS: Final = (
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf",
    "/usr/share/fonts/TTF/DejaVuSans.ttf",
    "/usr/share/fonts/dejavu/DejaVuSans.ttf",
)


def invoice_pdf(invoice: Invoice, seller: str = "") -> bytes:
    """The document; `seller` is who sends the invoice, lines separated by line feeds.

    Raises Misconfigured without fpdf2, and where no font has the letters of a text."""
    try:
        from taximeter_consumers.billing.pdf_paper import Document, Paper
    except ImportError as error:
        raise Misconfigured("PDF needs fpdf2", mend="pip install 'taximeter[invoices]'") from error

    page = page_of(invoice)
    document = Document(page.title)
    document.set_creation_date(invoice.issued_at)
    document.family = _family(document, [seller, *_texts(page)])
    document.add_page()
    paper = Paper(document)
    paper.head(page, seller.splitlines())
    for section in page.sections:
        paper.section(section)
    paper.sums(page)
    return bytes(document.output())


def _family(document: FPDF, texts: Iterable[str]) -> str:
    """The family that has every letter of the texts."""
    letters = {letter for text in texts for letter in text if letter.isprintable()}
    if all(_is_latin(letter) for letter in letters):
        return "helvetica"
    path = next((place for place in _places() if place.is_file()), None)
    if path is None:
        raise Misconfigured(
            "the invoice has letters that the built-in PDF fonts lack",
            mend=f"install DejaVu Sans (fonts-dejavu-core), or let {FONT_VARIABLE} name a .ttf file; HTML needs none",
        )
    bold = path.with_name(f"{path.stem}-Bold{path.suffix}")
    document.add_font("invoice", "", path)
    document.add_font("invoice", "B", bold if bold.is_file() else path)
    known = getattr(document.fonts["invoice"], "cmap", {})
    lacking = sorted(letter for letter in letters if ord(letter) not in known)
    if lacking:
        raise Misconfigured(
            f"{path.name} lacks letters of the invoice, such as U+{ord(lacking[0]):04X}",
            mend=f"let {FONT_VARIABLE} name a .ttf file that has them; HTML needs none",
        )
    return "invoice"


def _places() -> list[Path]:
    chosen = os.environ.get(FONT_VARIABLE)
    return [Path(chosen)] if chosen else [Path(place) for place in _FONTS]


def _is_latin(letter: str) -> bool:
    try:
        letter.encode("cp1252")
        letter.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


def _texts(page: Page) -> Iterable[str]:
    yield from page.bill_to
    yield from (value for _, value in page.facts)
    for section in page.sections:
        yield section.title
        for row in section.rows:
            yield from (row.what, row.quantity, row.price)
