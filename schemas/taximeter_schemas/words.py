"""The closed word lists of an event. Apart from it, because the SDK's hooks need the words and not the models."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What an event stands for."""

    UNKNOWN = "unknown"
    NODE = "node"
    USAGE = "usage"
    ADJUSTMENT = "adjustment"


class Outcome(StrEnum):
    """How an attempt ended."""

    UNKNOWN = "unknown"
    SUCCESS = "success"
    ERROR = "error"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"


class Context(StrEnum):
    """Who caused the use: a customer's run, or the platform's own work."""

    UNKNOWN = "unknown"
    CUSTOMER = "customer"
    SYSTEM = "system"


class UsageType(StrEnum):
    """What a model worked on."""

    UNKNOWN = "unknown"
    TEXT = "text"
    EMBEDDING = "embedding"
    AUDIO_STT = "audio_stt"
    AUDIO_TTS = "audio_tts"
    IMAGE = "image"


class Quality(StrEnum):
    """How far the counters of an AI use can be trusted."""

    UNKNOWN = "unknown"
    REPORTED = "reported"
    MEASURED = "measured"
    ESTIMATED = "estimated"
    PARTIAL = "partial"
    MISSING = "missing"
