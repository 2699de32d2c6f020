"""What `import taximeter` offers and what it costs to import."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import taximeter
from taximeter.use import AI_COUNTS, AiWords
from taximeter_schemas.event import AiUsage

_HEAVY = {
    "asyncio", "pydantic", "pydantic_settings", "confluent_kafka", "fastavro", "httpx", "httpx2", "requests", "urllib3",
    "openai", "anthropic", "wrapt", "typer", "rich", "structlog", "clickhouse_connect", "chdb", "prometheus_client",
    "tiktoken", "numpy", "pandas",
}  # fmt: skip

_FURTHER = {
    "code": {"CodeLimits", "CodeResult", "CodeStatus", "Sandbox", "arun_code", "run_code"},
    "instrument": {"LIBRARIES", "instrument", "uninstrument"},
    "usage": {"Usage", "UsageReader", "from_anthropic", "from_openai", "provider_of", "read_usage"},
}


def test_the_public_face_is_pinned() -> None:
    """These names and no others are promised; a change here is a change for every user."""
    assert taximeter.__all__ == [
        "AsyncNodeHooks",
        "Meter",
        "MeterSettings",
        "NodeHooks",
        "current_node",
        "current_run",
    ]
    assert all(hasattr(taximeter, name) for name in taximeter.__all__)


@pytest.mark.parametrize(("module", "names"), sorted(_FURTHER.items()))
def test_the_face_of_each_part_is_pinned(module: str, names: set[str]) -> None:
    """What a user imports by the name of the part."""
    assert set(importlib.import_module(f"taximeter.{module}").__all__) == names


def test_importing_taximeter_loads_no_heavy_module() -> None:
    """An executor that imports us pays for no Kafka client, models, Avro or HTTP library, or other optional module."""
    script = "import sys, taximeter; print(' '.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not _HEAVY & set(done.stdout.split())


def test_importing_taximeter_starts_nothing() -> None:
    """No thread runs and no socket is open after the import."""
    script = (
        "import threading, os, taximeter; "
        "links = [os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd') if int(fd) < 64 "
        "and os.path.exists(f'/proc/self/fd/{fd}')]; "
        "print(threading.active_count(), sum(link.startswith('socket') for link in links))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    )
    assert done.stdout.split() == ["1", "0"]


def test_the_words_of_an_ai_use_are_the_fields_of_the_event() -> None:
    """None is missing, none has a name of its own, and what is a count in the event is added up."""
    fields = AiUsage.model_fields
    assert AiWords.__optional_keys__ == set(fields)
    assert set(AI_COUNTS) == {name for name, field in fields.items() if field.annotation is int}
