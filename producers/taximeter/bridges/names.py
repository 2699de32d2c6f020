"""What frameworks call the providers, and what we call them. A name that is not here stays as it is, in lower case."""

from __future__ import annotations

from collections.abc import Mapping

_NAMES: Mapping[str, str] = {
    "aws.bedrock": "aws-bedrock", "aws_bedrock": "aws-bedrock", "aws": "aws-bedrock", "bedrock": "aws-bedrock",
    "amazon_bedrock": "aws-bedrock", "bedrock_converse": "aws-bedrock", "azure.ai.openai": "azure",
    "azure.ai.inference": "azure", "az.ai.openai": "azure", "az.ai.inference": "azure", "azure_openai": "azure",
    "azureopenai": "azure", "azure_ai": "azure", "gcp.gemini": "google", "gcp.gen_ai": "google", "gemini": "google",
    "google-gla": "google", "google_genai": "google", "google_ai_studio": "google", "google_generative_ai": "google",
    "gcp.vertex_ai": "google-vertex", "vertex_ai": "google-vertex", "vertexai": "google-vertex",
    "google_vertexai": "google-vertex", "mistral_ai": "mistral", "mistralai": "mistral", "x_ai": "xai", "x-ai": "xai",
    "fireworks_ai": "fireworks", "together_ai": "together", "togetherai": "together", "cohere_chat": "cohere",
    "perplexity_ai": "perplexity", "hugging_face": "huggingface", "voyageai": "voyage", "ibm.watsonx.ai": "watsonx",
}  # fmt: skip


def provider_name(said: object) -> str | None:
    """Our word for a provider; None if nothing was said."""
    if not isinstance(said, str) or not said.strip():
        return None
    name = said.strip().lower()
    return _NAMES.get(name, name)
