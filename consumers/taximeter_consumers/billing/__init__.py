"""Billing: periods, and invoices that are made of charges. Each invoice once, numbered without gaps, never changed."""

from taximeter_consumers.billing.closing import Request, close_periods, follow_periods, preview_periods
from taximeter_consumers.billing.invoice import Draft, Invoice
from taximeter_consumers.billing.run import InvoiceRun, RunReport
from taximeter_consumers.billing.settings import Settings, append, read_settings
from taximeter_consumers.billing.status import Change, Status, change_status
from taximeter_consumers.billing.terms import AddOn, Credit, Plan, Terms

__all__ = [
    "AddOn",
    "Change",
    "Credit",
    "Draft",
    "Invoice",
    "InvoiceRun",
    "Plan",
    "Request",
    "RunReport",
    "Settings",
    "Status",
    "Terms",
    "append",
    "change_status",
    "close_periods",
    "follow_periods",
    "preview_periods",
    "read_settings",
]
