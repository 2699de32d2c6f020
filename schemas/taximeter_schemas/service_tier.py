"""One word for each service tier, whatever providers call it: what a call states and what a price holds for. Pure."""

from __future__ import annotations

STANDARD = "standard"
"""The tier of a call that asked for no other."""

LONGEST = 32

# Some say how the call was to be served, or nothing, and not how it was.
_UNKNOWN = frozenset({"auto", "unknown", "unspecified", "traffic_type_unspecified", "service_tier_unspecified"})
_STANDARD = frozenset({"default", "on_demand"})
# Vertex puts it before the tiers of calls that are paid one by one, the Gemini API before all.
_PREFIXES = ("on_demand_", "service_tier_")


def service_tier_of(said: str) -> str:
    """Our word for a tier, at most 32 characters; empty where nothing is known of it."""
    word = said.strip().lower()
    if word in _UNKNOWN:
        return ""
    for prefix in _PREFIXES:
        word = word.removeprefix(prefix)
    return STANDARD if word in _STANDARD else word[:LONGEST]
