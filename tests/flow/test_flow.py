"""The flow against the slow reference, and what it must satisfy whatever the state."""

import numpy as np
import pytest
import reference
from reference import random_overlaps

import twolayer as tl
from twolayer import flow

NAMES = ["erf", "square"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("p", "k", "rank"), [(1, 1, None), (3, 2, None), (4, 2, 3), (2, 4, 5)])
def test_against_the_reference(name, p, k, rank):
    Q, M, P = random_overlaps(np.random.default_rng(p + k), p, k, rank)
    task, ov = tl.Task(name, noise=0.3), tl.Overlaps(Q, M, P)
    psi_M, psi_GF, var, noise, risk = reference.flow(name, Q, M, P, noise=0.3)
    np.testing.assert_allclose(flow.psi_M(task, ov), psi_M, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(flow.psi_GF(task, ov), psi_GF, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(flow.psi_noise(task, ov), noise, rtol=1e-12)
    np.testing.assert_allclose(flow.psi_Var(task, ov), var + noise, rtol=1e-11, atol=1e-13)
    assert tl.excess_risk(task, ov) == pytest.approx(risk, rel=1e-11)
    assert tl.risk(task, ov) == pytest.approx(risk + 0.15, rel=1e-11)


def test_square_against_the_printed_formulas():
    """Section 3 of the paper for general P, traces and products as printed there."""
    p, k, noise = 5, 3, 0.2
    Q, M, P = random_overlaps(np.random.default_rng(8), p, k)
    t, tp = np.trace(Q), np.trace(P)
    MM, a = M @ M.T, np.trace(P) / k - np.trace(Q) / p
    psi_M = 2 * a * M + 4 * (M @ P / k - Q @ M / p)
    psi_GF = 4 * a * Q + 8 * (MM / k - Q @ Q / p)
    var = 4 * (
        ((tp**2 + 2 * np.trace(P @ P)) * Q + 4 * tp * MM + 8 * M @ P @ M.T) / k**2
        - 2
        / (p * k)
        * ((tp * t + 2 * np.trace(MM)) * Q + 2 * t * MM + 2 * tp * Q @ Q + 4 * (MM @ Q + Q @ MM))
        + ((t**2 + 2 * np.trace(Q @ Q)) * Q + 4 * t * Q @ Q + 8 * Q @ Q @ Q) / p**2
    )
    task, ov = tl.Task("square", noise=noise), tl.Overlaps(Q, M, P)
    np.testing.assert_allclose(flow.psi_M(task, ov), psi_M, rtol=1e-11)
    np.testing.assert_allclose(flow.psi_GF(task, ov), psi_GF, rtol=1e-11)
    np.testing.assert_allclose(flow.psi_Var(task, ov), var + 4 * noise * Q, rtol=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_permuting_neurons_permutes_the_flow(name):
    rng = np.random.default_rng(0)
    Q, M, P = random_overlaps(rng, 6, 3)
    i, r = rng.permutation(6), rng.permutation(3)
    task = tl.Task(name, noise=0.1)
    ov = tl.Overlaps(Q, M, P)
    other = tl.Overlaps(Q[np.ix_(i, i)], M[np.ix_(i, r)], P[np.ix_(r, r)])
    assert tl.risk(task, other) == pytest.approx(tl.risk(task, ov), rel=1e-12)
    np.testing.assert_allclose(flow.psi_M(task, other), flow.psi_M(task, ov)[np.ix_(i, r)])
    for psi in (flow.psi_GF, flow.psi_Var):
        np.testing.assert_allclose(psi(task, other), psi(task, ov)[np.ix_(i, i)], rtol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_rotating_space_changes_nothing(name):
    rng = np.random.default_rng(3)
    w = tl.Weights.gaussian(p=4, k=2, d=9, seed=1)
    turn, _ = np.linalg.qr(rng.standard_normal((9, 9)))
    turned = tl.Weights(w.W @ turn, w.W_star @ turn)
    a, b = w.overlaps(), turned.overlaps()
    np.testing.assert_allclose(a.Omega, b.Omega, atol=1e-14)
    assert tl.risk(tl.Task(name), a) == pytest.approx(tl.risk(tl.Task(name), b), rel=1e-13)


@pytest.mark.parametrize("name", NAMES)
def test_the_noiseless_optimum_is_a_fixed_point(name):
    """Two students on each target (p = 2k): f = target, so every noise-free term vanishes."""
    _, _, P = random_overlaps(np.random.default_rng(2), 1, 3)
    M = np.repeat(P, 2, axis=0)
    ov = tl.Overlaps(np.repeat(M, 2, axis=1), M, P)
    task = tl.Task(name)
    assert abs(tl.excess_risk(task, ov)) < 1e-15
    for psi in (flow.psi_M, flow.psi_GF, flow.psi_Var):
        np.testing.assert_allclose(psi(task, ov), 0, atol=1e-14)
    assert (np.diagonal(flow.psi_noise(tl.Task(name, noise=1.0), ov)) > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_gradient_flow_descends_the_risk(name):
    """Ψ^M and Ψ^GF are steepest descent: dR/dt by differences is minus the squared gradient."""
    w = tl.Weights.gaussian(p=3, k=2, d=7, seed=4)
    task, h = tl.Task(name), 1e-5

    def risk(W):
        return tl.risk(task, tl.Weights(W, w.W_star).overlaps())

    gradient = np.empty_like(w.W)
    for index in np.ndindex(w.W.shape):
        step = np.zeros_like(w.W)
        step[index] = h
        gradient[index] = (risk(w.W + step) - risk(w.W - step)) / (2 * h)
    # The mean step is (γ/p) E[σ'(λ_i) 𝓔 x] = −γ ∂R/∂w_i, and there are p d/γ steps in a unit of t.
    dW = -3 * 7 * gradient
    np.testing.assert_allclose(flow.psi_M(task, w.overlaps()), dW @ w.W_star.T / 7, atol=1e-7)
    dQ = (dW @ w.W.T + w.W @ dW.T) / 7
    np.testing.assert_allclose(flow.psi_GF(task, w.overlaps()), dQ, atol=1e-7)
