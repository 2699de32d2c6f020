"""Which sites may show the page in a frame. Pure."""

from __future__ import annotations

import re
from typing import Final

SELF: Final = "'self'"
_ORIGIN: Final = re.compile(r"https?://(?:[a-z0-9-]+\.)*[a-z0-9-]+(?::\d{1,5})?|https?://\[[0-9a-f:]+\](?::\d{1,5})?")


def origins_of(text: str) -> tuple[str, ...]:
    """Origins of a setting, apart by commas or spaces; `self` is this API's own. Raises ValueError for what is none."""
    found = []
    for word in text.replace(",", " ").split():
        origin = word.lower().rstrip("/")
        if origin in ("self", SELF):
            found.append(SELF)
        elif _ORIGIN.fullmatch(origin):
            found.append(origin)
        else:
            raise ValueError(f"{word!r} is no origin; write one like https://app.example.com")
    return tuple(dict.fromkeys(found)) or (SELF,)


def policy(origins: tuple[str, ...]) -> str:
    """The content security policy of the page."""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none';"
        f" form-action 'none'; frame-ancestors {' '.join(origins)}"
    )
