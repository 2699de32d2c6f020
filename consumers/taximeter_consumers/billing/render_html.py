"""An invoice as one HTML page that needs nothing else: to read, and to print on A4. Needs Jinja2.

Every text is escaped: names come from events and from customers.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from taximeter_consumers.billing.page import page_of
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from taximeter_consumers.billing.invoice import Invoice


def invoice_html(invoice: Invoice, seller: str = "") -> str:
    """The page; `seller` is who sends the invoice, in lines. Raises Misconfigured without Jinja2."""
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        raise Misconfigured("HTML needs Jinja2", mend="pip install 'taximeter[invoices]'") from error
    template = (resources.files("taximeter_consumers.billing") / "invoice.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(page=page_of(invoice), seller=seller.splitlines())
