"""Words for providers, each with the provider of the price book that it means. Data, and one lookup; pure.

They come from the OpenTelemetry GenAI conventions (`gen_ai.provider.name`, and `gen_ai.system` before it), from the
hosts that the SDK knows, and from agent frameworks. A word that is not here means itself. Gateways that pass calls on
to somebody else's account (portkey, litellm, huggingface without its provider) mean nobody: whose price would it be?
"""

from __future__ import annotations

import re
from typing import Final

_WORDS: Final = {
    "anthropic": ("claude",),
    "aws": (
        "aws-bedrock",
        "aws.bedrock",
        "aws_bedrock",
        "amazon-bedrock",
        "amazon.bedrock",
        "amazon_bedrock",
        "bedrock",
        "bedrock_converse",
    ),
    "azure": (
        "azure.ai.openai",
        "az.ai.openai",
        "azure.ai.inference",
        "az.ai.inference",
        "azure-openai",
        "azure_openai",
        "azure-ai",
        "azure_ai",
        "azureopenai",
    ),
    "cloudflare": ("workers-ai", "cloudflare-workers-ai"),
    "cohere": ("cohere_ai", "cohere-ai"),
    "elevenlabs": ("eleven_labs", "eleven-labs"),
    "fireworks": ("fireworks_ai", "fireworks-ai", "fireworksai"),
    "google": (
        "gcp.gemini",
        "gcp.gen_ai",
        "gcp.vertex_ai",
        "gemini",
        "google-genai",
        "google_genai",
        "google-gla",
        "google-vertex",
        "google_vertex",
        "google_vertexai",
        "vertex_ai",
        "vertexai",
        "vertex",
    ),
    "mistral": ("mistral_ai", "mistralai", "mistral-ai"),
    "moonshotai": ("moonshot", "moonshot_ai", "moonshot-ai"),
    "novita": ("novita-ai", "novita_ai"),
    "perplexity": ("perplexity_ai", "perplexity-ai", "perplexityai"),
    "together": ("together_ai", "together-ai", "togetherai", "together.ai"),
    "voyageai": ("voyage", "voyage_ai", "voyage-ai"),
    "x-ai": ("xai", "x_ai", "x.ai"),
    "zai": ("z.ai", "z_ai", "z-ai"),
    "zhipuai": ("zhipu", "zhipu_ai", "zhipu-ai"),
}
PROVIDERS: Final = {word: provider for provider, words in _WORDS.items() for word in words}

# The part of a provider's API that some SDKs put behind its name: `openai.responses`, `google.vertex.chat`.
_API: Final = re.compile(
    r"^(?P<provider>.+?)(?:[./:](?:responses|chat|completions?|messages|embeddings?|images?|transcriptions?|speech"
    r"|audio|realtime|rerank|generative-ai|generate_content|vertex))+$"
)


def book_provider(provider: str) -> str:
    """The book's word for an event's provider: `xai` is `x-ai`, `openai.responses` is `openai`."""
    name = provider.strip().lower()
    if name in PROVIDERS:
        return PROVIDERS[name]
    api = _API.match(name)
    return book_provider(api.group("provider")) if api else name
