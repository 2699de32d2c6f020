"""Readers of what providers say was used: their words become ours. Pure, and without any provider's library.

`read_usage` and `UsageReader` take the bytes of an HTTP response; `from_openai` and `from_anthropic` take the `usage`
that an SDK's answer carries. What is not stated is None: unknown is never zero. None of them raises.
"""

from __future__ import annotations

from taximeter.usage.objects import from_anthropic, from_openai
from taximeter.usage.providers import provider_of
from taximeter.usage.reader import UsageReader, read_usage
from taximeter.usage.result import Usage

__all__ = ["Usage", "UsageReader", "from_anthropic", "from_openai", "provider_of", "read_usage"]
