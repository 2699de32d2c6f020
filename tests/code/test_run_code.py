"""Untrusted code on real processes: how it ends, what is measured, and that nothing of it stays."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from tests.code.processes import children_of_this_process, mark, with_argument

from taximeter.code import CodeLimits, CodeResult, CodeStatus, Sandbox, run_code, sandbox
from taximeter.testing import memory_meter
from taximeter_schemas.errors import Misconfigured

MIB = 1024 * 1024
SHORT = CodeLimits(wall_seconds=1.0)


def said(result: CodeResult) -> str:
    """The output of code that went well."""
    assert result.ok, (result.reason, result.stderr)
    return result.stdout.decode().strip()


def test_source_runs_and_is_measured(where: Sandbox) -> None:
    """Output, exit code, CPU time and peak memory are those of the code; CPU time fits into the wall time."""
    result = run_code("import sys; print(sum(range(10**6))); print('warned', file=sys.stderr)")
    assert (said(result), result.stderr, result.exit_code, result.signal) == ("499999500000", b"warned\n", 0, None)
    assert result.sandbox is where
    assert result.reason == ""
    assert result.cpu_us is not None
    assert 0 < result.cpu_us < result.wall_us * 2 * (os.cpu_count() or 1)
    assert result.max_rss_bytes is not None
    assert MIB < result.max_rss_bytes < 512 * MIB


def test_the_peak_memory_is_the_codes_and_not_the_hosts(where: Sandbox) -> None:
    """What the host holds is not counted as the code's, though a fork has copied it."""
    ballast = bytearray(200 * MIB)
    small = run_code("pass")
    large = run_code(f"b = bytearray({100 * MIB}); b[::4096] = b'x' * len(b[::4096])")
    assert len(ballast)
    assert small.max_rss_bytes is not None
    assert large.max_rss_bytes is not None
    assert small.max_rss_bytes < 100 * MIB < large.max_rss_bytes


def test_the_cpu_time_of_children_counts(where: Sandbox) -> None:
    """Also of those that nobody waited for."""
    burn = "import time\\nwhile time.process_time() < 0.3: pass"
    code = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, '-c', '{burn}'], stdout=subprocess.PIPE)
child.stdout.read()
time.sleep(0.2)
"""
    result = run_code(code)
    assert result.ok
    assert result.cpu_us is not None
    assert result.cpu_us >= 300_000


def test_a_command_runs_without_a_shell(where: Sandbox) -> None:
    """Its arguments are what they are."""
    assert said(run_code(["echo", "$HOME; ls"])) == "$HOME; ls"


def test_an_exit_code_and_a_signal_are_told_apart(where: Sandbox) -> None:
    """One of the two is there."""
    failed = run_code("import sys; sys.exit(3)")
    assert (failed.status, failed.exit_code, failed.signal) == (CodeStatus.ERROR, 3, None)
    crashed = run_code("import os; os.abort()")
    assert (crashed.status, crashed.exit_code, crashed.signal) == (CodeStatus.ERROR, None, signal.SIGABRT)


def test_the_environment_is_empty_but_for_a_few(where: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's secrets are not handed down; what is given is."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-yours")
    names = said(run_code("import os; print(*sorted(os.environ))", env={"MODE": "test"})).split()
    assert set(names) <= {"HOME", "LANG", "LC_CTYPE", "MODE", "PATH", "PWD", "TMPDIR"}
    assert "MODE" in names


def test_it_works_in_a_fresh_folder_that_is_deleted(where: Sandbox) -> None:
    """Empty at the start, writable, and gone afterwards."""
    folder = said(run_code("import os; open('made', 'w').close(); print(os.getcwd(), len(os.listdir()))"))
    path, files = folder.split()
    assert files == "1"
    assert not Path(path).parent.exists()


def test_standard_input_is_given_or_closed(where: Sandbox) -> None:
    """Code that reads without being given anything sees the end at once."""
    read = "import sys; print(len(sys.stdin.buffer.read()))"
    assert said(run_code(read)) == "0"
    assert said(run_code(read, stdin=b"x" * 3_000_000)) == "3000000"
    assert said(run_code(read, stdin="é")) == "2"


def test_input_that_nobody_reads_does_no_harm(where: Sandbox) -> None:
    """More than a pipe holds."""
    assert said(run_code("print('done')", stdin=b"x" * 3_000_000)) == "done"


def test_an_endless_loop_is_a_timeout(where: Sandbox) -> None:
    """Its CPU time is known all the same."""
    result = run_code("while True: pass", limits=SHORT)
    assert (result.status, result.signal) == (CodeStatus.TIMEOUT, signal.SIGKILL)
    assert result.cpu_us is not None
    assert result.cpu_us > 100_000


def test_too_much_cpu_time_is_a_timeout(where: Sandbox) -> None:
    """Long before the wall clock's end."""
    result = run_code("while True: pass", limits=CodeLimits(cpu_seconds=0.3, wall_seconds=60))
    assert result.status is CodeStatus.TIMEOUT
    assert result.wall_us < 60_000_000


def test_deaf_code_ends_as_well(where: Sandbox) -> None:
    """Signals that can be ignored are not asked."""
    code = "import signal, time\nfor n in (1, 2, 3, 15): signal.signal(n, signal.SIG_IGN)\ntime.sleep(999)"
    assert run_code(code, limits=SHORT).status is CodeStatus.TIMEOUT


_REFUSED = f"bytearray({10**10})"
_UNTIL_REFUSED = "a = []\nwhile True: a.append(bytearray(10**6))"
_SHARED = f"""
import mmap, time
m = mmap.mmap(-1, {300 * MIB})
for i in range(0, len(m), 4096): m[i] = 1
time.sleep(60)
"""
_SPREAD = f"""
import os, time
for _ in range(4):
    if os.fork() == 0:
        b = bytearray(os.urandom(1)) * {40 * MIB}
        time.sleep(60)
time.sleep(60)
"""


@pytest.mark.parametrize(
    "code", [_REFUSED, _UNTIL_REFUSED, _SHARED, _SPREAD], ids=["once", "often", "shared", "spread"]
)
def test_too_much_memory_is_a_breach(where: Sandbox, code: str) -> None:
    """Asked for by one process, or held by all together."""
    result = run_code(code, limits=CodeLimits(memory_bytes=100 * MIB, wall_seconds=30))
    assert result.status is CodeStatus.MEMORY_BREACH, (result.reason, result.stderr)


def test_forked_memory_is_not_counted_twice(where: Sandbox) -> None:
    """Children that share their parent's pages hold no more than it does."""
    code = f"""
import os, time
b = bytearray({60 * MIB}); b[::4096] = b'x' * len(b[::4096])
pids = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        time.sleep(0.3); os._exit(0)
    pids.append(pid)
for pid in pids: os.waitpid(pid, 0)
print('fine')
"""
    assert said(run_code(code, limits=CodeLimits(memory_bytes=120 * MIB))) == "fine"


def test_a_flood_of_output_is_cut(where: Sandbox) -> None:
    """What fits is kept; both streams share the limit."""
    code = "import os\nwhile True: os.write(1, b'x' * 5000); os.write(2, b'y' * 5000)"
    result = run_code(code, limits=CodeLimits(output_bytes=20_000, wall_seconds=60))
    assert result.status is CodeStatus.OUTPUT_LIMIT
    assert len(result.stdout) + len(result.stderr) == 20_000
    assert result.wall_us < 60_000_000


def test_output_of_exactly_the_limit_is_fine(where: Sandbox) -> None:
    """One byte more is not."""
    limits = CodeLimits(output_bytes=1_000)
    assert run_code("print('x' * 999)", limits=limits).status is CodeStatus.SUCCESS
    assert run_code("print('x' * 1000)", limits=limits).status is CodeStatus.OUTPUT_LIMIT


@pytest.mark.parametrize("escape", ["", "os.setsid()"], ids=["in the group", "each in a session of its own"])
def test_a_crowd_of_processes_is_ended(where: Sandbox, escape: str) -> None:
    """The bomb of this test is bounded by itself: 300 processes and no more, should the limit not work."""
    code = f"""
import os, time
for _ in range(300):
    if os.fork() == 0:
        {escape or "pass"}
        time.sleep(999)
time.sleep(999)
"""
    result = run_code(code, limits=CodeLimits(processes=20, wall_seconds=60))
    assert result.status is CodeStatus.ERROR
    assert "processes" in result.reason


@pytest.mark.parametrize("end", ["", "time.sleep(999)", "os.abort()"], ids=["success", "timeout", "crash"])
def test_nothing_stays_behind(where: Sandbox, end: str) -> None:
    """However the code ends: no grandchild, not even one that left its session and was orphaned, and no zombie."""
    seconds = mark()
    code = f"""
import os, subprocess, time
subprocess.Popen(['sleep', '{seconds}'])
subprocess.Popen(['setsid', 'sleep', '{seconds}'])
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execvp('sleep', ['sleep', '{seconds}'])
    os._exit(0)
{end}
"""
    before = children_of_this_process()
    run_code(code, limits=SHORT)
    assert with_argument(seconds) == []
    assert children_of_this_process() == before


def test_a_large_file_is_refused(where: Sandbox) -> None:
    """The bound is for each file."""
    result = run_code("open('f', 'wb').write(b'x' * 10**7)", limits=CodeLimits(file_bytes=MIB))
    assert result.status is CodeStatus.ERROR


def test_what_cannot_be_run_is_refused_with_the_mend() -> None:
    """Before anything starts."""
    for argv in ([], ["no-such-program-here"], ["/no/such/program"], ["echo", "a\0b"]):
        with pytest.raises(Misconfigured, match="mend"):
            run_code(argv)
    with pytest.raises(Misconfigured, match="environment"):
        run_code("pass", env={"A=B": "c"})
    with pytest.raises(Misconfigured, match="wall_seconds"):
        CodeLimits(wall_seconds=0)
    with pytest.raises(Misconfigured, match="memory_bytes"):
        CodeLimits(memory_bytes=-1)


def test_a_program_that_is_none_is_an_error(where: Sandbox, tmp_path: Path) -> None:
    """It was found, and could not be started."""
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF nonsense")
    broken.chmod(0o755)
    result = run_code([str(broken)])
    assert result.status is CodeStatus.ERROR


def test_the_use_is_recorded_on_the_current_node(where: Sandbox) -> None:
    """CPU time adds up, of the peaks the largest stays, and a breach decides the outcome."""
    with memory_meter() as recorded, recorded.meter.run(account_id="acme") as run:
        with run.node("fine", node_type="code"):
            first = run_code("pass")
            second = run_code("pass")
        with run.node("slow", node_type="code"):
            run_code("while True: pass", limits=CodeLimits(wall_seconds=0.3))
        with run.node("large", node_type="code") as node:
            run_code(f"bytearray({10**10})", node=node)
    events = {name: events[0] for name, events in recorded.by_node().items()}
    code = events["fine"].code
    assert code is not None
    assert code.cpu_us == (first.cpu_us or 0) + (second.cpu_us or 0)
    assert code.max_rss_bytes == max(first.max_rss_bytes or 0, second.max_rss_bytes or 0)
    assert (events["fine"].outcome, events["slow"].outcome, events["large"].outcome) == ("success", "timeout", "error")
    assert (events["slow"].timeout_breaches, events["large"].memory_breaches) == (1, 1)
    assert events["slow"].breach_reason == "it ran longer than the limit"


def test_a_required_sandbox_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than running without it."""
    monkeypatch.setattr(sandbox, "bubblewrap", lambda: None)
    with pytest.raises(Misconfigured, match="bubblewrap"):
        run_code("pass", require_sandbox=True)


def test_inside_the_sandbox_there_is_less() -> None:
    """No network, no other processes, no files of the host's users, and its own source cannot be changed."""
    if sandbox.bubblewrap() is None:
        pytest.skip("bubblewrap is not installed, or may not make namespaces here")
    code = """
import os, pathlib, socket
def tried(what):
    try: return what()
    except OSError as error: return type(error).__name__
print(len([name for name in os.listdir('/proc') if name.isdigit()]) < 5)
print([name for _, name in socket.if_nameindex()] in ([], ['lo']))
print(tried(lambda: open('/etc/shadow').read()))
print(tried(lambda: open('/usr/made', 'w')))
print(tried(lambda: open('../main.py', 'w')))
print(os.getuid())
"""
    result = run_code(code, require_sandbox=True)
    assert said(result).split("\n") == ["True", "True", "FileNotFoundError", "OSError", "OSError", "65534"]


def test_a_program_below_tmp_is_found(where: Sandbox, tmp_path: Path) -> None:
    """Though the sandbox has a /tmp of its own: many a virtual environment lies there."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho found\n", encoding="utf-8")
    program.chmod(0o755)
    assert said(run_code([str(program)])) == "found"


def test_where_the_watcher_is_killed_nothing_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a sandbox the code may kill it; its use is then not known, which is not zero, and the code ends too."""
    monkeypatch.setattr(sandbox, "bubblewrap", lambda: None)
    seconds = mark()
    code = f"import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nos.execvp('sleep', ['sleep', '{seconds}'])"
    with memory_meter() as recorded, recorded.meter.run() as run, run.node("n"):
        result = run_code(code)
    assert (result.status, result.cpu_us, result.max_rss_bytes) == (CodeStatus.ERROR, None, None)
    assert recorded.only().code is None
    assert with_argument(seconds) == []


def test_the_host_has_the_same_python() -> None:
    """Source runs by the interpreter, and with the packages, of the host."""
    assert said(run_code("import sys; print(sys.version)")) == sys.version
    assert said(run_code("import pydantic; print('found')")) == "found"
