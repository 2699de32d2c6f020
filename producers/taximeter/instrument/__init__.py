"""Taps on HTTP libraries: after `instrument()`, what nodes do over HTTP is counted, and what they ask models for.

It imports wrapt and no HTTP library. Nothing is read on the caller's behalf, no connection is held longer, and no
mistake of a tap reaches the caller.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taximeter.meter import Meter

__all__ = ["LIBRARIES", "instrument", "uninstrument"]

LIBRARIES = ("httpx", "httpx2", "requests", "urllib3", "aiohttp")


def instrument(
    meter: Meter | None = None,
    *,
    libraries: Iterable[str] | None = None,
    include_usage: bool = False,
    estimate: bool = True,
    providers: Mapping[str, str] | None = None,
) -> list[str]:
    """Tap the libraries (all of `LIBRARIES` unless given) and give the names of those tapped now.

    One that is not imported yet is tapped at its first import. Calling again replaces the settings and taps nothing
    twice. `meter` is where mistakes of the taps are counted. `include_usage` asks OpenAI-style streams for their usage
    and hides the chunk that this adds; `estimate` guesses tokens where a whole answer states none, marked as such;
    `providers` says as whom a gateway of yours speaks, by its host, host:port or base URL: `{"gateway.internal":
    "openai"}`. With a path it holds below that path only, and before what is said of the whole host.

    Raises Misconfigured for an unknown library, and without wrapt.
    """
    from taximeter.instrument.policy import Policy, gateway
    from taximeter.instrument.registry import tap
    from taximeter_schemas.errors import Misconfigured

    wanted = tuple(LIBRARIES if libraries is None else libraries)
    unknown = sorted(set(wanted) - set(LIBRARIES))
    if unknown:
        raise Misconfigured(f"there is no tap for {', '.join(unknown)}", mend=f"name some of: {', '.join(LIBRARIES)}")
    # In lower case, as the readers and the prices know providers: "xAI" must be read, and priced, as xai is.
    hosts = {gateway(named): provider.strip().lower() for named, provider in (providers or {}).items()}
    policy = (
        Policy(include_usage, estimate, hosts)
        if meter is None
        else Policy(include_usage, estimate, hosts, meter.faults)
    )
    return tap(policy, wanted)


def uninstrument() -> None:
    """Put the libraries back as they were. A stream that is being read is counted up to here.

    While one is read of which a chunk is hidden (`include_usage`), the wrappers stay, idle; call again to remove them.
    """
    # Without the registry, nothing was ever tapped.
    if "taximeter.instrument.registry" in sys.modules:
        from taximeter.instrument.registry import untap

        untap()
