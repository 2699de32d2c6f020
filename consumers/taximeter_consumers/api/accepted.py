"""Which form of an answer an `Accept` header asks for. Pure; RFC 9110, section 12.5.1."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")


def accepted(header: str | None, forms: Mapping[str, T]) -> T | None:
    """The form that is wanted most; of equals, and without a header, the first. None: none of them will do."""
    if not header or not header.strip():
        return next(iter(forms.values()))
    wishes = [_wish(part) for part in header.split(",")[:50] if part.strip()]
    best: tuple[float, T] | None = None
    for media, form in forms.items():
        quality = _quality(media, wishes)
        if quality > 0 and (best is None or quality > best[0]):
            best = (quality, form)
    return best[1] if best else None


def _wish(part: str) -> tuple[str, float]:
    media, *parameters = (piece.strip().lower() for piece in part.split(";"))
    said = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
    try:
        quality = float(said)
    except ValueError:
        quality = 0.0
    return media, quality if 0 <= quality <= 1 else 0.0


def _quality(media: str, wishes: list[tuple[str, float]]) -> float:
    """By the most particular range that fits."""
    kind = media.split("/")[0]
    for fitting in (media, f"{kind}/*", "*/*"):
        found = [quality for wish, quality in wishes if wish == fitting]
        if found:
            return max(found)
    return 0.0
