"""How the taps behave: one frozen value, given once to `instrument` and passed down."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from taximeter.faults import Faults
from taximeter.usage import provider_of

_CALLING = frozenset({"POST", "PUT", "PATCH"})

# What works in the background states its use when it is asked for later. Other retrievals tell once more what a call
# has told.
_RETRIEVAL = re.compile(r"/(responses|interactions)/[\w.-]+/?$")

# Paths of model calls; other paths of the same hosts (files, models, batches) use no model when nothing is stated.
_CALL_PATH = re.compile(
    r"/(chat/completions|completions?|complete|interactions|responses|messages|embeddings?|embed|rerank|audio/\w+|images/\w+|invoke[\w-]*"
    r"|converse[\w-]*|chat|generate|generations|conversations)/?$|:\w*(generate|predict|embed)\w*$",
    re.IGNORECASE,
)

# OpenAI-style hosts that take `stream_options` in a chat request.
_TAKES_OPTIONS = (
    "api.openai.com",
    ".openai.azure.com",
    ".services.ai.azure.com",
    "api.deepseek.com",
    "api.groq.com",
    "api.x.ai",
    "openrouter.ai",
    "api.together.xyz",
    "api.together.ai",
    "api.fireworks.ai",
    "api.cerebras.ai",
)


class Asked(NamedTuple):
    """A request as a tap sees it. `host` is without its port, `path` without its query."""

    method: str
    host: str
    port: int | None
    path: str

    @property
    def netloc(self) -> str:
        """The host with its port, if that was named."""
        return self.host if self.port is None else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Policy:
    """What `instrument` was told. `providers` maps gateways, named as `gateway` gives them, to whom they speak like."""

    include_usage: bool = False
    estimate: bool = True
    providers: Mapping[str, str] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)

    def provider(self, asked: Asked) -> str | None:
        """Whose use the answer may state; None where it is no request for use of a model."""
        if asked.method.upper() not in _CALLING and not is_retrieval(asked):
            return None
        return self._mapped(asked) or provider_of(asked.netloc, asked.path)

    def takes_stream_options(self, asked: Asked) -> bool:
        """Whether the request's host is known to take `stream_options`, as every mapped gateway is."""
        if not asked.path.rstrip("/").endswith("/completions"):
            return False
        return self._mapped(asked) is not None or asked.host.endswith(_TAKES_OPTIONS)

    def _mapped(self, asked: Asked) -> str | None:
        """What the named gateway with the longest path says that this request is under."""
        if not self.providers:
            return None
        parts = asked.path.lower().rstrip("/").split("/")
        for end in range(len(parts), 0, -1):
            under = "/".join(parts[:end])
            found = self.providers.get(asked.netloc + under) or self.providers.get(asked.host + under)
            if found:
                return found
        return None


def gateway(named: str) -> str:
    """The name under which a gateway is looked up, `host[:port][/path]`, of what people write: a host or a base URL."""
    before, scheme, after = named.strip().lower().partition("://")
    host, slash, path = (after if scheme else before).partition("/")
    return f"{host.rpartition('@')[2]}{slash}{path}".rstrip("/")


def is_call(path: str) -> bool:
    """Whether an answer of this path that states no use leaves a use unknown."""
    return _CALL_PATH.search(path) is not None


def is_retrieval(asked: Asked) -> bool:
    """Whether the answer may state the use of a call that was made before, perhaps for the first time."""
    return asked.method.upper() == "GET" and _RETRIEVAL.search(asked.path) is not None
