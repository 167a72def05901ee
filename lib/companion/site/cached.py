"""Folders below ``.cache`` that are made once, and appear whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from sphinx.errors import ExtensionError


def made_once(ready: Path, fill: Callable[[Path], None]) -> Path:
    """A folder; if there is nothing in it, `fill` is called with one that then takes its name.

    The name changes with what the folder holds; `ExtensionError` if it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     folder = made_once(Path(place, "a"), lambda partial: (partial / "x").touch())
    ...     [file.name for file in folder.iterdir()]
    ['x']
    """
    if _full(ready):
        return ready
    partial = ready.with_name(f".{ready.name}-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        fill(partial)
        partial.rename(ready)
    except OSError as error:
        if not _full(ready):  # no other build was faster
            raise ExtensionError(f"cannot make {ready}, which pages need: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return ready


def _full(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())
