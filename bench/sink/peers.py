"""Environments for the stream libraries that are compared: one each, for their needs exclude each other's and ours.

Every version is pinned. An environment counts as made once everything is in it, so a broken attempt is made again. No
network, or a library that does not install here: the peer is left out and the report says why.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_PLACE = _ROOT / ".venv-peers"
PEERS = ("arroyo", "quix")
_TIMEOUT_SECONDS = 900


def interpreters(say: Callable[[str], None], *, make: bool) -> tuple[dict[str, Path], dict[str, str]]:
    """Peer -> interpreter of its environment, and peer -> why there is none. With `make`, missing ones are made."""
    found: dict[str, Path] = {}
    missing: dict[str, str] = {}
    for peer in PEERS:
        python, pins = _PLACE / peer / "bin" / "python", _pins(peer)
        if not _is_ready(peer):
            if not make:
                missing[peer] = f"{peer}: its environment is not there"
                continue
            say(f"making an environment for {peer}")
            problem = _make(_PLACE / peer, python, pins)
            if problem is not None:
                missing[peer] = f"{peer}: {problem}"
                continue
            _mark(peer).write_text(pins.read_text(encoding="utf-8"), encoding="utf-8")
        found[peer] = python
    return found, missing


def _make(folder: Path, python: Path, pins: Path) -> str | None:
    """Makes it; what went wrong, or None."""
    steps = (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r", str(pins)],
    )
    for step in steps:
        try:
            done = subprocess.run(step, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return f"took longer than {_TIMEOUT_SECONDS} s to install"
        if done.returncode:
            return "does not install here"
    return None


def _is_ready(peer: str) -> bool:
    mark = _mark(peer)
    return mark.exists() and mark.read_text(encoding="utf-8") == _pins(peer).read_text(encoding="utf-8")


def _mark(peer: str) -> Path:
    return _PLACE / peer / ".ready"


def _pins(peer: str) -> Path:
    return _ROOT / "bench" / f"peers-{peer}-constraints.txt"
