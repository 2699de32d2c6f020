"""Forked processes: they run, end, die and are told of like others, with an environment and a log of their own."""

from __future__ import annotations

import signal
from pathlib import Path

from chaos.process import KILLED, Process
from taximeter_consumers.failpoints import VARIABLE


def _start(folder: Path, *words: str, **environment: str) -> Process:
    return Process.start("one", ("python", "-m", *words), folder / "log", environment)


def test_it_ends_with_its_own_code_and_log(tmp_path: Path) -> None:
    """What the module writes is in its log; its exit code is the process's."""
    process = _start(tmp_path, "taximeter_infra", "--version")
    process.await_end()
    assert (process.child.exit_code, process.log().split()[0]) == (0, "taximeter")
    refused = _start(tmp_path, "taximeter_infra", "no-such-command")
    refused.await_end()
    assert (refused.child.exit_code, refused.failed) == (2, True)


def test_a_failpoint_of_its_environment_is_heeded(tmp_path: Path) -> None:
    """The variable is read when a process starts, and a fork starts anew."""
    process = _start(tmp_path, "taximeter_infra", "--version", **{VARIABLE: "sink.after_lunch"})
    process.await_end()
    assert process.child.exit_code != 0
    assert process.says("sink.after_lunch")


def test_kill_9_and_a_clean_stop(tmp_path: Path) -> None:
    """A killed one is dead at once; one that is asked may put its things in order."""
    words = ("http.server", "--bind", "127.0.0.1", "0")
    killed = _start(tmp_path, *words)
    killed.kill()
    assert (killed.child.exit_code, killed.died, killed.failed) == (KILLED, True, False)
    stopped = _start(tmp_path, *words)
    assert stopped.running
    assert stopped.child.stop() == 128 + signal.SIGTERM


def test_who_is_stopped_before_a_word_has_not_failed(tmp_path: Path) -> None:
    """It did not listen yet; one that has spoken did."""
    words = ("http.server", "--bind", "127.0.0.1", "0")
    early = _start(tmp_path, *words)
    early.stop()
    assert (early.child.exit_code, early.failed) == (128 + signal.SIGTERM, False)
    late = _start(tmp_path, *words)
    (tmp_path / "log").write_text("at work\n")
    late.stop()
    assert (late.child.exit_code, late.failed) == (128 + signal.SIGTERM, True)
