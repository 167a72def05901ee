"""The unknowns of a differential equation: several arrays as one vector."""

from __future__ import annotations

import math

import numpy as np


class Unknowns:
    """Arrays of these shapes, one after another, and back; any leading axes.

    Parameters
    ----------
    *shapes : tuple of int
    triangle : bool
        The first array is a symmetric matrix, of which the upper triangle is kept.

    Examples
    --------
    >>> state = Unknowns((2, 2), (2,), triangle=True)
    >>> state.pack(np.array([[1.0, 2.0], [2.0, 3.0]]), np.zeros(2))
    array([1., 2., 3., 0., 0.])
    """

    def __init__(self, *shapes: tuple[int, ...], triangle: bool = False) -> None:
        self.shapes = shapes
        self._upper = None
        sizes = [math.prod(shape) for shape in shapes]
        if triangle:
            i, j = np.triu_indices(shapes[0][0])
            #: Places of the triangle in the matrix, and of all entries of the matrix in the vector.
            self._upper, self._places = i * shapes[0][0] + j, np.empty(shapes[0], dtype=np.intp)
            self._places[i, j] = self._places[j, i] = np.arange(i.size)
            sizes[0] = i.size
        self._ends = np.cumsum([0, *sizes]).tolist()
        self.size = self._ends[-1]

    def pack(self, *arrays: np.ndarray) -> np.ndarray:
        """One vector (..., size)."""
        lead = [x.shape[: x.ndim - len(s)] for x, s in zip(arrays, self.shapes, strict=True)]
        parts = [x.reshape(*n, -1) for x, n in zip(arrays, lead, strict=True)]
        if self._upper is not None:
            parts[0] = parts[0].take(self._upper, axis=-1)
        return np.concatenate(parts, axis=-1)

    def unpack(self, y: np.ndarray) -> tuple[np.ndarray, ...]:
        """The arrays of a vector, or of many."""
        lead, ends = y.shape[:-1], self._ends
        parts = [y[..., ends[n] : ends[n + 1]] for n in range(len(self.shapes))]
        if self._upper is None:
            return tuple(x.reshape(lead + s) for x, s in zip(parts, self.shapes, strict=True))
        rest = zip(parts[1:], self.shapes[1:], strict=True)
        first = y.take(self._places, axis=-1)
        return (first, *(x.reshape(lead + s) for x, s in rest))
