"""The units that have prices, as data: what the SQL of a cost, its Python twin, the book and the reports are made from.

The token counters of a call overlap (input includes cache reads, output includes reasoning). They are split into cells
that do not: a cell is its own count `minus` some counts `plus` others. Each cell has a price of its own or takes the
first that its `prices_of` knows, as providers charge it: cached audio without a price costs what a cache read does.

Sources of the splits: the OpenTelemetry GenAI conventions for what includes what, and the decomposition of
`genai-prices`, against which every price of a call is held by test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Side = Literal["input", "output", "beside"]

MODEL_TOKENS: Final = 1_000_000
"""Prices of tokens are shown for a million."""

PLUGIN: Final = "plugin"
"""The book's provider of plugin units; the model is the plugin."""
RESOURCE: Final = "resource"
"""The book's provider of what the executor itself uses; its model is empty."""
STANDARD: Final = "standard"
"""The service tier of a price that says no other."""


@dataclass(frozen=True)
class Unit:
    """One unit of a model call.

    `column` is the counter of stored_events, empty where the count stands in `ai_units` under the unit's name.
    `prices_of` are the units whose price it takes where it has none of its own, in order. A unit that is not
    `required` costs nothing where it has no price: it is a fee that only some models have. `per` and `noun` are for
    people: so many of them make a price worth reading.
    """

    name: str
    side: Side
    column: str = ""
    minus: tuple[str, ...] = ()
    plus: tuple[str, ...] = ()
    prices_of: tuple[str, ...] = ()
    required: bool = True
    per: int = MODEL_TOKENS
    noun: str = "tokens"


def _input(name: str, *prices_of: str, column: str = "", minus: tuple[str, ...] = ()) -> Unit:
    return Unit(name, "input", column, minus, prices_of=(*prices_of, "input_tokens"))


def _output(name: str, column: str = "") -> Unit:
    return Unit(name, "output", column, prices_of=("output_tokens",))


_CACHED_MEDIA: Final = ("cache_audio_read_tokens", "cache_image_read_tokens")
_INPUT_PARTS: Final = (
    "cache_read_tokens",
    "cache_write_tokens",
    "input_audio_tokens",
    "input_image_tokens",
    "input_video_tokens",
)
_OUTPUT_PARTS: Final = (
    "reasoning_tokens",
    "output_audio_tokens",
    "output_image_tokens",
    "output_video_tokens",
    "citation_tokens",
)

UNITS: Final[tuple[Unit, ...]] = (
    Unit("input_tokens", "input", "input_tokens", minus=_INPUT_PARTS, plus=_CACHED_MEDIA),
    _input("cache_read_tokens", column="cache_read_tokens", minus=_CACHED_MEDIA),
    _input("cache_write_tokens", column="cache_write_tokens", minus=("cache_write_1h_tokens",)),
    _input("cache_write_1h_tokens", "cache_write_tokens"),
    _input("input_audio_tokens", minus=("cache_audio_read_tokens",)),
    _input("cache_audio_read_tokens", "cache_read_tokens", "input_audio_tokens"),
    _input("input_image_tokens", minus=("cache_image_read_tokens",)),
    _input("cache_image_read_tokens", "cache_read_tokens", "input_image_tokens"),
    _input("input_video_tokens"),
    Unit("output_tokens", "output", "output_tokens", minus=_OUTPUT_PARTS),
    _output("reasoning_tokens", column="reasoning_tokens"),
    _output("output_audio_tokens"),
    _output("output_image_tokens"),
    _output("output_video_tokens"),
    _output("citation_tokens"),
    Unit("audio_ms", "beside", "audio_ms", per=60_000, noun="minute of audio"),
    Unit("characters", "beside", "characters", noun="characters"),
    Unit("images", "beside", "images", per=1, noun="image"),
    Unit("requests", "beside", required=False, per=1_000, noun="requests"),
    Unit("web_searches", "beside", per=1_000, noun="web searches"),
    Unit("storage_searches", "beside", per=1_000, noun="file searches"),
    Unit("document_pages", "beside", minus=("annotated_document_pages",), per=1_000, noun="pages"),
    Unit("annotated_document_pages", "beside", prices_of=("document_pages",), per=1_000, noun="annotated pages"),
)
UNIT: Final = {unit.name: unit for unit in UNITS}

RESOURCES: Final[tuple[Unit, ...]] = (
    Unit("executions", "beside", "executions", required=False, per=1_000, noun="node executions"),
    Unit("cpu_us", "beside", "cpu_us", required=False, per=3_600_000_000, noun="hour of CPU time"),
    Unit("http_requests", "beside", "http_requests", required=False, per=1_000, noun="HTTP requests"),
    Unit("http_bytes_out", "beside", "http_bytes_out", required=False, per=10**9, noun="GB sent"),
    Unit("http_bytes_in", "beside", "http_bytes_in", required=False, per=10**9, noun="GB received"),
)
RESOURCE_UNIT: Final = {unit.name: unit for unit in RESOURCES}

INVOCATIONS: Final = "plugin_invocations"
"""The unit of a plugin that is priced by the call; its own units are priced under their own names."""

REQUESTS: Final = "requests"
"""How many calls an event adds up; an event that does not say so is one call, if it counted anything."""
CALLS: Final = "calls"
"""The unit of a charge that stands for a call as a whole: what the provider stated, what nobody knows."""


def described(provider: str, unit: str) -> tuple[int, str]:
    """How a price of `unit` is shown: for how many of it, and what they are called."""
    known = RESOURCE_UNIT.get(unit) if provider == RESOURCE else None if provider == PLUGIN else UNIT.get(unit)
    return (known.per, known.noun) if known else (1, unit)
