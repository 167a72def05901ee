"""Finite d: the norm of a sample in Ψ^Var, against differences, Monte Carlo and SGD."""

import numpy as np
import pytest
from reference import random_overlaps
from scipy import stats

import twolayer as tl
from twolayer import flow
from twolayer.activations import get
from twolayer.activations.quadrature import Quadrature
from twolayer.problem.task import coefficients

NAMES = ["erf", "square"]


def state(seed, p, k, rank=None):
    Q, M, P = random_overlaps(np.random.default_rng(seed), p, k, rank)
    return np.block([[Q, M], [M.T, P]]), Q


def along(function, C, h=1e-3):
    """d/ds f(sC) at s = 1, by differences of fourth order."""
    near, far = (function((1 + e) * C) - function((1 - e) * C) for e in (h, 2 * h))
    return (8 * near - far) / (12 * h)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("p", "k", "rank"), [(1, 1, None), (4, 2, None), (4, 2, 3), (2, 4, 5)])
def test_closed_forms_against_differences(name, p, k, rank):
    a, d = get(name).forms, 7
    Omega, Q = state(p + k, p, k, rank)
    c = np.random.default_rng(0).standard_normal(p + k)
    expected = a.variance(Omega, c, p) + 2 / d * along(lambda C: a.variance(C, c, p), Omega)
    np.testing.assert_allclose(a.variance(Omega, c, p, d), expected, rtol=1e-9, atol=1e-9)
    expected = a.gain(Q) + 2 / d * along(a.gain, Q)
    np.testing.assert_allclose(a.gain(Q, d), expected, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("p", "k", "d"), [(2, 1, 12), (2, 1, 3), (4, 2, 3)])
def test_psi_var_by_monte_carlo(name, p, k, d):
    """With samples in d dimensions, also where Ω is singular.  False alarm below 1e-3."""
    task, weights, n = tl.Task(name, noise=0.4), tl.Weights.gaussian(p, k, d, seed=d), 400_000
    rng = np.random.default_rng(d)
    x = rng.standard_normal((n, d)) / np.sqrt(d)
    fields, target = x @ weights.W.T, x @ weights.W_star.T
    a = task.activation
    error = a.sigma(target).mean(1) - a.sigma(fields).mean(1) + np.sqrt(0.4) * rng.normal(size=n)
    step = a.derivative(fields) * (error * np.linalg.norm(x, axis=1))[:, None]
    found = flow.psi_Var(task, weights.overlaps(), d=d)
    i, j = np.triu_indices(p)
    products = step[:, i] * step[:, j]
    z = (products.mean(0) - found[i, j]) / (products.std(0) / np.sqrt(n))
    assert np.abs(z).max() < stats.norm.isf(1e-3 / 2 / 32)  # 32 comparisons in all
    assert not np.allclose(found, flow.psi_Var(task, weights.overlaps()), rtol=0.02)


@pytest.mark.parametrize("name", NAMES)
def test_infinite_d_is_the_flow(name):
    ov, task = tl.Weights.gaussian(3, 2, 9, seed=1).overlaps(), tl.Task(name, noise=0.3)
    far = flow.psi_Var(task, ov, d=10**12)
    np.testing.assert_allclose(far, flow.psi_Var(task, ov), rtol=1e-10)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("p", [3, 10])
def test_without_closed_forms(name, p):
    """The gain to 1e-9; the variance, in two steps and by points, to its own error (alarm 1e-4)."""
    closed, d = get(name).forms, 6
    by_points = Quadrature(get(name), get(name)).finer_variance(p + 2, p, factor=8)
    Omega, Q = state(0, p, 2)
    c = coefficients(np.ones(p), np.ones(2))
    np.testing.assert_allclose(by_points.gain(Q, d), closed.gain(Q, d), rtol=1e-9, atol=1e-10)
    found, expected = (forms.variance(Omega[None], c, p, d)[0] for forms in (by_points, closed))
    error = by_points.variance_error(Omega, c, p, d)
    rounding = 1e-8 * expected.max()
    assert (np.abs(found - expected) < 8 * error + rounding).all()  # seven degrees of freedom
    assert error.max() < 0.03 * expected.max()


def test_the_plateau_at_first_order():
    """Noise is taken in through the gain: 1 − 2/(3d) for norms 1, as book/rates says."""
    Q, d = np.eye(3), 5
    ratio = np.diagonal(get("erf").forms.gain(Q, d) / get("erf").forms.gain(Q))
    np.testing.assert_allclose(ratio, 1 - 2 / (3 * d), rtol=1e-12)
    M, rate, task = np.eye(3), 1e-3, tl.Task("erf", noise=1e-2)
    plateau = [
        tl.solve(task, tl.Overlaps(M, M, M), learning_rate=rate, t_eval=[1e3], d=size)
        for size in (d, None)
    ]
    ratio = plateau[0].excess_risk[-1] / plateau[1].excess_risk[-1]
    assert ratio == pytest.approx(1 - 2 / (3 * d), abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["LSODA", "Radau", "BDF"])
def test_implicit_methods_agree(name, method):
    """The Jacobian knows no d; the solution does, even at d = 3."""
    ov = tl.Weights.gaussian(p=3, k=2, d=3, seed=1).overlaps()
    runs = [
        tl.solve(tl.Task(name, noise=1e-2), ov, learning_rate=0.1, t_eval=[1, 30], d=3, method=m)
        for m in (method, "DOP853")
    ]
    np.testing.assert_allclose(runs[0].Q, runs[1].Q, rtol=1e-6)


def test_refused():
    ov, task = tl.Weights.gaussian(3, 2, 9, seed=1).overlaps(), tl.Task("erf")
    arguments = {"t_eval": [1.0], "learning_rate": 0.1}
    with pytest.raises(tl.InvalidInput, match=r"d: got 9.*None when terms is 'gradient-flow'"):
        tl.solve(task, ov, terms="gradient-flow", d=9, **arguments)
    for d in (1, 0, 2.5, "many"):
        with pytest.raises(tl.InvalidInput, match="d: got"):
            tl.solve(task, ov, d=d, **arguments)
    assert tl.solve(task, ov, d=2, **arguments).parameters["d"] == 2


# --- SGD -----------------------------------------------------------------------------------


def misfit(samples, expected):
    """p-value of Hotelling's test that the samples (N, m) have this mean."""
    N, m = samples.shape
    away = samples.mean(0) - expected
    T2 = N * away @ np.linalg.solve(np.cov(samples.T), away)
    return stats.f.sf(T2 * (N - m) / (m * (N - 1)), m, N - m)


@pytest.mark.parametrize("name", NAMES)
def test_the_mean_of_one_step_of_sgd_is_exact(name):
    """Fails one time in 10⁴ if the formula is right; without d it is 1e-10 at most."""
    p, d, rate, runs = 2, 4, {"erf": 20.0, "square": 2.0}[name], 12_000
    start, task = tl.Weights.gaussian(p, 1, d, seed=2), tl.Task(name, noise=1.0)
    dt = rate / (p * d)
    sgd = tl.simulate(
        task, start, learning_rate=rate, t_eval=[dt], runs=runs, method="direct", progress=False
    )
    ov, (i, j) = start.overlaps(), np.triu_indices(p)
    samples = np.concatenate((sgd.Q[:, 0, i, j], sgd.M[:, 0, :, 0]), axis=1)
    found = []
    for size in (d, None):
        dQ, dM = flow.right_hand_side(task, ov.P, rate, "full", size)(ov.Q, ov.M)
        expected = np.concatenate(((ov.Q + dt * dQ)[i, j], (ov.M + dt * dM)[:, 0]))
        found.append(misfit(samples, expected))
    assert found[0] > 1e-4
    assert found[1] < 1e-10


def test_a_short_time_of_sgd():
    """‖w − w*‖²/d from perfect learning on, which only the label noise drives.

    At t = 0.1 and dt = 0.002 the flow with d should be right to 1e-3 of it; without d it is
    5 % off.  Fails one time in 10⁴ if so.
    """
    d, t, runs = 12, 0.1, 12_000
    task = tl.Task("erf", noise=1.0)
    w_star = np.sqrt(d) * np.eye(1, d)
    start = tl.Weights(np.repeat(w_star, 2, axis=0), w_star)
    sgd = tl.simulate(
        task, start, learning_rate=0.048, t_eval=[t], runs=runs, method="direct", progress=False
    )

    def distance(run):
        return run.Q[..., 0, 0, 0] - 2 * run.M[..., 0, 0, 0] + 1

    found = distance(sgd)[:]
    mean, error = found.mean(), found.std() / np.sqrt(runs)
    ode = [
        distance(tl.solve(task, start.overlaps(), learning_rate=0.048, t_eval=[t], d=size))
        for size in (d, None)
    ]
    assert abs(mean - ode[0]) < stats.norm.isf(1e-4 / 2) * error + 1e-3 * mean
    assert abs(mean - ode[1]) > 8 * error
