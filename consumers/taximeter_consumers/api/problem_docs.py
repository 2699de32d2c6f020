"""The refusals of a route, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

from taximeter_consumers.api.models.problem import ProblemModel
from taximeter_consumers.api.problems import KINDS, MEDIA_TYPE

ALWAYS: Final = (
    "bad-request",
    "no-key",
    "scope-missing",
    "body-too-large",
    "url-too-long",
    "invalid",
    "headers-too-large",
    "unavailable",
)


def refusals(*slugs: str) -> dict[int | str, dict[str, Any]]:
    """The responses of a route that needs a key or a token: those of every one, and these, which go before."""
    found: dict[int | str, dict[str, Any]] = {}
    for slug in (*slugs, *ALWAYS):
        status, title = KINDS[slug]
        described = {
            "description": title,
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": f"#/components/schemas/{ProblemModel.__name__}"},
                    "example": {
                        "type": f"/docs#{slug}",
                        "title": title,
                        "status": status,
                        "detail": _DETAILS.get(slug, "what to do stands here"),
                        "instance": "5f0c6f5f3d1b4d0f9a2e7c11",
                    },
                }
            },
        }
        found.setdefault(status, described)
    return found


_DETAILS: Final = {
    "no-key": "send a key as `Authorization: Bearer tm_...`; an operator makes one with `taximeter keys create`",
    "no-token": "send `Authorization: Embed <token>` of POST /v1/embed-tokens",
    "scope-missing": "use a key with the scope read; this one has ingest",
    "not-found": "there is no such run for this key; look at the id and at accountId",
    "invalid": "correct from: write an instant like 2026-11-01T12:00:00Z or a day like 2026-11-01",
    "unavailable": "try again in a few seconds; nothing was changed",
    "bad-request": "send JSON",
    "quota-exceeded": "account/acme has used 50,000 of 50,000 total_tokens this month; 0 are left",
    "too-many-requests": "try again after the seconds in Retry-After",
    "conflict": "the reservation is settled already; its work counts",
}
