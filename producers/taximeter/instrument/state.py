"""What is tapped in this process, and how: the one place that a tap asks before it does anything.

Wrappers stay harmless when they outlive their tap: without a policy they only pass the call on.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from contextvars import ContextVar
from urllib.parse import urlsplit

from taximeter.instrument.exchange import Exchange
from taximeter.instrument.policy import Asked, Policy


class _Tapped:
    def __init__(self) -> None:
        self.policy: Policy | None = None
        self.libraries: frozenset[str] = frozenset()


TAPPED = _Tapped()


class Watch:
    """Set around a call of a library that sits on others: whether a tap below saw the request on the wire."""

    __slots__ = ("seen",)

    def __init__(self) -> None:
        self.seen = False


watching: ContextVar[Watch | None] = ContextVar("taximeter_watching", default=None)
inside_requests: ContextVar[bool] = ContextVar("taximeter_inside_requests", default=False)


def policy_of(library: str) -> Policy | None:
    """How the library is tapped; None if it is not."""
    if library in TAPPED.libraries or (library == "urllib3" and inside_requests.get()):
        return TAPPED.policy
    return None


def begin(policy: Policy, asked: Asked) -> Exchange:
    """An exchange of the current node. A watch around it need not count the request itself."""
    exchange = Exchange(policy, asked)
    watch = watching.get()
    if watch is not None:
        watch.seen = True
    return exchange


def asked_of(method: str, url: str, host_header: str | None = None) -> Asked:
    """A request by its method and absolute URL. A Host header names the host that is meant, whatever the address."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    if host_header:
        named = urlsplit(f"//{host_header}")
        with suppress(ValueError):
            host, port = named.hostname or host, named.port or port
    return Asked(method, host.lower(), port, parts.path or "/")


def header(pairs: Iterable[tuple[str, str]], wanted: str) -> str | None:
    """The first value of a header."""
    return next((value for name, value in pairs if name.lower() == wanted), None)
