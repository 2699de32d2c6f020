"""The taps of httpx and of httpx2, which have the same shape: its transports, and clients with a transport of others.

A transport of the library itself is tapped on the wire: each hop of a redirect and each try of a retrying transport is
a request. Other transports are looked at from the client: what a tap below has seen is counted there, else the client's
request and answer are taken as what crossed the wire.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from taximeter.instrument.httpx_call import Call, Family
from taximeter.instrument.patches import Patches, Wrapper
from taximeter.instrument.state import Watch, watching

_SYNC = ("HTTPTransport", "MockTransport", "WSGITransport")
_ASYNC = ("AsyncHTTPTransport", "MockTransport", "ASGITransport")


def tap_family(module: ModuleType, library: str, patches: Patches) -> None:
    """Wrap the transports and clients of the module."""
    family = Family(module, library)
    for name in _SYNC:
        patches.wrap(getattr(module, name), "handle_request", _transport(family))
    for name in _ASYNC:
        patches.wrap(getattr(module, name), "handle_async_request", _async_transport(family))
    patches.wrap(module.Client, "_send_single_request", _client(family))
    patches.wrap(module.AsyncClient, "_send_single_request", _async_client(family))


def _transport(family: Family) -> Wrapper:
    def handle(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call = Call.begin(family, args, kwargs, is_async=False)
        if call is None:
            return wrapped(*args, **kwargs)
        try:
            response = wrapped(call.request)
        except BaseException as error:
            call.exchange.failed(error)
            raise
        finally:
            call.restore()
        return call.answered(response)

    return handle


def _async_transport(family: Family) -> Wrapper:
    async def handle(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call = Call.begin(family, args, kwargs, is_async=True)
        if call is None:
            return await wrapped(*args, **kwargs)
        try:
            response = await wrapped(call.request)
        except BaseException as error:
            call.exchange.failed(error)
            raise
        finally:
            call.restore()
        return call.answered(response)

    return handle


def _client(family: Family) -> Wrapper:
    def send(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call = Call.look(family, args, kwargs, is_async=False)
        if call is None:
            return wrapped(*args, **kwargs)
        watch = Watch()
        token = watching.set(watch)
        try:
            response = wrapped(*args, **kwargs)
        except BaseException as error:
            if not watch.seen:
                call.exchange.failed(error)
            raise
        finally:
            watching.reset(token)
        return response if watch.seen else call.answered_in_hindsight(response)

    return send


def _async_client(family: Family) -> Wrapper:
    async def send(wrapped: Any, _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call = Call.look(family, args, kwargs, is_async=True)
        if call is None:
            return await wrapped(*args, **kwargs)
        watch = Watch()
        token = watching.set(watch)
        try:
            response = await wrapped(*args, **kwargs)
        except BaseException as error:
            if not watch.seen:
                call.exchange.failed(error)
            raise
        finally:
            watching.reset(token)
        return response if watch.seen else call.answered_in_hindsight(response)

    return send
