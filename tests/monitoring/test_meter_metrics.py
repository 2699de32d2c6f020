"""The SDK's counters in a host's own registry."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from taximeter.prometheus import register
from taximeter.testing import memory_meter


def test_a_meter_is_seen_in_a_registry() -> None:
    """Every counter has its name, reasons of drops are labels; a second meter at the same names is refused."""
    registry = CollectorRegistry()
    with memory_meter() as recorded:
        meter = recorded.meter
        collector = register(meter, registry)
        with meter.run(account_id="acme") as run, run.node("answer"):
            pass
        meter.flush()
        text = generate_latest(registry).decode()
        assert "taximeter_meter_accepted_total 1.0" in text
        assert 'taximeter_meter_dropped_total{reason="full"} 0.0' in text
        assert "acme" not in text
        with pytest.raises(ValueError, match="Duplicated"):
            register(meter, registry)
        registry.unregister(collector)
        register(meter, registry)
