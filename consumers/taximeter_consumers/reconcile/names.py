"""How a name on a bill and a name in an event find each other. Pure.

A metered model goes by its name in the price book where it has one. A billed name is matched to those by the rules of
`pricing.match`, so `gpt-4o-2024-08-06` meets `gpt-4o`; names for people (`Claude Haiku 4.5`) are spelled as an API
would first. What meets nothing stays under its own name.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from taximeter_consumers.pricing.match import match

_NOT_IN_NAMES: Final = re.compile(r"[\s._]+")


def billed_by(event_provider: str, providers: Collection[str]) -> str | None:
    """Whose bill an event's call is on: the provider itself, or one of its APIs (`openai.responses`).

    A reseller (`azure`) sends bills of its own. A bill of nobody (an empty name) has every call on it.
    """
    name = event_provider.strip().lower()
    for provider in providers:
        if name == provider or name.startswith((f"{provider}.", f"{provider}/", f"{provider}:")):
            return provider
    return "" if "" in providers else None


def metered_name(model: str, book_model: str) -> str:
    """What a metered model is called in the comparison."""
    return book_model or model.strip()


def meet(billed: str, metered: Collection[tuple[str, str]]) -> str:
    """The metered name that a billed one means, or the billed name where there is none or more than one.

    `metered` are (provider as the price book has it, name)."""
    for name in (billed, as_in_api(billed)):
        found = {match(provider, name, metered) for provider in {provider for provider, _ in metered}} - {None}
        if len(found) == 1:
            return next(model for one in found if one for model in one[1:])
    return billed


def as_in_api(name: str) -> str:
    """`Claude Haiku 4.5` as `claude-haiku-4-5`."""
    return _NOT_IN_NAMES.sub("-", name.strip().lower())
