"""Numba if it is there; without it (in a browser), or switched off, kernels are plain Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

try:
    from numba import config, njit

    COMPILED = not config.DISABLE_JIT
except ImportError:
    COMPILED = False

    def njit(**_: Any) -> Callable[[Any], Any]:
        """Leave functions as they are."""
        return lambda function: function


#: Sums may be reordered, so that a loop over them becomes vector code.
FAST = {"reassoc", "contract", "nsz"}
#: Products and sums may be fused, but nothing is reordered.
EXACT = {"contract", "nsz"}


def compiled(fastmath: set[str] | bool = False, inner: bool = False) -> Callable[[Any], Any]:
    """Compile a kernel: kept on disk, free of Python's lock, 1/0 = ∞ as in NumPy.

    An inner one is called by others only: it compiles faster without the way in from Python.
    """
    return njit(
        cache=True,
        nogil=True,
        error_model="numpy",
        fastmath=fastmath,
        no_cpython_wrapper=inner,
        no_cfunc_wrapper=True,
    )
