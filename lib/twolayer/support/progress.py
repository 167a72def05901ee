"""What is said of work that takes long: a bar after a few seconds, a warning before minutes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from types import TracebackType
from typing import Any

import numpy as np

from twolayer.support.warn import warn

#: Seconds before a bar is shown, and those that are warned of.
DELAY, LONG = 3.0, 60.0
#: Seconds that no compilation takes.
_COMPILING = 60.0

_listener: ContextVar[Callable[[float], None] | None] = ContextVar("listener", default=None)


class CostWarning(UserWarning):
    """Something that will take longer than one would wait for, said before it begins."""


def warn_of_minutes(what: str, seconds: float) -> None:
    """`CostWarning` of what is likely to take more than a minute."""
    if seconds > LONG:
        message = f"{what}: about {seconds / 60:.0f} minutes"
        warn(message, CostWarning)


def warn_of_calls(what: str, call: Callable[[], object], times: int) -> None:
    """`CostWarning` if so many calls of something, a `what`, are likely to take minutes.

    One is tried, and another if the first may have waited for its machine code.
    """
    each = _seconds(call)
    if each * times > LONG and each < _COMPILING:
        each = _seconds(call)
    message = f"{what} takes {each:.2g} s, and some {times} of them are likely to be needed"
    warn_of_minutes(message, each * times)


def _seconds(call: Callable[[], object]) -> float:
    """What a call takes."""
    started = time.perf_counter()
    with np.errstate(all="ignore"):
        call()
    return time.perf_counter() - started


@contextmanager
def listening(listener: Callable[[float], None]) -> Iterator[None]:
    """Hear of all progress made in this context, and thread, whether or not a bar is shown.

    The listener is called with the share that is done, 0 to 1; what it raises ends the work.

    Examples
    --------
    >>> with listening(print), Progress(10.0, "work", show=False) as bar:
    ...     bar.to(4.0)
    0.4
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def bar(**options: Any) -> Any:
    """A bar of tqdm, with its options, in a terminal or a notebook; elsewhere one that is not seen.

    Nobody looks at a file or a pipe, and a notebook without ipywidgets cannot draw one.
    """
    if _in_notebook() and find_spec("ipywidgets") is not None:
        from tqdm.notebook import tqdm
    else:
        from tqdm.std import tqdm

        options["disable"] = _in_notebook() or sys.stderr is None or not sys.stderr.isatty()
    return tqdm(**options)


def _in_notebook() -> bool:
    """Whether this process is a kernel of Jupyter's."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


class Progress:
    """Progress towards `total`, in any unit, on standard error or in the notebook, if `show`."""

    def __init__(self, total: float, label: str, show: bool = True) -> None:
        self._total = total
        self._bar: Any = None
        if show:
            self._bar = bar(
                total=total,
                desc=label,
                delay=DELAY,
                bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed} < {remaining}",
            )

    def __enter__(self) -> Progress:
        return self

    def to(self, done: float) -> None:
        """Say how much of `total` is done."""
        listener = _listener.get()
        if listener is not None:
            listener(done / self._total if self._total else 1.0)
        if self._bar is not None:
            self._bar.update(done - self._bar.n)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
