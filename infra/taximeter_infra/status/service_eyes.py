"""Asking a service's metrics endpoint how it is: when its loop last turned, and its last errors."""

from __future__ import annotations

import urllib.request
from typing import TYPE_CHECKING, Final

from prometheus_client.parser import text_string_to_metric_families

from taximeter_infra.served import BEAT, LAST_ERROR
from taximeter_infra.status.facts import Service
from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from collections.abc import Callable

_SECONDS: Final = 2.0
_MOST_BYTES: Final = 2**22
# Services are neighbours: a proxy that the environment names is for the world outside.
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(place: str, now: Callable[[], float]) -> Service:
    """What the service at HOST:PORT says; `now` gives Unix seconds. Raises Retryable."""
    try:
        with _DIRECT.open(f"http://{place}/metrics", timeout=_SECONDS) as answer:
            text = answer.read(_MOST_BYTES).decode()
        return read(place, text, now())
    except (OSError, ValueError) as error:
        raise Retryable(f"no metrics at {place}: {error}") from error


def read(place: str, text: str, now: float) -> Service:
    """From the text of /metrics. Raises ValueError for what is none."""
    name, beat, errors = "", None, {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == BEAT:
                name, beat = sample.labels.get("service", ""), max(now - sample.value, 0.0)
            elif sample.name == LAST_ERROR:
                errors[sample.labels.get("kind", "")] = max(now - sample.value, 0.0)
    return Service(place, name or "a service", beat, errors)
