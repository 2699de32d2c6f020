"""Code nodes: untrusted code in a process of its own, with limits, measured, and nothing of it left behind.

Linux only. `docs/code-nodes.md` says what is isolated and what is not.
"""

from __future__ import annotations

from taximeter.code.limits import CodeLimits
from taximeter.code.result import CodeResult, CodeStatus, Sandbox
from taximeter.code.running import arun_code, run_code

__all__ = ["CodeLimits", "CodeResult", "CodeStatus", "Sandbox", "arun_code", "run_code"]
