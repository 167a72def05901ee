"""Matrix products by BLAS into memory at hand.

NumPy's `dot` cannot add to a matrix and wants contiguous factors: at a thousand neurons the
copies, and the pages that the system hands out for them, cost as much as the product.  Compiled
code therefore calls the `gemm` that Numba's own `dot` is built on, which is SciPy's.
"""

from __future__ import annotations

import numpy as np

from twolayer.kernels.compiler import COMPILED, compiled

_ITEM, _KIND, _AS_IT_IS, _TRANSPOSED = 8, ord("d"), ord("n"), ord("t")
_ZERO, _ONE = np.zeros(1), np.ones(1)

if COMPILED:
    from numba import types

    _count, _at = types.intp, types.voidptr
    #: Kind; transpositions; sizes; α, A, row of A; B, row of B; β, C, row of C, by columns.
    _gemm = types.ExternalFunction(
        "numba_xxgemm",
        types.intc(
            *(types.char, types.char, types.char, _count, _count, _count),
            *(_at, _at, _count, _at, _count, _at, _at, _count),
        ),
    )

    @compiled(inner=True)
    def _blas(
        A: np.ndarray, B: np.ndarray, C: np.ndarray, turn_A: bool, turn_B: bool, beta: np.ndarray
    ) -> None:
        """C ← A B + β C, either factor transposed if asked for; rows contiguous, float64."""
        # BLAS reads rows as columns, hence Cᵀ = Bᵀ Aᵀ.
        _gemm(
            _KIND,
            _TRANSPOSED if turn_B else _AS_IT_IS,
            _TRANSPOSED if turn_A else _AS_IT_IS,
            C.shape[1],
            C.shape[0],
            A.shape[0] if turn_A else A.shape[1],
            _ONE.ctypes,
            B.ctypes,
            B.strides[0] // _ITEM,
            A.ctypes,
            A.strides[0] // _ITEM,
            beta.ctypes,
            C.ctypes,
            C.strides[0] // _ITEM,
        )

else:

    def _blas(
        A: np.ndarray, B: np.ndarray, C: np.ndarray, turn_A: bool, turn_B: bool, beta: np.ndarray
    ) -> None:
        product = (A.T if turn_A else A) @ (B.T if turn_B else B)
        C[:] = product + C if beta[0] else product


@compiled()
def scalar_products(A: np.ndarray, B: np.ndarray, out: np.ndarray) -> None:
    """Out = A Bᵀ."""
    _blas(A, B, out, False, True, _ZERO)


@compiled()
def add_product(A: np.ndarray, B: np.ndarray, out: np.ndarray) -> None:
    """Out += A B."""
    _blas(A, B, out, False, False, _ONE)


@compiled()
def add_transposed_product(A: np.ndarray, B: np.ndarray, out: np.ndarray) -> None:
    """Out += Aᵀ B."""
    _blas(A, B, out, True, False, _ONE)
