"""The command of a code run: plain, or inside bubblewrap where that is installed and works.

Inside, the code sees the system's programs and libraries and its Python, all read-only, its own folder, an empty /tmp,
no other process, and no network unless allowed. Pure but for the probe and for asking which folders exist.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from taximeter.code.limits import CodeLimits
from taximeter.code.result import Sandbox
from taximeter_schemas.errors import Misconfigured

# What a program needs to start. /etc as a whole stays out: it holds the machine's names, users and keys.
_READABLE = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/alternatives", "/etc/ld.so.cache",
    "/etc/localtime", "/etc/ssl/certs", "/etc/ca-certificates", "/nix/store",
)  # fmt: skip
_WITH_NETWORK = ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf")
_NOBODY = "65534"
SEARCHED = "/usr/local/bin:/usr/bin:/bin"
_PROBE_SECONDS = 10


@functools.cache
def bubblewrap() -> str | None:
    """The path of bubblewrap if a process can be started in it, asked once per process; else None."""
    found = shutil.which("bwrap")
    if found is None:
        return None
    # Installed is not enough: many containers forbid the namespaces that it needs.
    probe = [
        found,
        "--unshare-all",
        "--die-with-parent",
        "--ro-bind",
        "/",
        "/",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "true",
    ]
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command
            probe, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found if done.returncode == 0 else None


def chosen(require_sandbox: bool) -> Sandbox:
    """The sandbox of this machine. Raises Misconfigured if one is required and there is none."""
    if bubblewrap() is not None:
        return Sandbox.BUBBLEWRAP
    if require_sandbox:
        raise Misconfigured(
            "a sandbox is required for code nodes, and bubblewrap is not installed or may not make namespaces here",
            mend="install bubblewrap (bwrap) and allow unprivileged user namespaces, or drop require_sandbox",
        )
    return Sandbox.NONE


def program(argv: Sequence[str]) -> list[str]:
    """`argv` with its program as an absolute path. Raises Misconfigured where there is none such."""
    if not argv or isinstance(argv, str) or not all(isinstance(word, str) and "\0" not in word for word in argv):
        raise Misconfigured("the command of a code run is not a sequence of texts", mend="give argv as a list of str")
    found = shutil.which(argv[0], path=SEARCHED if os.sep not in argv[0] else None)
    if found is None:
        raise Misconfigured(
            f"there is no program {argv[0]!r} to run",
            mend=f"install it in one of {SEARCHED}, or give its absolute path",
        )
    return [str(Path(found).absolute()), *argv[1:]]


def python(source: Path) -> list[str]:
    """The command that runs Python source with this interpreter, apart from the host's environment and folder."""
    return [sys.executable, "-I", "-u", str(source)]


def wrapped(argv: Sequence[str], folder: Path, limits: CodeLimits) -> list[str]:
    """`argv` inside bubblewrap; `folder` is where it works."""
    found = bubblewrap()
    if found is None:  # `chosen` was asked before
        raise Misconfigured("bubblewrap does not work any more", mend="look at `bwrap --unshare-all true`")
    options = ["--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    options += ["--uid", _NOBODY, "--gid", _NOBODY, "--hostname", "sandbox"]
    if limits.network:
        options.append("--share-net")
    # First, so that a Python or a program that lies below /tmp is shown there.
    options += ["--proc", "/proc", "--dev", "/dev", "--size", str(int(limits.file_bytes)), "--tmpfs", "/tmp"]  # noqa: S108 - it is the sandbox's own
    readable = {*_READABLE, *(_WITH_NETWORK if limits.network else ()), *_own_folders(argv[0])}
    # Outer folders first: a later bind covers what an earlier one showed below it.
    for path in sorted(readable):
        options += ["--symlink", str(Path(path).readlink()), path] if _is_link(path) else ["--ro-bind-try", path, path]
    root = folder.parent
    options += ["--ro-bind", str(root), str(root), "--bind", str(folder), str(folder), "--chdir", str(folder)]
    return [found, *options, "--", *argv]


def _is_link(path: str) -> bool:
    # /bin and its like are links into /usr on most systems; elsewhere a link's target might not be shown.
    return path in {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"} and Path(path).is_symlink()


def _own_folders(program_path: str) -> set[str]:
    """Where the program and what it links to lie, and this Python with its packages if it is this Python."""
    if program_path == sys.executable:
        needed = {sys.prefix, sys.base_prefix, str(Path(sys.executable).resolve().parent.parent)}
    else:
        needed = {program_path, str(Path(program_path).resolve())}
    return {path for path in needed if not f"{path}/".startswith(("/usr/", "/bin/", "/sbin/"))} - {"/"}
