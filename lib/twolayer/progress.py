"""A progress bar that stays silent unless the work takes more than a few seconds."""

from __future__ import annotations

from types import TracebackType

#: Seconds before a bar is shown.
DELAY = 3.0


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
        from tqdm.auto import tqdm

        self._bar = tqdm(
            total=total,
            desc=label,
            delay=DELAY,
            disable=not show,
            bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed} < {remaining}",
        )

    def __enter__(self) -> Progress:
        return self

    def to(self, done: float) -> None:
        """Say how much of `total` is done."""
        self._bar.update(done - self._bar.n)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
