"""Numba if it is there; without it (in a browser), or switched off, kernels are plain Python.

Machine code is kept on disk, in Numba's own places.  Numba looks at the file of a function alone,
not at what that function calls, which is compiled into it: therefore the folder is named after
everything that machine code is made of, and what is made of anything else is never met.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import Any

try:
    from numba import config, njit
    from numba.core.caching import FunctionCache, IndexDataCacheFile

    COMPILED = not config.DISABLE_JIT
except ImportError:
    COMPILED, FunctionCache = False, object

    def njit(**_: Any) -> Callable[[Any], Any]:
        """Leave functions as they are."""
        return lambda function: function


#: Sums may be reordered, so that a loop over them becomes vector code.
FAST = {"reassoc", "contract", "nsz"}
#: Products and sums may be fused, but nothing is reordered.
EXACT = {"contract", "nsz"}


#: Folders of machine code that are kept, of branches that one changes between.
_KEPT = 4
_PREFIX = "twolayer-"
#: What the coefficients in the kernels are computed with, and what makes the machine code.
_MADE_BY = ("numba", "llvmlite", "numpy", "scipy")
_SETTINGS = ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK")


def compiled(fastmath: set[str] | bool = False, inner: bool = False) -> Callable[[Any], Any]:
    """Compile a kernel: kept on disk, free of Python's lock, 1/0 = ∞ as in NumPy.

    An inner one is called by others only: it compiles faster without the way in from Python.
    """
    compiler = njit(
        nogil=True,
        error_model="numpy",
        fastmath=fastmath,
        no_cpython_wrapper=inner,
        no_cfunc_wrapper=True,
    )

    def of(function: Any) -> Any:
        kernel = compiler(function)
        if COMPILED:
            try:
                kernel._cache = _Kept(function)
            except Exception:  # no place that can be written: Numba raises a RuntimeError
                _not_kept()
        return kernel

    return of


class _Kept(FunctionCache):
    """Numba's cache of a function, in a folder of its own for everything it was made of.

    Files that cannot be read or written cost time, nothing else.
    """

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        name = _PREFIX + _at_first()
        self._cache_path = os.path.join(self._cache_path, name)
        _open(Path(self._cache_path))
        self._cache_file = IndexDataCacheFile(self._cache_path, self._impl.filename_base, name)

    def load_overload(self, *arguments: Any) -> Any:
        if made_of() != _at_first():
            return None
        try:
            return super().load_overload(*arguments)
        except Exception:  # a file that was cut may hold anything
            with suppress(Exception):
                self.flush()
            return None

    def save_overload(self, *arguments: Any) -> None:
        if made_of() != _at_first():  # a file was changed while this process ran: who knows which
            return
        try:
            os.makedirs(self._cache_path, exist_ok=True)  # it may have been swept
            super().save_overload(*arguments)
        except Exception:  # a full disk, or an index that cannot be read
            _not_kept()


def made_of() -> str:
    """A hash of all files of kernels as they are now, and of what compiles them."""
    digest = hashlib.sha256(_tools().encode())
    for file in sorted(resources.files("twolayer.kernels").iterdir(), key=lambda f: f.name):
        if file.name.endswith(".py"):
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


#: The same as this process found them first.
_at_first = cache(made_of)


@cache
def _tools() -> str:
    settings = [getattr(config, name, None) for name in _SETTINGS]
    return repr((settings, [metadata.version(name) for name in _MADE_BY]))


@cache  # once a process and folder
def _open(folder: Path) -> None:
    """Make a folder of machine code, and sweep those that were not used for longest."""
    folder.mkdir(exist_ok=True)
    with suppress(OSError):  # of another user, or gone by now
        os.utime(folder)
        others = [other for other in folder.parent.glob(f"{_PREFIX}*") if other != folder]
        by_use = sorted(others, key=lambda other: other.stat().st_mtime, reverse=True)
        for old in by_use[_KEPT - 1 :]:
            shutil.rmtree(old, ignore_errors=True)


@cache  # once a process
def _not_kept() -> None:
    message = "machine code cannot be kept, and is compiled anew in every process: "
    remedy = "NUMBA_CACHE_DIR may name a folder that can be written"
    warnings.warn(message + remedy, RuntimeWarning, stacklevel=2)
