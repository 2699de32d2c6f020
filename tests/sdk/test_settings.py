"""A meter's settings: refused once, where the meter is made, with the mend and without a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from taximeter import Meter, MeterSettings
from taximeter.emitter.transport import MemoryTransport
from taximeter_schemas.errors import Misconfigured


def test_to_block_needs_a_bound() -> None:
    """The message says what to set."""
    with pytest.raises(Misconfigured, match="bound of 0 ms") as caught:
        Meter(MeterSettings(when_full="block"), MemoryTransport())
    assert "TAXIMETER_METER_BLOCK_MS" in caught.value.mend


def test_a_spool_that_cannot_be_used_is_refused_where_the_meter_is_made(tmp_path: Path) -> None:
    """Not when the first event is to be saved."""
    (tmp_path / "file").write_text("not a directory", encoding="utf-8")
    with pytest.raises(Misconfigured, match="spool"):
        Meter(MeterSettings(spool_dir=tmp_path / "file"), MemoryTransport())


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TAXIMETER_METER_QUEUE_EVENTS", "0"),
        ("TAXIMETER_METER_WHEN_FULL", "spill"),
        ("KAFKA_OPTIONS", '{"no.such.option": "1"}'),
        ("KAFKA_SECURITY_PROTOCOL", "carrier_pigeon"),
    ],
)
def test_wrong_settings_are_refused_once_with_the_mend(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making the meter is the one place that raises, and it raises Misconfigured."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(Misconfigured, match="mend: "):
        Meter.from_environment()


def test_a_secret_in_the_settings_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is the value that was wrong, as it may be one."""
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", "hunter2-hunter2")
    monkeypatch.setenv("TAXIMETER_METER_QUEUE_EVENTS", "hunter2-hunter2")
    with pytest.raises(Misconfigured) as caught:
        Meter.from_environment()
    assert "hunter2" not in str(caught.value)
