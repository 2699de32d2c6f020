"""All probes side by side, each with its time limit: who is away hides nobody else.

A probe runs on a thread of its own that may outlive its limit. It is told as one that does not answer, and is not
started again before it has ended.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from taximeter_infra.status.facts import Trouble
from taximeter_schemas.errors import Misconfigured, TaximeterError

if TYPE_CHECKING:
    from collections.abc import Sequence

Ask = Callable[[], Any]
LIMIT_SECONDS: Final = 3.0


class Lookout:
    """Runs probes by name. `mends`: what to do where a probe finds nobody; a Misconfigured brings its own."""

    def __init__(self, probes: Mapping[str, Ask], mends: Mapping[str, str], limit: float = LIMIT_SECONDS) -> None:
        self._probes = probes
        self._mends = mends
        self._limit = limit
        self._running: dict[str, tuple[threading.Thread, float]] = {}

    def look(self) -> dict[str, Any]:
        """The answer of each probe, or the Trouble that it met."""
        answers: dict[str, Any] = {}
        began = time.monotonic()
        for name, ask in self._probes.items():
            thread, _ = self._running.get(name, (None, 0.0))
            if thread is not None and thread.is_alive():
                continue
            thread = threading.Thread(target=self._ask, args=(name, ask, answers), name=f"status-{name}", daemon=True)
            self._running[name] = (thread, began)
            thread.start()
        for thread, _ in list(self._running.values()):
            thread.join(max(began + self._limit - time.monotonic(), 0.0))
        found = dict(answers)
        for name, (_, since) in self._running.items():
            if name not in found:
                seconds = time.monotonic() - since
                found[name] = Trouble(f"no answer for {seconds:.0f} s", self._mends.get(name, ""))
        return found

    @property
    def busy(self) -> Sequence[str]:
        """The probes that have not ended."""
        return [name for name, (thread, _) in self._running.items() if thread.is_alive()]

    def _ask(self, name: str, ask: Ask, answers: dict[str, Any]) -> None:
        try:
            answers[name] = ask()
        except Misconfigured as error:
            answers[name] = Trouble(error.problem, error.mend)
        except TaximeterError as error:
            answers[name] = Trouble(str(error), self._mends.get(name, ""))
        # A look must end whatever it meets; what was met is shown.
        except Exception as error:  # noqa: BLE001
            answers[name] = Trouble(f"{type(error).__name__} while looking: {error}")
