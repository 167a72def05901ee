"""Work on all cores, and beside the thread that listens to Ctrl-C.

Compiled kernels and NumPy's functions let go of Python's lock while they compute; but Ctrl-C is
heard between two lines of Python in the main thread only, so that long calls are made in another.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import copy_context
from importlib.util import find_spec
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

#: A browser has no threads to offer.
_ALONE = sys.platform == "emscripten"
#: Whether there is a compiler for the kernels.
HAS_COMPILER = find_spec("numba") is not None
#: Elementary functions below which starting threads does not pay.
_LITTLE = 500_000


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
