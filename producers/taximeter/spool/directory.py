"""The spool's directory: who may own it, its files, and their locks.

A segment belongs to whoever holds the exclusive `flock` on it. The kernel gives the lock back when its holder dies,
however it dies. A fork shares the lock: the child closes its copy of the descriptor and the parent keeps the lock; the
parent unlocks before it closes, so that a copy in a child that never cleaned up keeps nothing locked.
Files are named by the nanosecond of their beginning, so names sort by time.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from taximeter_schemas.errors import Misconfigured

SEGMENT = ".spool"
CORRUPT = ".corrupt"
_BEGAN = re.compile(r"^(\d{20})-")
_HELD = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES})
# Conditions of the moment: the directory may be usable later. All others ask for the operator.
_PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR})

sync_file = getattr(os, "fdatasync", os.fsync)


class Directory:
    """Opened at the first need, and again when somebody has replaced it.

    Every method raises OSError; those that open it also Misconfigured.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = path
        self._create = create
        self._fd: int | None = None

    def fd(self) -> int:
        """The descriptor of the directory that lies at the path now."""
        if self._fd is not None:
            here = os.fstat(self._fd)
            with suppress(OSError):
                there = self.path.stat()
                if (here.st_ino, here.st_dev) == (there.st_ino, there.st_dev):
                    return self._fd
            self.close()
        try:
            self._fd = self._open()
        except OSError as error:
            if error.errno in _PASSING:
                raise
            raise Misconfigured(
                f"the spool's directory {self.path} cannot be used: {error.strerror}",
                mend="name a directory on a local disk that the process's user may write, or may create",
            ) from None
        return self._fd

    def _open(self) -> int:
        if self._create:
            _make(self.path)
        link = self.path.lstat()
        if stat.S_ISLNK(link.st_mode) and link.st_uid not in (0, os.geteuid()):
            raise self._refused(f"is a link that belongs to user {link.st_uid}", "name the directory itself")
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._check(os.fstat(fd))
        except Misconfigured:
            os.close(fd)
            raise
        return fd

    def _check(self, found: os.stat_result) -> None:
        if found.st_uid != os.geteuid():
            raise self._refused(
                f"belongs to user {found.st_uid}, and this process is user {os.geteuid()}",
                "give each user a spool directory of its own; drain this one as its owner",
            )
        if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
            raise self._refused("is writable by everybody", f"chmod 700 {self.path}")

    def _refused(self, why: str, mend: str) -> Misconfigured:
        return Misconfigured(f"the spool's directory {self.path} {why}", mend=mend)

    def close(self) -> None:
        """Let go of the descriptor."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)

    def sync(self) -> None:
        """Make the directory's entries last over a power cut."""
        os.fsync(self.fd())

    def names(self, suffix: str) -> list[str]:
        """The files with this suffix, oldest first."""
        with os.scandir(self.fd()) as entries:
            return sorted(e.name for e in entries if e.name.endswith(suffix) and e.is_file(follow_symlinks=False))

    def sizes(self, suffix: str = "") -> dict[str, int]:
        """Bytes of each segment and each file set aside, by name."""
        found = {}
        with os.scandir(self.fd()) as entries:
            for entry in entries:
                if entry.name.endswith(suffix or (SEGMENT, CORRUPT)) and entry.is_file(follow_symlinks=False):
                    with suppress(FileNotFoundError):  # another process has just sent and deleted it
                        found[entry.name] = entry.stat(follow_symlinks=False).st_size
        return found

    def used(self) -> int:
        """Bytes in all of them."""
        return sum(self.sizes().values())

    def create(self, name: str) -> int | None:
        """A new locked file, 0600, open to append; None if somebody took it away at once."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        return self._locked(name, os.open(name, flags, 0o600, dir_fd=self.fd()))

    def open_free(self, name: str) -> int | None:
        """The file, locked and open to read; None if it is locked, gone, or no plain file."""
        try:
            # Some network file systems lock only what is open for writing.
            fd = os.open(name, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=self.fd())
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.EISDIR):
                return None
            raise
        return self._locked(name, fd)

    def _locked(self, name: str, fd: int) -> int | None:
        try:
            kept = stat.S_ISREG(os.fstat(fd).st_mode) and _lock(fd, fcntl.LOCK_EX)
            # Between the opening and the lock its former holder may have deleted or renamed it.
            kept = kept and self.holds(name, fd)
        except OSError:
            os.close(fd)
            raise
        if not kept:
            os.close(fd)
            return None
        return fd

    def holds(self, name: str, fd: int) -> bool:
        """Whether this name still is the open file's."""
        try:
            there, here = os.stat(name, dir_fd=self.fd(), follow_symlinks=False), os.fstat(fd)
        except FileNotFoundError:
            return False
        return (there.st_ino, there.st_dev) == (here.st_ino, here.st_dev)

    @contextmanager
    def shared(self, name: str) -> Iterator[tuple[int, bool]]:
        """The file to look at, and whether a living process holds it. Raises FileNotFoundError."""
        fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=self.fd())
        try:
            living = not _lock(fd, fcntl.LOCK_SH)
            if not living:
                fcntl.flock(fd, fcntl.LOCK_UN)
            yield fd, living
        finally:
            os.close(fd)

    def remove(self, name: str) -> None:
        """Delete it, for good."""
        with suppress(FileNotFoundError):  # somebody was here by hand
            os.unlink(name, dir_fd=self.fd())
        self.sync()

    def set_aside(self, name: str) -> str:
        """Give it the name of what is kept and not read any more; that name."""
        kept = name.removesuffix(SEGMENT) + CORRUPT
        os.rename(name, kept, src_dir_fd=self.fd(), dst_dir_fd=self.fd())
        self.sync()
        return kept


def _make(path: Path) -> None:
    missing = [one for one in (path, *path.parents) if not one.exists()]
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    for made in missing:
        # Else a power cut could take the new directory, with all that was accepted into it.
        with suppress(PermissionError):
            above = os.open(made.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(above)
            finally:
                os.close(above)


def _lock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            return False
        raise
    return True


def unlock(fd: int) -> None:
    """Give the lock back, also where a forked child holds a copy of the descriptor, and close it."""
    try:
        with suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_UN)
    finally:
        os.close(fd)


def name_of(began_ns: int, pid: int, epoch: int, mark: str) -> str:
    """A segment's name; `began_ns` is Unix time in nanoseconds."""
    return f"{began_ns:020d}-{pid}-{epoch}-{mark}{SEGMENT}"


def began_ns(name: str) -> int | None:
    """The nanosecond in a segment's name."""
    found = _BEGAN.match(name)
    return None if found is None else int(found[1])
