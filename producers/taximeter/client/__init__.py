"""A client of the HTTP API, for reading what was metered, sending what was used, and asking before it is spent.

It needs httpx: `pip install 'taximeter[client]'`. Importing `taximeter` alone does not load it.
"""

from __future__ import annotations

from taximeter_schemas.errors import Misconfigured

try:
    import httpx  # noqa: F401 - to say what is missing
except ImportError:
    raise Misconfigured("httpx is not installed", mend="pip install 'taximeter[client]'") from None

from taximeter.client.clients import AsyncTaximeter, Taximeter
from taximeter.client.problems import ApiProblem, Conflict, Invalid, LimitReached, NotAllowed, NotFound, Unavailable

__all__ = [
    "ApiProblem",
    "AsyncTaximeter",
    "Conflict",
    "Invalid",
    "LimitReached",
    "NotAllowed",
    "NotFound",
    "Taximeter",
    "Unavailable",
]
