"""Overlaps, weights and the paper's initial conditions."""

import numpy as np
import pytest
from reference import random_overlaps
from scipy.linalg import orth

import twolayer as tl


def test_the_gaussian_recipe_digit_by_digit():
    """Targets first, then students, from one generator; targets through `orth`."""
    rng = np.random.default_rng(3)
    W_star, W = rng.normal(size=(2, 3)), rng.normal(size=(10, 3))
    raw = tl.Weights.gaussian(p=10, k=2, d=3, seed=3, orthonormal_target=False)
    np.testing.assert_array_equal(raw.W, W)
    np.testing.assert_array_equal(raw.W_star, W_star)
    turned = np.sqrt(3) * orth((W_star / np.linalg.norm(W_star, axis=-1, keepdims=True)).T).T
    w = tl.Weights.gaussian(p=10, k=2, d=3, seed=3)
    np.testing.assert_array_equal(w.W, W)
    np.testing.assert_allclose(w.W_star, turned, rtol=1e-14)
    np.testing.assert_allclose(w.overlaps().P, np.eye(2), atol=1e-14)


@pytest.mark.parametrize("d", [5, 10, 50])
def test_the_span_recipe_digit_by_digit(d):
    M = np.random.default_rng(0).normal(size=(10, 5))
    M /= np.linalg.norm(M, axis=-1, keepdims=True)
    ov = tl.Weights.in_target_span(p=10, k=5, d=d, seed=0).overlaps()
    np.testing.assert_allclose(ov.M, M, rtol=1e-14)
    np.testing.assert_allclose(ov.Q, M @ M.T, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(ov.P, np.eye(5), atol=1e-15)
    np.testing.assert_allclose(ov.Q_perp, 0, atol=1e-14)


@pytest.mark.parametrize(
    ("p", "k", "rank", "d"), [(3, 2, 6, 5), (3, 2, 6, 40), (6, 3, 4, 4), (1, 1, 1, 1)]
)
def test_embedding_has_exactly_these_overlaps(p, k, rank, d):
    ov = tl.Overlaps(*random_overlaps(np.random.default_rng(d), p, k, rank))
    assert ov.rank == min(rank, p + k)
    w = ov.embed(d=d, seed=1)
    assert (w.p, w.k, w.d) == (p, k, d)
    np.testing.assert_allclose(w.overlaps().Omega, ov.Omega, atol=1e-14)
    np.testing.assert_array_equal(w.W, ov.embed(d=d, seed=1).W)
    assert any(not np.array_equal(w.W, ov.embed(d=d, seed=s).W) for s in range(2, 12))


def test_q_perp_of_general_targets():
    w = tl.Weights.gaussian(p=4, k=2, d=8, seed=0, orthonormal_target=False)
    basis = orth(w.W_star.T)
    outside = w.W - w.W @ basis @ basis.T
    np.testing.assert_allclose(w.overlaps().Q_perp, outside @ outside.T / 8, atol=1e-14)


def test_small_violations_are_rounding():
    """What an integrator leaves behind is accepted, and symmetrised."""
    Q = np.array([[1.0, 1.0 + 1e-10], [1.0 - 1e-10, 1.0]])
    ov = tl.Overlaps(Q, np.full((2, 1), 1 + 1e-10), np.eye(1))
    np.testing.assert_array_equal(ov.Q, ov.Q.T)
    assert ov.rank == 1


def test_arrays_cannot_be_changed():
    Q = np.eye(2)
    ov = tl.Overlaps(Q, np.zeros((2, 1)), np.eye(1))
    Q[0, 0] = 5
    assert ov.Q[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        ov.Q[0, 0] = 2


@pytest.mark.parametrize("p", [3, 6])
def test_equal_eigenvalues_leave_no_choice(p, monkeypatch):
    """Their vectors are any, and another processor's LAPACK finds others."""
    ov = tl.Weights.in_target_span(p=p, k=3, d=3).overlaps()
    ov = tl.Overlaps(np.eye(p), np.eye(p, 3), np.eye(3)) if p == 3 else ov
    one, weights = ov.factor(), ov.embed(d=9, seed=1).W
    values, vectors = np.linalg.eigh(ov.Omega)
    for value in np.unique(values.round(9)):
        same = np.abs(values - value) < 1e-8
        turn = orth(np.random.default_rng(0).standard_normal((same.sum(), same.sum())))
        vectors[:, same] = vectors[:, same] @ turn
    monkeypatch.setattr(np.linalg, "eigh", lambda _: (values, vectors))
    assert np.abs(vectors[:, -3:] * np.sqrt(values[-3:]) - one).max() > 0.1
    np.testing.assert_allclose(ov.factor(), one, atol=1e-12)
    np.testing.assert_allclose(ov.embed(d=9, seed=1).W, weights, atol=1e-11)
