"""The paper of an invoice's PDF: what is drawn where. Import it only where fpdf2 is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fpdf import FPDF
from fpdf.fonts import FontFace

if TYPE_CHECKING:
    from taximeter_consumers.billing.page import Page, Section

_MARGIN: Final = 16
_WIDTH: Final = 210 - 2 * _MARGIN
_COLUMNS: Final = (56, 46, 50, 26)
_INK: Final = (26, 31, 43)
_SOFT: Final = (93, 102, 119)
_TINT: Final = (245, 247, 250)
_LINE: Final = (223, 227, 234)


class Document(FPDF):
    """A4 with the invoice's title and the page's number at the foot."""

    def __init__(self, title: str) -> None:
        super().__init__(format="A4")
        self._foot = title
        self.family = "helvetica"
        self.set_title(title)
        self.set_creator("Taximeter")
        self.set_margin(_MARGIN)
        self.set_auto_page_break(auto=True, margin=20)

    def normalize_text(self, text: str) -> str:
        """Called by fpdf2 for each text: without letters that no font has a shape for, such as a zero-width space."""
        return super().normalize_text("".join(_shaped(letter) for letter in text))

    def footer(self) -> None:
        """Called by fpdf2 at the end of each page."""
        self.set_y(-14)
        self.set_font(self.family, "", 8)
        self.set_text_color(*_SOFT)
        self.cell(_WIDTH / 2, 5, self._foot)
        self.cell(_WIDTH / 2, 5, f"Page {self.page_no()} of {{nb}}", align="R")


class Paper:
    """The document while it is written, from top to bottom."""

    def __init__(self, document: Document) -> None:
        self._document = document

    def head(self, page: Page, seller: list[str]) -> None:
        """Title, status, parties and facts."""
        document = self._document
        top = document.get_y()
        self._font(9, soft=True)
        for line in seller:
            self._cell(_WIDTH, 4.5, line, align="R")
        below = document.get_y()
        document.set_xy(_MARGIN, top)
        self._font(20, bold=True)
        self._cell(110, 9, page.title)
        self._font(9, soft=True)
        self._cell(110, 5, page.status.upper())
        top = max(document.get_y(), below) + 8
        document.set_xy(_MARGIN, top)
        self._font(8, soft=True)
        self._cell(80, 4.5, "Billed to")
        for place, line in enumerate(page.bill_to):
            self._font(10, bold=place == 0)
            document.multi_cell(80, 5, line, align="L", new_x="LMARGIN", new_y="NEXT")
        below = document.get_y()
        document.set_y(top)
        for name, value in page.facts:
            document.set_x(_MARGIN + 88)
            self._font(9, soft=True)
            document.cell(28, 5, name)
            self._font(9)
            document.multi_cell(_WIDTH - 116, 5, value, align="L", new_x="LMARGIN", new_y="NEXT")
        document.set_y(max(below, document.get_y()) + 4)

    def section(self, section: Section) -> None:
        """A heading and its rows; the rows' heading comes again on each page."""
        document = self._document
        if document.will_page_break(26):
            document.add_page()
        document.ln(3)
        self._font(10, bold=True)
        document.multi_cell(_WIDTH, 6, section.title, align="L", new_x="LMARGIN", new_y="NEXT")
        self._font(8.5)
        document.set_draw_color(*_LINE)
        soft = FontFace(color=_SOFT, emphasis="")
        with document.table(
            col_widths=_COLUMNS,
            text_align=("LEFT", "RIGHT", "RIGHT", "RIGHT"),
            borders_layout="HORIZONTAL_LINES",
            line_height=4.6,
            padding=(1, 1, 1, 0),
            headings_style=soft,
            width=_WIDTH,
            align="LEFT",
        ) as table:
            table.row(("Description", "Quantity", "Price", "Amount"))
            for row in section.rows:
                cells = (row.what, row.quantity, row.price, row.amount)
                table.row(cells, style=soft if row.is_lacking else None)
            table.row(("Subtotal", "", "", section.subtotal), style=FontFace(emphasis="BOLD"))

    def sums(self, page: Page) -> None:
        """The sums, what is due, and the notes."""
        document = self._document
        if document.will_page_break(5.5 * len(page.totals) + 16):
            document.add_page()
        document.ln(7)
        left, width = _MARGIN + 68, _WIDTH - 68
        for name, amount in page.totals:
            self._font(9)
            document.set_x(left)
            document.cell(width - 40, 5.5, name)
            document.cell(40, 5.5, amount, align="R", new_x="LMARGIN", new_y="NEXT")
        document.ln(1.5)
        self._font(9 if len(page.due_label) > 24 else 12, bold=True)
        document.set_fill_color(*_TINT)
        document.set_draw_color(*_INK)
        document.set_x(left)
        document.cell(width - 32, 10, f" {page.due_label}", border="T", fill=True)
        self._font(12, bold=True)
        document.cell(32, 10, f"{page.due} ", border="T", fill=True, align="R", new_x="LMARGIN", new_y="NEXT")
        document.ln(8)
        self._font(8, soft=True)
        for note in page.notes:
            document.multi_cell(_WIDTH, 4.2, note, align="L", new_x="LMARGIN", new_y="NEXT")
        self._font(6.5, soft=True)
        document.multi_cell(_WIDTH, 4.2, f"SHA-256 {page.digest}", align="L", new_x="LMARGIN", new_y="NEXT")

    def _cell(self, width: float, height: float, text: str, align: str = "L") -> None:
        self._document.cell(width, height, text, align=align, new_x="LMARGIN", new_y="NEXT")

    def _font(self, size: float, *, bold: bool = False, soft: bool = False) -> None:
        self._document.set_font(self._document.family, "B" if bold else "", size)
        self._document.set_text_color(*(_SOFT if soft else _INK))


def _shaped(letter: str) -> str:
    if letter.isprintable() or letter == "\n":
        return letter
    return " " if letter.isspace() else ""
