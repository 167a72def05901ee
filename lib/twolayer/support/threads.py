"""Work on all cores, and beside the thread that listens to Ctrl-C.

Compiled kernels and NumPy's functions let go of Python's lock while they compute; but Ctrl-C is
heard between two lines of Python in the main thread only, so that long calls are made in another.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from importlib.util import find_spec
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

#: A browser has no threads to offer.
_ALONE = sys.platform == "emscripten"
#: Whether there is a compiler for the kernels.
HAS_COMPILER = find_spec("numba") is not None
#: Elementary functions below which starting threads does not pay.
_LITTLE = 500_000
#: Multiplications of a matrix product that more than one core share at a gain: a millisecond.
_WORTH_SHARING = 3e7


def is_local(executor: Executor | None) -> bool:
    """Whether it is a pool of threads or processes of this machine."""
    if isinstance(executor, ThreadPoolExecutor) or executor is None:
        return executor is not None
    from concurrent.futures import ProcessPoolExecutor  # a browser's Python has none

    return isinstance(executor, ProcessPoolExecutor)


def while_there(folder: str | None) -> None:
    """End this work, as Ctrl-C does, if the folder is gone: threads and processes can see it."""
    if folder is not None and not os.path.exists(folder):
        raise KeyboardInterrupt


def on_all_cores(
    rows: Callable[[int, int], np.ndarray], size: int, work: float, step: int = 0
) -> list[np.ndarray]:
    """rows(start, stop) for ranges that cover 0 to size, in their order.

    All at once if there is enough to do: `work` counts elementary functions in all.  `step` is the
    length of a range; by default there are as many ranges as cores.

    Examples
    --------
    >>> on_all_cores(lambda start, stop: np.arange(start, stop), 5, work=1e9, step=3)
    [array([0, 1, 2]), array([3, 4])]
    """
    few = work < _LITTLE or _ALONE
    cores = 1 if few else os.cpu_count() or 1
    step = step or (size if few else -(-size // cores))
    ranges = [(start, min(start + step, size)) for start in range(0, size, step)]
    if few:
        return [rows(*both) for both in ranges]
    pool = ThreadPoolExecutor(cores)
    try:
        return list(pool.map(lambda both: rows(*both), ranges))
    finally:  # after Ctrl-C what has begun ends by itself, and nothing else begins
        pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def one_core(multiplications: float) -> Iterator[None]:
    """Keep BLAS on one core while matrix products are no larger than so many multiplications.

    The threads of BLAS wait for each other, busily.  If the other core has something else to do, a
    small product takes as long as the system leaves it there: measured, a hundred times as long.
    BLAS has one number of threads for the whole process: it is put back when the last piece of
    small work ends.
    """
    if multiplications > _WORTH_SHARING or _ALONE:
        yield
        return
    _SMALL.begin()
    try:
        yield
    finally:
        _SMALL.end()


class _SmallWork:
    """The pieces of small work that run now, in all threads, and the limit that they set."""

    def __init__(self) -> None:
        self._lock, self._running, self._libraries = Lock(), 0, None
        self._before: Any = None

    def begin(self) -> None:
        with self._lock:
            if self._libraries is None:
                import scipy.linalg  # noqa: F401  # brings a BLAS of its own
                from threadpoolctl import ThreadpoolController

                self._libraries = ThreadpoolController()
            limit = self._libraries.limit(limits=1, user_api="blas")
            self._before = self._before if self._running else limit
            self._running += 1

    def end(self) -> None:
        with self._lock:
            self._running -= 1
            if not self._running:
                self._before.restore_original_limits()


_SMALL = _SmallWork()


def apart(work: Callable[[Callable[..., Any]], T]) -> T:
    """Call work(ask) in a thread of its own, where ask(function, ...) calls the function here.

    Ctrl-C is heard here at once, however long a call takes there; it is then left to end by
    itself.  And a function that is asked for is not within the call: LSODA, which serves one
    problem at a time in each thread, is free for it.  What `work` raises, and what a function
    raises to it, is raised.

    Examples
    --------
    >>> from threading import get_ident
    >>> apart(lambda ask: (ask(get_ident) == get_ident(), ask(max, 1, 2)))
    (False, 2)
    """
    if _ALONE:
        return work(lambda function, *arguments: function(*arguments))
    asked: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
    answers: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

    def ask(function: Callable[..., Any], *arguments: Any) -> Any:
        asked.put((function, arguments))
        value, error = answers.get()
        if error is not None:
            answers.put((value, error))  # whoever asks again is told again
            raise error
        return value

    def there() -> None:
        try:
            asked.put((None, work(ask), None))
        except BaseException as error:
            asked.put((None, None, error))

    Thread(target=copy_context().run, args=(there,)).start()
    while True:
        try:
            function, *rest = asked.get()
            if function is None:
                value, error = rest
                break
            answers.put((function(*rest[0]), None))
        except BaseException as error:
            answers.put((None, error))
            raise
    if error is not None:
        raise error
    return value
