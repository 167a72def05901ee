"""Ψ^Var given two pre-activations: against closed forms, Monte Carlo, and SGD."""

import numpy as np
import pytest
from reference import random_overlaps

import twolayer as tl
from twolayer.activations import Activation, get
from twolayer.activations.conditional import variance
from twolayer.activations.quadrature import Quadrature
from twolayer.problem.task import coefficients

SAMPLES = 400_000
#: As in `test_activations`: fewer than 500 comparisons, false alarm below 1e-3.
Z_MAX = 4.75
RELU = get("relu")
LEAKY = Activation.of(
    lambda x: np.where(x > 0, x, 0.1 * x), lambda x: np.where(x > 0, 1.0, 0.1), kinks=(0.0,)
)
CLIPPED = Activation.of(
    lambda x: np.clip(x, -1, 1), lambda x: 1.0 * (np.abs(x) < 1), kinks=(-1.0, 1.0)
)


def state(seed, p=3, k=2, rank=None):
    Q, M, P = random_overlaps(np.random.default_rng(seed), p, k, rank=rank)
    return np.block([[Q, M], [M.T, P]]), coefficients(np.ones(p), np.ones(k)), p


@pytest.mark.parametrize("name", ["erf", "square"])
@pytest.mark.parametrize("rank", [None, 3, 2])
def test_it_gives_the_closed_forms(name, rank):
    """Also where the covariance is singular, and two neurons are the same."""
    activation = get(name)
    Omega, c, p = state(0, rank=rank)
    twice, c_twice, _ = state(0, p=4, rank=rank)
    twice[0] = twice[1]
    twice[:, 0] = twice[:, 1]
    for covariance, weights, students in ((Omega, c, p), (twice, c_twice, 4)):
        found = variance(activation.split, activation.split, covariance, weights, students, 48)
        closed = activation.forms.variance(covariance, weights, students)
        np.testing.assert_allclose(found, closed, rtol=1e-5, atol=1e-6 * closed.max())


@pytest.mark.parametrize(
    ("student", "target"),
    [(RELU, RELU), (RELU, get("he3")), (LEAKY, get("erf")), (CLIPPED, RELU), (get("tanh"), RELU)],
    ids=str,
)
@pytest.mark.parametrize("rank", [None, 2])
def test_it_by_monte_carlo(student, target, rank):
    Omega, c, p = state(2, rank=rank)
    values, vectors = np.linalg.eigh(Omega)
    root = vectors * np.sqrt(np.maximum(values, 0))
    fields = np.random.default_rng(3).standard_normal((SAMPLES, len(c))) @ root.T
    error = student.sigma(fields[:, :p]) @ c[:p] + target.sigma(fields[:, p:]) @ c[p:]
    slopes = student.derivative(fields[:, :p])
    found = variance(student.split, target.split, Omega, c, p, 72)
    for i in range(p):
        for j in range(p):
            samples = slopes[:, i] * slopes[:, j] * error**2
            allowed = Z_MAX * samples.std() / np.sqrt(SAMPLES) + 3e-4 * found.max()
            assert abs(samples.mean() - found[i, j]) < allowed


def test_the_error_is_stated_and_shrinks():
    Omega, c, p = state(4)
    true = variance(RELU.split, RELU.split, Omega, c, p, 192)
    for order, within in ((24, 5e-3), (48, 1e-4), (96, 1e-5)):
        forms = Quadrature(RELU, RELU, order)
        actual = np.abs(forms.variance(Omega, c, p) - true)
        stated = forms.variance_error(Omega, c, p)
        assert actual.max() < 3 * stated.max() < within * true.max()


def test_ten_students_and_five_targets():
    Omega, c, p = state(5, p=10, k=5)
    found, finer = (variance(RELU.split, RELU.split, Omega, c, p, order) for order in (36, 48))
    np.testing.assert_allclose(found, finer, rtol=1e-4, atol=1e-5 * finer.max())


def test_it_vanishes_at_perfect_learning():
    """Also for neurons in parallel, where the series alone would converge slowly."""
    M = np.eye(2)[[0, 1, 0, 1]]
    Omega = np.block([[M @ M.T, M], [M.T, np.eye(2)]])
    for activation in (RELU, LEAKY, CLIPPED, get("tanh")):
        found = variance(
            activation.split, activation.split, Omega, coefficients(np.ones(4), np.ones(2)), 4, 48
        )
        assert np.abs(found).max() < 1e-12


@pytest.mark.parametrize("activation", [RELU, CLIPPED], ids=["relu", "clipped"])
def test_it_does_not_jump(activation):
    """Second differences along a path shrink fourfold with half the step; a jump would stay."""
    (first, c, p), of = state(6), activation.split
    last = state(7)[0]

    def bends(steps):
        where = 0.4 + 0.02 * np.linspace(0, 1, steps + 1)
        path = [variance(of, of, (1 - x) * first + x * last, c, p, 24) for x in where]
        return np.abs(np.diff(path, 2, axis=0)).max()

    coarse, fine = bends(16), bends(32)
    assert fine < 0.3 * coarse < 1e-4


def test_sgd_follows_the_full_flow_of_a_relu_student():
    """Mean risk of 200 runs at d = 100, at most 5 errors and the O(1/d) of the theory: 1 %.

    Gradient flow is further away at γ = 1.  False alarm 2e-6 beyond.
    """
    task, start = tl.Task("relu", order=24), tl.Weights.gaussian(p=2, k=1, d=100, seed=1)
    settings = {"learning_rate": 1.0, "t_eval": [0.0, 1.0, 3.0], "progress": False}
    sgd = tl.simulate(task, start, runs=200, **settings)
    mean, error = sgd.excess_risk.mean(0), sgd.excess_risk.std(0, ddof=1) / np.sqrt(200)
    full, flow = (
        tl.solve(task, start.overlaps(), terms=terms, rtol=1e-6, atol=1e-9, **settings)
        for terms in ("full", "gradient-flow")
    )
    allowed = 5 * error + 0.01 * full.excess_risk
    assert (np.abs(mean - full.excess_risk) < allowed).all()
    assert np.abs(mean - flow.excess_risk)[-1] > allowed[-1]
    assert 0 < full.provenance["variance_error"] < 0.01
