"""Closed forms against Gauss-Hermite quadrature and against Monte Carlo."""

import math
from functools import partial

import numpy as np
import pytest
from reference import random_overlaps

from twolayer.activations import ACTIVATIONS, OTHERS, Activation, erf, get
from twolayer.kernels.functions import arcsine
from twolayer.kernels.sgd import respond
from twolayer.support.checks import InvalidInput

NAMES = sorted(ACTIVATIONS)
SAMPLES = 400_000
# A standard normal exceeds this with probability 2e-6, either side together; Monte Carlo
# tests below make fewer than 500 comparisons, so a false alarm has probability below 1e-3.
Z_MAX = 4.75


@pytest.mark.parametrize("name", NAMES)
def test_derivative_is_that_of_sigma(name):
    a, x, h = get(name), np.linspace(-3, 3, 41), 1e-5
    numeric = (a.sigma(x + h) - a.sigma(x - h)) / (2 * h)
    np.testing.assert_allclose(a.derivative(x), numeric, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_the_simulator_knows_the_same_activation(name):
    far = [0.0, -0.0, 1e-300, 7.9, -9.0, 40.0, -1e3, 1e150]
    a, x = get(name), np.concatenate((np.linspace(-6, 6, 10_001), far))
    value, slope = np.empty_like(x), np.empty_like(x)
    respond(a.code, x, value, slope)
    scale = np.abs(a.sigma(x)).max() if name == "square" else 1.0
    np.testing.assert_allclose(value, a.sigma(x), rtol=1e-15, atol=2e-15 * min(scale, 1))
    # exp(−x²/2): x²/2 itself is rounded, which both sides do alike
    np.testing.assert_allclose(slope, a.derivative(x), rtol=2e-15, atol=1e-300)
    known = ACTIVATIONS | OTHERS
    assert len({other.code for other in known.values()} - {-1}) == len(known)


@pytest.mark.parametrize("name", OTHERS)
def test_the_simulator_knows_the_others_too(name):
    a, x = get(name), np.concatenate((np.linspace(-6, 6, 1001), [0.0, 1e-300, -30.0, 400.0, -1e3]))
    value, slope = np.empty_like(x), np.empty_like(x)
    respond(a.code, x, value, slope)
    size = np.maximum(np.abs(x), 1) ** (int(name[2:]) if name.startswith("he") else 0)
    assert (np.abs(value - a.sigma(x)) <= 1e-14 * size + 1e-15 * np.abs(a.sigma(x))).all()
    assert (np.abs(slope - a.derivative(x)) <= 1e-13 * size).all()


def gauss_hermite(C, function, nodes):
    """E[function(columns)] for N(0, C) by a tensor product rule."""
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    n = len(C)
    grid = np.stack(np.meshgrid(*[x] * n, indexing="ij"), -1).reshape(-1, n)
    weight = np.prod(np.stack(np.meshgrid(*[w] * n, indexing="ij"), -1).reshape(-1, n), axis=1)
    fields = grid @ np.linalg.cholesky(C).T
    return weight @ function(*fields.T) / (2 * np.pi) ** (n / 2)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(3))
def test_two_point_and_gain_by_quadrature(name, seed):
    a = get(name)
    Q, _, _ = random_overlaps(np.random.default_rng(seed), 2, 1, scale=0.9)
    for closed, function in (
        (a.forms.two_point(Q, 2)[0, 1], lambda u, v: a.sigma(u) * a.sigma(v)),
        (a.forms.gain(Q)[0, 1], lambda u, v: a.derivative(u) * a.derivative(v)),
        (a.forms.gain(Q)[0, 0], lambda u, v: a.derivative(u) ** 2),
    ):
        assert closed == pytest.approx(gauss_hermite(Q, function, 60), rel=1e-7)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(3))
def test_drift_and_variance_by_quadrature(name, seed):
    """p = 2 students and one target: three-dimensional integrals of every entry."""
    a, p = get(name), 2
    Q, M, P = random_overlaps(np.random.default_rng(10 + seed), p, 1, scale=0.9)
    Omega, c = np.block([[Q, M], [M.T, P]]), np.array([-0.5, -0.5, 1.0])
    drift, variance = a.forms.drift(Omega, c, p), a.forms.variance(Omega, c, p)

    def error(fields):
        return sum(c[m] * a.sigma(fields[m]) for m in range(3))

    for j in range(p):
        for n in range(3):
            expected = gauss_hermite(
                Omega, lambda *f, j=j, n=n: a.derivative(f[j]) * f[n] * error(f), 40
            )
            assert drift[j, n] == pytest.approx(expected, rel=1e-6, abs=1e-7)
        for i in range(p):
            expected = gauss_hermite(
                Omega,
                lambda *f, i=i, j=j: a.derivative(f[i]) * a.derivative(f[j]) * error(f) ** 2,
                40,
            )
            assert variance[i, j] == pytest.approx(expected, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_all_expectations_by_monte_carlo(name):
    """p = 4, k = 3, every entry, as z-scores of the sample mean."""
    a, p, k = get(name), 4, 3
    forms = a.forms
    rng = np.random.default_rng(5)
    Q, M, P = random_overlaps(rng, p, k)
    Omega, c = np.block([[Q, M], [M.T, P]]), rng.standard_normal(p + k)
    fields = rng.standard_normal((SAMPLES, p + k)) @ np.linalg.cholesky(Omega).T
    slope, error = a.derivative(fields[:, :p]), a.sigma(fields) @ c

    def assert_mean(samples, expected):
        z = (samples.mean(axis=0) - expected) / (samples.std(axis=0) / np.sqrt(SAMPLES))
        assert np.abs(z).max() < Z_MAX

    two_point = forms.two_point(Omega, p)
    assert_mean(error**2, c @ two_point @ c)
    assert_mean(
        slope[:, :, None] * fields[:, None, :] * error[:, None, None], forms.drift(Omega, c, p)
    )
    pairs = slope[:, :, None] * slope[:, None, :]
    assert_mean(pairs, forms.gain(Q))
    assert_mean(pairs * error[:, None, None] ** 2, forms.variance(Omega, c, p))


@pytest.mark.parametrize("name", NAMES)
def test_leading_axes_are_many_states_at_once(name):
    forms, p, k = get(name).forms, 7, 3
    rng = np.random.default_rng(1)
    states = [random_overlaps(rng, p, k) for _ in range(6)]
    Omega = np.stack([np.block([[Q, M], [M.T, P]]) for Q, M, P in states]).reshape(2, 3, 10, 10)
    c = rng.standard_normal(p + k)
    for function in (forms.drift, forms.variance, partial(forms.variance, d=12)):
        together = function(Omega, c, p)
        alone = np.stack([function(one, c, p) for one in Omega.reshape(-1, 10, 10)])
        np.testing.assert_allclose(together.reshape(alone.shape), alone, rtol=1e-12, atol=1e-15)


def test_the_compiled_arcsine_is_exact_to_rounding():
    x = np.concatenate((np.linspace(-1, 1, 4001), [0.5, -0.5, 1e-9, -1e-300, 0.0]))
    found = np.array([arcsine(v) for v in x])
    expected = [math.asin(v) for v in x]  # NumPy's has another last digit on some processors
    np.testing.assert_allclose(found, expected, rtol=1e-15, atol=0)


@pytest.mark.parametrize(("p", "k"), [(1, 1), (9, 4), (60, 3)])
def test_compiled_and_plain_variance_agree(p, k):
    """Also with singular Ω, and with enough pairs to be spread over the cores."""
    rng = np.random.default_rng(p)
    states = np.stack(
        [
            np.block([[Q, M], [M.T, P]])
            for Q, M, P in [
                random_overlaps(rng, p, k, 5),
            ]
            * 2
        ]
    )
    c, (i, j) = rng.standard_normal(p + k), np.triu_indices(p)
    for kernel in erf.SUMMANDS:
        plain = erf.plain_sums(kernel, states, c, i, j)
        compiled = erf.compiled_sums(kernel, states, c, i, j)
        np.testing.assert_allclose(compiled, plain, rtol=1e-11, atol=1e-13)


def test_lookup():
    found = get("erf")
    assert isinstance(found, Activation)
    assert get(found) is found
    with pytest.raises(InvalidInput, match=r"activation: got 'tanhh'.*'erf', 'square'"):
        get("tanhh")
    own = get(np.tanh)
    assert own.name == "tanh"
    assert not own.closed
