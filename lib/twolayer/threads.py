"""Work on all cores: ranges of independent rows, a few threads for the length of a call.

Compiled kernels and NumPy's functions let go of Python's lock while they compute.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np

#: Whether there is a compiler for the kernels.
COMPILED = find_spec("numba") is not None
#: Elementary functions below which starting threads does not pay.
_LITTLE = 2_000_000


def spread(
    rows: Callable[[int, int], np.ndarray], size: int, work: float, step: int = 0
) -> list[np.ndarray]:
    """rows(start, stop) for ranges that cover 0 to size, at once if there is enough to do.

    Parameters
    ----------
    rows : callable
    size : int
    work : float
        Elementary functions in all.
    step : int
        Length of a range; by default as many ranges as there are cores.

    Returns
    -------
    list of array
        In the order of the ranges.

    Examples
    --------
    >>> spread(lambda start, stop: np.arange(start, stop), 5, work=1e9, step=3)
    [array([0, 1, 2]), array([3, 4])]
    """
    # A browser has no threads to offer.
    few = work < _LITTLE or sys.platform == "emscripten"
    cores = 1 if few else os.cpu_count() or 1
    alone = cores == 1
    step = step or (size if alone else -(-size // cores))
    ranges = [(start, min(start + step, size)) for start in range(0, size, step)]
    if alone or len(ranges) == 1:
        return [rows(*both) for both in ranges]
    with ThreadPoolExecutor(cores) as pool:
        return list(pool.map(lambda both: rows(*both), ranges))
