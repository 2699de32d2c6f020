"""`GET /v1/key`: whose key the caller has. For pages and tools that are given a key and nothing else."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from taximeter_consumers.api.access import Caller, the_caller
from taximeter_consumers.api.models.key import KeyAnswer
from taximeter_consumers.api.problem_docs import refusals

router = APIRouter(prefix="/v1", tags=["account"])


@router.get("/key", operation_id="readKey", summary="The key that asks", responses=refusals())
def read_key(caller: Annotated[Caller, Depends(the_caller)]) -> KeyAnswer:
    """The account and the scopes of the key that the request is sent with. Any key may ask."""
    key = caller.key
    return KeyAnswer(
        key_id=key.key_id,
        name=key.name,
        account_id=None if caller.sees_all else key.account_id,
        scopes=sorted(key.scopes),
        expires_at=key.expires_at,
    )
