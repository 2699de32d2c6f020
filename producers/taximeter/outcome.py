"""How an attempt ended, read from the exception that left it.

Exceptions are told apart by the names of their classes, so that no library has to be imported to recognise its errors.
"""

from __future__ import annotations

from taximeter.redact import LOOKED_AT
from taximeter_schemas.words import Outcome

# Timeouts that do not descend from the built-in TimeoutError.
_TIMEOUTS = frozenset(
    {
        "builtins.TimeoutError",
        "subprocess.TimeoutExpired",
        "httpx.TimeoutException",
        "httpx2.TimeoutException",
        "httpcore.TimeoutException",
        "requests.exceptions.Timeout",
        "urllib3.exceptions.TimeoutError",
        "openai.APITimeoutError",
        "anthropic.APITimeoutError",
        "trio.TooSlowError",
    }
)

# SystemExit is one too: the process was asked to stop, the node did not fail.
_CANCELLED = frozenset(
    {
        "asyncio.exceptions.CancelledError",
        "concurrent.futures._base.CancelledError",
        "trio.Cancelled",
        "builtins.GeneratorExit",
        "builtins.KeyboardInterrupt",
        "builtins.SystemExit",
    }
)


def outcome_of(error: BaseException | None) -> Outcome:
    """success without an error; a group of errors is what all its members agree on, else error."""
    if error is None:
        return Outcome.SUCCESS
    if isinstance(error, BaseExceptionGroup):
        members = {outcome_of(member) for member in error.exceptions}
        return members.pop() if len(members) == 1 else Outcome.ERROR
    names = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
    if names & _CANCELLED:
        return Outcome.CANCELLED
    return Outcome.TIMEOUT if names & _TIMEOUTS else Outcome.ERROR


def message_of(error: BaseException) -> str:
    """The kind and the text of an error, not yet redacted. An error that cannot say its text gives its kind."""
    kind = type(error).__name__
    try:
        said = str(error)
    except Exception:  # noqa: BLE001 - a broken __str__ of the host's is no fault of the node
        return kind
    return f"{kind}: {said[: LOOKED_AT + 1]}" if said else kind
