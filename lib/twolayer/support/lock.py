"""One process at a time in a folder; the system frees the lock of a process that dies."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

#: What file systems without locks say.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class Busy(RuntimeError):
    """Another process holds the lock."""


@contextmanager
def locked(folder: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock of a folder, a file `.lock` in it; nothing on a file system without locks.

    If another process holds it, `waiting` is called once and the lock is waited for; without
    `waiting` it is `Busy`.
    """
    try:
        from filelock import FileLock, Timeout  # here, for it takes its time
    except ImportError:  # in a browser, where there is one process
        yield
        return
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if waiting is None:
            raise Busy(str(folder)) from None
        waiting()
        lock.acquire()
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    try:
        yield
    finally:
        lock.release()
