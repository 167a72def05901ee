"""One process at a time in a folder; the system frees the lock of a process that dies."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # no such locks on this system: go on without
    fcntl = None  # type: ignore[assignment]


class Busy(RuntimeError):
    """Another process holds the lock."""


@contextmanager
def locked(folder: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock of a folder, an empty file `.lock` in it.

    If another process holds it, `waiting` is called once and the lock is waited for; without
    `waiting` it is `Busy`.  Processes forked meanwhile do not hold it.  On a file system that knows
    no locks nothing is locked.
    """
    if fcntl is None:
        yield
        return
    with (folder / ".lock").open("a") as file:
        said = False
        while True:
            try:
                # lockf, not flock: forked children would go on holding the latter.
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EAGAIN):
                    break
                if waiting is None:
                    raise Busy(str(folder)) from None
                if not said:
                    waiting()
                    said = True
                time.sleep(0.2)
        yield
