"""Whose endpoint a request went to."""

from __future__ import annotations

import pytest

from taximeter.usage import provider_of
from taximeter.usage.table import table

CASES = [
    ("api.openai.com", "/v1/responses", "openai"),
    ("API.OpenAI.com:443", "/v1/chat/completions", "openai"),
    ("x.openai.azure.com", "/openai/deployments/d/chat/completions", "azure"),
    ("x.services.ai.azure.com", "/models/chat/completions", "azure"),
    ("x.cognitiveservices.azure.com", "/openai/v1/responses", "azure"),
    ("us-central1-aiplatform.googleapis.com", "/v1/projects/p/x:generateContent", "google-vertex"),
    ("bedrock-runtime.us-gov-west-1.amazonaws.com:443", "/model/x/invoke", "aws-bedrock"),
    ("bedrock-runtime-fips.us-east-1.amazonaws.com", "/model/x/converse", "aws-bedrock"),
    ("127.0.0.1:11434", "/api/chat", "ollama"),
    ("localhost:8000", "/v1/chat/completions", "openai-compatible"),
    ("proxy.example", "/anthropic/v1/messages", "anthropic-compatible"),
    ("router.huggingface.co", "/together/v1/chat/completions", "huggingface"),
    ("a.snowflakecomputing.com", "/api/v2/cortex/v1/chat/completions", "snowflake"),
    ("a.snowflakecomputing.com", "/queries", None),
    ("api.anthropic.com", "/v1/messages/count_tokens", None),
    ("api.openai.com", "/v1/files/file-1/content", None),
    ("notapi.openai.com.evil.example", "/", None),
    ("s3.us-east-1.amazonaws.com", "/bucket/key", None),
    ("storage.googleapis.com", "/b", None),
    ("example.com", "/", None),
    ("", "", None),
    (None, None, None),
]


@pytest.mark.parametrize(("host", "path", "provider"), CASES)
def test_host_and_path_name_the_provider(host: str | None, path: str | None, provider: str | None) -> None:
    """Or nobody, where no model is called."""
    assert provider_of(host, path) == provider


def test_the_table_compiles_and_names_each_shape_once() -> None:
    """One row a shape; precedence is their order."""
    names = [shape.name for shape in table().shapes]
    assert len(set(names)) == len(names)
    assert all(shape.signs for shape in table().shapes)
    assert sum(shape.spare for shape in table().shapes) == 1
