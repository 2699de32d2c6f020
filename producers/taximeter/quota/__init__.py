"""Quotas for executors: ask before you spend.

`QuotaGate` answers in-process from small leases, `QuotaClient` asks the quota service for each decision. Nothing here
is loaded by `import taximeter`.
"""

from __future__ import annotations

from taximeter.quota.aio import AsyncQuotaClient, AsyncQuotaGate
from taximeter.quota.client import QuotaClient
from taximeter.quota.denial import or_raise
from taximeter.quota.gate import QuotaGate
from taximeter.quota.line import QuotaUnavailable
from taximeter.quota.run_hold import RunHold
from taximeter.quota.settings import QuotaSettings
from taximeter.quota.ticket import Ticket
from taximeter_schemas.errors import Denied
from taximeter_schemas.quota.subject import Subject

__all__ = [
    "AsyncQuotaClient",
    "AsyncQuotaGate",
    "Denied",
    "QuotaClient",
    "QuotaGate",
    "QuotaSettings",
    "QuotaUnavailable",
    "RunHold",
    "Subject",
    "Ticket",
    "or_raise",
]
