"""A progress bar that stays silent unless the work takes more than a few seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any

#: Seconds before a bar is shown.
DELAY = 3.0

_listener: ContextVar[Callable[[float], None] | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Callable[[float], None]) -> Iterator[None]:
    """Hear of all progress made in this context, and thread, whether or not a bar is shown.

    Parameters
    ----------
    listener : callable
        Called with the share that is done, 0 to 1; what it raises ends the work.

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


class Progress:
    """Progress towards `total`, in any unit, on standard error or in the notebook.

    Parameters
    ----------
    total : float
    label : str
    show : bool
        Never shown if False.

    Examples
    --------
    >>> with Progress(10.0, "work", show=False) as bar:
    ...     bar.to(4.0)
    """

    def __init__(self, total: float, label: str, show: bool = True) -> None:
        self._total = total
        self._bar: Any = None
        if show:
            from tqdm.auto import tqdm

            self._bar = tqdm(
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
