"""Who asks: the caller's key, its scopes, and the one account that it may see.

The form and the secret are compared in constant time, and every refusal reads the same, so that nothing is learned of
keys. What belongs to another account is not found, whether it exists or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Header, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from taximeter_consumers.api.inputs import Name
from taximeter_consumers.api.keys import ALL_ACCOUNTS, Key, Scope, presented
from taximeter_consumers.api.problems import Problem, not_found

if TYPE_CHECKING:
    from collections.abc import Callable

from taximeter_consumers.api.services import Services

_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="bearer",
    bearerFormat="tm_<id>_<secret>",
    description="`Authorization: Bearer tm_...`",
)
_header = APIKeyHeader(
    name="X-API-Key", auto_error=False, scheme_name="header", description="The same key in a header of its own"
)
_NO_KEY = "send a key as `Authorization: Bearer tm_...`; an operator makes one with `taximeter keys create`"


@dataclass(frozen=True)
class Caller:
    """Whoever sent the request, by its key."""

    key: Key

    @property
    def sees_all(self) -> bool:
        """An operator's key."""
        return self.key.account_id == ALL_ACCOUNTS

    def account(self, asked: str | None) -> str:
        """The account that the answer is about; empty: all of them, for an operator who names none.

        Raises the problem not-found for an account that is not the key's."""
        if self.sees_all:
            return asked or ""
        if asked is not None and asked != self.key.account_id:
            raise not_found("account")
        return self.key.account_id

    def require(self, scope: Scope) -> None:
        """Raises the problem scope-missing."""
        if not self.key.may(scope):
            raise Problem("scope-missing", f"use a key with the scope {scope.value}; this one has {_listed(self.key)}")


def the_services(request: Request) -> Services:
    """What the application was made with."""
    services: Services = request.app.state.services
    return services


Using = Annotated[Services, Depends(the_services)]


def the_caller(
    request: Request,
    services: Using,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    header: Annotated[str | None, Security(_header)],
) -> Caller:
    """The caller of a request. Raises the problem no-key."""
    shown = presented(bearer.credentials if bearer is not None else header or "")
    key = services.keys.get(shown.key_id) if shown is not None else None
    if shown is None or key is None or not key.opens(shown.secret, services.now()):
        services.metrics.refused_keys.inc()
        raise Problem("no-key", _NO_KEY, headers={"WWW-Authenticate": 'Bearer realm="taximeter"'})
    request.state.key_id = key.key_id
    return Caller(key)


def having(scope: Scope) -> Callable[..., Caller]:
    """A dependency: the caller, who has a scope."""

    def caller_with_scope(caller: Annotated[Caller, Depends(the_caller)]) -> Caller:
        caller.require(scope)
        return caller

    return caller_with_scope


Reader = Annotated[Caller, Depends(having(Scope.READ))]
Biller = Annotated[Caller, Depends(having(Scope.BILLING))]
Ingester = Annotated[Caller, Depends(having(Scope.INGEST))]
Admin = Annotated[Caller, Depends(having(Scope.ADMIN))]


def the_operator(caller: Admin) -> Caller:
    """An operator's key with the scope admin: settings are not changed by those whom they bind."""
    if not caller.sees_all:
        raise Problem("scope-missing", "use an operator's key: this one is bound to an account")
    return caller


Operator = Annotated[Caller, Depends(the_operator)]
IdempotencyKey = Annotated[
    Name | None,
    Header(alias="Idempotency-Key", description="Of your own; a repeat with it is the same and counts once"),
]


def _listed(key: Key) -> str:
    return ", ".join(sorted(key.scopes)) or "none"
