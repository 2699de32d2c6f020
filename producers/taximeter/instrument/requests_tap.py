"""The tap of requests. It sits on urllib3, where its bytes can be seen; so each try is counted there, and once.

With requests tapped and urllib3 not, urllib3 is observed only on behalf of requests. An adapter that reaches the wire
by other means is looked at from the session: its answer's body, if the session has read it, is what is counted.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from taximeter.instrument.exchange import Exchange
from taximeter.instrument.patches import Patches
from taximeter.instrument.policy import Policy
from taximeter.instrument.state import Watch, asked_of, inside_requests, policy_of, watching

NAME = "requests"


def wrap(module: ModuleType, patches: Patches) -> None:
    """Tap the module `requests`."""
    patches.wrap(module.Session, "send", _send)


def _send(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    policy = policy_of(NAME)
    if policy is None:
        return wrapped(*args, **kwargs)
    exchange = _exchange(policy, args, kwargs)
    watch = Watch()
    watched, inside = watching.set(watch), inside_requests.set(True)
    try:
        response = wrapped(*args, **kwargs)
    except BaseException as error:
        if exchange is not None and not watch.seen:
            exchange.failed(error)
        raise
    finally:
        inside_requests.reset(inside)
        watching.reset(watched)
    if exchange is not None and not watch.seen:
        _in_hindsight(exchange, response)
    around = watching.get()
    if around is not None:
        around.seen = True
    return response


def _exchange(policy: Policy, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Exchange | None:
    try:
        request = args[0] if args else kwargs["request"]
        exchange = Exchange(policy, asked_of(request.method, request.url, request.headers.get("Host")))
        if isinstance(request.body, bytes | str):
            exchange.sending(request.body)
    except Exception as error:  # noqa: BLE001 - the call goes on, untapped
        policy.faults.note("requests.send", error)
        return None
    return exchange


def _in_hindsight(exchange: Exchange, response: Any) -> None:
    try:
        # With redirects, the answer to this very request is the first; each hop passes here itself.
        response = response.history[0] if response.history else response
        exchange.answered(response.status_code, response.headers.items(), decoded=True)
        # Only what the session has read: a stream is read by the caller, and not by us.
        read = vars(response).get("_content")
        if isinstance(read, bytes):
            exchange.feed(read)
            exchange.complete()
        else:
            exchange.closed()
    except Exception as error:  # noqa: BLE001 - the caller has the answer
        exchange.faults.note("requests.response", error)
