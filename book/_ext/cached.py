"""Folders below ``.cache`` that are made once, and appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path


def made_once(ready: Path, fill: Callable[[Path], None]) -> Path:
    """A folder; if it is not there, `fill` is called with an empty one that then takes its name.

    Parameters
    ----------
    ready : Path
        Whose name changes with what it holds.
    fill : callable

    Returns
    -------
    Path

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     folder = made_once(Path(place, "a"), lambda partial: (partial / "x").touch())
    ...     [file.name for file in folder.iterdir()]
    ['x']
    """
    if ready.is_dir():
        return ready
    partial = ready.with_name(f".{ready.name}-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        fill(partial)
        with contextlib.suppress(OSError):  # another build was faster
            partial.rename(ready)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return ready
