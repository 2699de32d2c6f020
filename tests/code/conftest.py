"""Code runs on real processes, with the sandbox if this machine has one and always without."""

from __future__ import annotations

import pytest

from taximeter.code import Sandbox, sandbox


@pytest.fixture(params=list(Sandbox))
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """Where the code of the test runs; skips where bubblewrap is asked for and does not work."""
    wanted: Sandbox = request.param
    if wanted is Sandbox.NONE:
        monkeypatch.setattr(sandbox, "bubblewrap", lambda: None)
    elif sandbox.bubblewrap() is None:
        pytest.skip("bubblewrap is not installed, or may not make namespaces here")
    return wanted
