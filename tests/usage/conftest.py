"""The recorded responses, read once."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

SAMPLE = Path(__file__).resolve().parents[3] / "shared" / "data" / "provider_responses_sample.jsonl"


def body_of(row: dict[str, Any]) -> bytes:
    """The bytes of a recorded body."""
    if "response_base64" in row:
        return base64.b64decode(row["response_base64"])
    return str(row["response_text"]).encode()


def call_of(row: dict[str, Any]) -> dict[str, Any]:
    """What a tap knows of a recorded response besides its body."""
    return {
        "host": row["host"], "path": row["request_path"], "status": row["status"],
        "headers": row["response_headers"], "stream": row["stream"],
    }  # fmt: skip


@pytest.fixture(scope="session")
def sample() -> list[dict[str, Any]]:
    """The rows of the sample; skips where it is not there."""
    if not SAMPLE.is_file():
        pytest.skip("the recorded responses are not here: ../shared/data/provider_responses_sample.jsonl")
    with SAMPLE.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
