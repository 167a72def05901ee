"""Matrices of overlaps, put together and checked, and the second layers that go with them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from twolayer.support.checks import InvalidInput, check_array, check_fits_in_memory, check_integer
from twolayer.support.warn import warn

#: Overlaps may miss symmetry and positivity by this much of their largest entry:
#: what an integrator at usual tolerances leaves behind.
TOLERANCE = 1e-8
#: Eigenvalues of Ω below this much of the largest do not count for its rank.
RANK_TOLERANCE = 1e-13
#: From this dimension on unit vectors are hardly meant.
_HIGH = 10


def assemble(Q: np.ndarray, M: np.ndarray, P: np.ndarray) -> np.ndarray:
    """Ω = [[Q, M], [Mᵀ, P]] from its blocks, unchecked; Q and M may have leading axes."""
    p, k = M.shape[-2:]
    Omega = np.empty((*M.shape[:-2], p + k, p + k))
    Omega[..., :p, :p], Omega[..., :p, p:] = Q, M
    Omega[..., p:, :p], Omega[..., p:, p:] = M.swapaxes(-1, -2), P
    return Omega


def counted(values: np.ndarray) -> np.ndarray:
    """Which eigenvalues of Ω, the largest last, count for its rank."""
    return values > RANK_TOLERANCE * max(values[-1], 0.0)


def factor(Omega: np.ndarray, most: int | None = None) -> np.ndarray:
    """F (n, rank) with F Fᵀ = Ω, of a rank of at `most` so much; costs O(n³)."""
    values, vectors = np.linalg.eigh(Omega)
    kept = counted(values)
    if most is not None:
        kept[: max(len(kept) - most, 0)] = False
    rows = vectors[:, kept] * np.sqrt(values[kept])
    # Vectors of equal eigenvalues are any, and rounding would choose them, another way on
    # another processor: turned to numbers that are the same everywhere, there is one choice.
    fixed = np.random.default_rng(0).standard_normal(rows.shape)
    turn, triangle = np.linalg.qr(rows.T @ fixed)
    return rows @ (turn * np.sign(np.diagonal(triangle)))


def second_layer(argument: str, value: ArrayLike | None, size: int) -> np.ndarray:
    """A second layer of that size, read-only; ones if None."""
    return check_array(argument, np.ones(size) if value is None else value, (size,))


def symmetric(argument: str, matrix: np.ndarray) -> np.ndarray:
    """A square matrix without its rounding errors of symmetry; `InvalidInput` if they are more."""
    if matrix.shape[0] != matrix.shape[1]:
        raise InvalidInput(argument, f"shape {matrix.shape}", "a symmetric matrix")
    gap = np.abs(matrix - matrix.T).max()
    if gap > TOLERANCE * np.abs(matrix).max():
        raise InvalidInput(
            argument, f"a matrix that differs from its transpose by {gap:.3g}", "symmetric"
        )
    out = (matrix + matrix.T) / 2
    out.setflags(write=False)
    return out


def check_dimension(d: int, rank: int) -> int:
    """d, which must have room for vectors of this rank."""
    d = check_integer("d", d, 1)
    if d < rank:
        raise InvalidInput("d", str(d), f"at least {rank}, the rank of the vectors to be held")
    return d


def warn_of_unit_vectors(**weights: np.ndarray) -> None:
    """Warn of students or targets that are unit vectors."""
    d = weights["W"].shape[1]
    if d < _HIGH:
        return
    squares = {name: np.einsum("ia,ia->i", rows, rows) for name, rows in weights.items()}
    unit = [name for name, each in squares.items() if np.allclose(each, 1.0, rtol=0, atol=2e-3)]
    if unit:
        warn(
            f"the rows of {' and '.join(unit)} are unit vectors; here weights have norms of order "
            f"√d = {d**0.5:.4g}, with inputs x ~ N(0, I_d/d): multiply them by √d "
            f'(inputs="unit" does), unless overlaps of 1/d are meant',
            UserWarning,
        )


def check_size(p: int, k: int, d: int) -> None:
    """Refuse weights that the memory cannot hold."""
    argument, value = max((("p", p), ("k", k), ("d", d)), key=lambda item: item[1])
    check_fits_in_memory(argument, value, (p + k) * d)
