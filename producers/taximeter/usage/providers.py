"""Whose endpoint a request went to, and what its path tells. Decisions of host and path alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from taximeter.usage.table import table


@dataclass(frozen=True, slots=True)
class Route:
    """What host and path tell of a call. `usage_type` is None where the path leaves it open.

    `known` says that the provider was stated or is the host's own. Otherwise it is what the path alone makes likely.
    """

    provider: str | None
    known: bool = False
    model: str = ""
    usage_type: str | None = None
    silent: bool = False


def provider_of(host: str | None, path: str | None) -> str | None:
    """The provider whose endpoint this is, or None where host and path do not look like an AI endpoint. Never raises.

    `host` may carry a port. An unknown host whose path speaks a known protocol is `openai-compatible` or
    `anthropic-compatible`. A path that never states use (a listing, a count of tokens) is no call of a model.
    """
    try:
        found = route(None, host, path)
    except Exception:  # noqa: BLE001 - a tap asks this of every request: no host and no path may disturb it
        return None
    return None if found.silent else found.provider


@lru_cache(maxsize=1024)
def route(provider: str | None, host: str | None, path: str | None) -> Route:
    """What host and path tell; a stated provider goes before the host's."""
    path = (path or "").split("?", 1)[0].split("#", 1)[0]
    own = provider or _own(host, path)
    whose = own or next((name for like, name in table().likely if like.search(path)), None)
    for rule in table().paths:
        found = rule.like.search(path)
        if found is None:
            continue
        model = _model(found.group(rule.model)) if rule.model else ""
        return Route(whose, own is not None, model, rule.usage_type, rule.silent)
    return Route(whose, own is not None)


def _own(host: str | None, path: str) -> str | None:
    """The provider that a host belongs to."""
    name, _, port = (host or "").lower().rpartition("@")[2].partition(":")
    for entry in table().hosts:
        if entry.within not in path:
            continue
        if name in entry.names or name.endswith(entry.ends) or (entry.like and entry.like.search(name)):
            return entry.provider
        if entry.port is not None and port == str(entry.port):
            return entry.provider
    return None


def _model(segment: str) -> str:
    """A model's name from a path. Of an ARN it is the last part, which is what prices and answers call it."""
    name = unquote(segment)
    return name.rsplit("/", 1)[-1] if name.startswith("arn:") else name
