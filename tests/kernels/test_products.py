"""Products by BLAS into parts of matrices, against NumPy's."""

import numpy as np
import pytest

from twolayer.kernels import products


@pytest.mark.parametrize(("m", "n", "inner"), [(1, 1, 1), (3, 5, 2), (40, 7, 64)])
def test_products_of_parts_of_matrices(m, n, inner):
    """Every factor and result is a part of a larger matrix; the rest of it stays as it is."""
    rng = np.random.default_rng(0)

    def part(rows, columns):
        return rng.standard_normal((rows + 2, columns + 3))[1:-1, 1 : columns + 1]

    A, B, out = part(m, inner), part(inner, n), part(m, n)
    around, before = out.base, out.base.copy()
    expected = {
        products.add_product: (A, B, out + A @ B),
        products.add_transposed_product: (A.T.copy(), B, out + A @ B),
        products.scalar_products: (A, B.T.copy(), A @ B),
    }
    for product, (left, right, result) in expected.items():
        around[:] = before
        product(left, right, out)
        np.testing.assert_allclose(out, result, rtol=1e-13, atol=1e-13)
        around[1:-1, 1 : n + 1] = before[1:-1, 1 : n + 1]
        np.testing.assert_array_equal(around, before)
