"""Normal numbers from uniform ones: the formula, digit by digit, and their law."""

import numpy as np
import pytest
from scipy import stats

from twolayer.kernels.normals import to_normals
from twolayer.sgd.draws import Draws

#: The ends of the range, where 1 − u is next to a power of two, and the edges of the quarter turns.
_EDGES = [0.0, 2.0**-53, 2.0**-30, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 1 - np.sqrt(0.5)]
_EDGES += [x for e in _EDGES[3:] for x in (np.nextafter(e, 0), np.nextafter(e, 1))]
_EDGES += [1 - 2.0**-53, 1 - 2.0**-40, 1 - 2.0**-52]


@pytest.mark.parametrize("pairs", [1, 3, 1024, 2500])
def test_pairs_are_those_of_box_and_muller(pairs):
    u, v = np.random.default_rng(0).random((2, 3, pairs))
    numbers = np.hstack([u, v])
    to_normals(numbers)
    length, angle = np.sqrt(-2 * np.log1p(-u)), 2 * np.pi * v
    expected = np.hstack([length * np.cos(angle), length * np.sin(angle)])
    np.testing.assert_allclose(numbers, expected, rtol=0, atol=6e-15)


def test_edges_of_the_range():
    u, v = (x.ravel() for x in np.meshgrid(_EDGES, _EDGES))
    numbers = np.concatenate([u, v])[None].copy()
    to_normals(numbers)
    length, angle = np.sqrt(-2 * np.log1p(-u)), 2 * np.pi * v
    expected = np.concatenate([length * np.cos(angle), length * np.sin(angle)])
    # A multiple of π in floating point is off by its last bit, hence the length beside the error.
    np.testing.assert_allclose(numbers[0], expected, rtol=0, atol=2e-14)
    assert np.abs(numbers).max() == pytest.approx(np.sqrt(2 * 53 * np.log(2)), rel=1e-12)


def test_law():
    """Normal, and independent within and between pairs; false alarm 1e-4 for each of six."""
    normals = Draws(3, 0, 1000, 1000, 0).blocks(1)[0][0]
    half = (normals.size + 1) // 2
    first, second = normals[: half - 1], normals[half : 2 * half - 1]
    assert stats.kstest(normals, "norm").pvalue > 1e-4
    count = normals.size // 2 * 2
    squares = normals[:count:2] ** 2 + normals[1:count:2] ** 2
    assert stats.kstest(squares, "expon", (0, 2)).pvalue > 1e-4
    for one, other in [
        (first, second),
        (first**2, second**2),
        (first[1:], first[:-1]),
        (second[1:] ** 2, second[:-1] ** 2),
    ]:
        assert stats.pearsonr(one, other).pvalue > 1e-4
