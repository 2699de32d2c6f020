"""A small disk for the servers' data: a tmpfs of some megabytes that can be filled up and grown.

It is mounted in a mount namespace of this process and its children, so it vanishes with them, however they end. What
lay on it is left in the directory below when the block ends, for whoever looks into a failure.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from chaos.faults.fault import NotHere

_NEW_NAMESPACE: Final = 0x20000
_PRIVATE: Final = (1 << 18) | (1 << 14)
_LAZILY: Final = 2
_FILLER: Final = "filler"
_CHUNK: Final = 64 * 1024


@contextmanager
def small_disk(directory: Path, megabytes: int) -> Iterator[None]:
    """Mounts it there. Raises NotHere where this process may not mount."""
    directory.mkdir(parents=True, exist_ok=True)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_NAMESPACE) or libc.mount(None, b"/", None, _PRIVATE, None):
        raise NotHere(f"a mount namespace is refused here ({errno.errorcode[ctypes.get_errno()]}); root is needed")
    if libc.mount(b"tmpfs", os.fsencode(directory), b"tmpfs", 0, f"size={megabytes}m,mode=700".encode()):
        raise NotHere(f"mounting a tmpfs is refused here ({errno.errorcode[ctypes.get_errno()]}); root is needed")
    kept = directory.with_name(f"{directory.name}.kept")
    try:
        yield
    finally:
        with suppress(OSError, shutil.Error):
            shutil.copytree(directory, kept, symlinks=True, ignore=shutil.ignore_patterns(_FILLER))
        libc.umount2(os.fsencode(directory), _LAZILY)
        if kept.exists():
            directory.rmdir()
            kept.rename(directory)


def fill(directory: Path, leave_bytes: int) -> None:
    """Fills the disk up, but for so many bytes. One that is full already has no room for the file either."""
    filler = directory / _FILLER
    with suppress(OSError), filler.open("wb") as file:
        with suppress(OSError):
            while True:
                file.write(bytes(_CHUNK))
                file.flush()
        size = filler.stat().st_size
        file.truncate(max(0, size - leave_bytes))


def grow(directory: Path, megabytes: int) -> None:
    """Makes the disk larger. Raises NotHere where that is refused."""
    mount = shutil.which("mount")
    if mount is None:
        raise NotHere("there is no mount(8)")
    command = (mount, "-o", f"remount,size={megabytes}m", str(directory))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotHere(f"the disk could not be grown: {done.stderr.strip()}")
