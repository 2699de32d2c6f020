"""Which libraries are tapped, and the watch for those that are imported later."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from types import ModuleType

from taximeter.instrument.estimate import load_vocabulary
from taximeter.instrument.exchange import any_hiding
from taximeter.instrument.policy import Policy
from taximeter.instrument.state import TAPPED
from taximeter_schemas.errors import Misconfigured

try:
    import wrapt
except ImportError as missing:
    raise Misconfigured(
        "taps on HTTP libraries need wrapt, which is not installed", mend="pip install wrapt"
    ) from missing

from taximeter.instrument.patches import Patches

_lock = threading.RLock()


def _renew() -> None:
    # In a forked child, another thread may have held it for ever.
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_renew)

_patches: dict[str, Patches] = {}
_watched: set[str] = set()


def tap(policy: Policy, libraries: tuple[str, ...]) -> list[str]:
    """Tap what is imported, watch for the rest; the names of those tapped now."""
    with _lock:
        TAPPED.policy, TAPPED.libraries = policy, frozenset(libraries)
        for library in libraries:
            # requests sends by urllib3, and that is where its bytes can be seen.
            for name in ("urllib3", "requests") if library == "requests" else (library,):
                _watch(name)
    if policy.estimate:
        load_vocabulary()
    return [library for library in libraries if library in _patches]


def untap() -> None:
    """Unwrap everything. Hooks on later imports stay, and do nothing.

    While a stream is read of which a part is hidden, the wrappers stay as well, and touch nothing but that stream.
    """
    with _lock:
        TAPPED.policy, TAPPED.libraries = None, frozenset()
        while _patches and not any_hiding():
            _patches.popitem()[1].undo()


def _watch(library: str) -> None:
    module = sys.modules.get(library)
    # One that another thread is importing right now is not whole yet.
    if module is not None and not getattr(module.__spec__, "_initializing", False):
        _tap(module)
    if library not in _watched:
        _watched.add(library)
        wrapt.register_post_import_hook(_tap, library)


def _tap(module: ModuleType) -> None:
    """Runs inside the host's import statement, so it must not raise."""
    library = module.__name__
    with _lock:
        policy = TAPPED.policy
        wanted = library in TAPPED.libraries or (library == "urllib3" and "requests" in TAPPED.libraries)
        if policy is None or not wanted or library in _patches:
            return
        patches = Patches()
        try:
            importlib.import_module(f"taximeter.instrument.{library}_tap").wrap(module, patches)
        except Exception as error:  # noqa: BLE001 - a library of another shape is not tapped, and works
            patches.undo()
            policy.faults.note(f"instrument.{library}", error)
        else:
            _patches[library] = patches
