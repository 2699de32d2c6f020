"""What a node attempt leaves behind: its output, and what it used, in the words of whoever measured it.

A failed attempt costs money too, so every NodeError carries the partial result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any


@dataclass(frozen=True)
class AiCall:
    """One answered model call. `usage` is the provider's own usage object as a dict, or None if it sent none."""

    provider: str
    model: str
    usage: Mapping[str, Any] | None
    response_id: str = ""
    streamed: bool = False


@dataclass(frozen=True)
class HttpUse:
    """HTTP traffic of one attempt; bytes are those of the bodies, errors are 4xx and 5xx answers."""

    requests: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    errors: int = 0


@dataclass(frozen=True)
class CodeUse:
    """What a subprocess used: CPU time (user and system) in microseconds, peak resident memory in bytes."""

    cpu_us: int
    max_rss_bytes: int


@dataclass(frozen=True)
class PluginUse:
    """What a plugin did, in its own units (pages, credits)."""

    plugin_id: str
    invocations: int
    units: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True)
class NodeResult:
    """The outcome of one attempt, whole or partial. `output` is what the nodes after it may read."""

    output: Any = None
    ai: tuple[AiCall, ...] = ()
    http: HttpUse | None = None
    code: CodeUse | None = None
    plugin: PluginUse | None = None


class NodeError(Exception):
    """An attempt failed. `result` holds what it used until then; `retryable` says whether trying again may help."""

    def __init__(self, message: str, *, result: NodeResult | None = None, retryable: bool = False) -> None:
        super().__init__(message)
        self.result = result or NodeResult()
        self.retryable = retryable


class NodeTimeout(NodeError, TimeoutError):
    """The attempt took longer than the node's `timeout_seconds`."""


class MemoryBreach(NodeError):
    """The attempt asked for more memory than the node's `memory_limit_bytes`."""


class NodeCancelled(NodeError):
    """The attempt was stopped because its run was cancelled."""
