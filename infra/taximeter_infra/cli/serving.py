"""What all long-running commands share: logs, signals and, where a place is named, metrics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from taximeter_infra.signals import StopSign

MetricsOption = Annotated[
    str,
    typer.Option(
        "--metrics",
        envvar="TAXIMETER_METRICS",
        metavar="HOST:PORT",
        help="Serve /metrics and /healthz there; nothing where it is empty",
    ),
]


@contextmanager
def running(service: str, place: str, registry: CollectorRegistry | None = None) -> Iterator[StopSign]:
    """Around a service's work; gives the event that a signal sets. Raises Misconfigured where the port is taken."""
    from taximeter_infra.logs import configure_logs
    from taximeter_infra.signals import stop_on_signals

    if not place:
        configure_logs()
        yield stop_on_signals()
        return
    from taximeter_infra.served import Served

    stop = stop_on_signals()
    served = Served(service, stop, registry)
    configure_logs(noted=served.note)
    with served.at(place):
        yield stop
