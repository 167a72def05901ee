"""Grönwall's exponent: a bound on what the flow does to a small difference."""

import numpy as np
import pytest

import twolayer as tl
from twolayer.flow import right_hand_side
from twolayer.theory import growth_exponent

START = tl.Weights.gaussian(p=2, k=2, d=30, seed=1).overlaps()
TASK = tl.Task("erf", noise=0.1)
UPPER = np.triu_indices(2)


def unknowns(path):
    return np.hstack((path.Q[:, UPPER[0], UPPER[1]], path.M.reshape(len(path.t), -1)))


def test_it_bounds_what_becomes_of_a_small_difference():
    t = np.linspace(0, 5, 51)
    options = {"learning_rate": 1.0, "t_eval": t, "rtol": 1e-12, "progress": False}
    path = tl.solve(TASK, START, **options)
    bound = np.exp(growth_exponent(path))
    for seed in range(3):
        away = 1e-6 * np.random.default_rng(seed).normal(size=(2, 2))
        moved = tl.Overlaps(START.Q, START.M + away, START.P)
        apart = np.linalg.norm(unknowns(tl.solve(TASK, moved, **options)) - unknowns(path), axis=1)
        assert (apart <= 1.01 * bound * apart[0]).all()


def test_its_rate_is_that_of_differences():
    path = tl.solve(TASK, START, learning_rate=1.0, t_eval=[0.0, 1e-6], progress=False)
    rhs = right_hand_side(TASK, START.P, 1.0, "full")

    def flow(y):
        Q = np.zeros((2, 2))
        Q[UPPER] = y[:3]
        dQ, dM = rhs(Q + np.triu(Q, 1).T, y[3:].reshape(2, 2))
        return np.concatenate((dQ[UPPER], dM.ravel()))

    y, steps = unknowns(path)[0], 1e-5 * np.eye(7)
    J = np.array([flow(y + step) - flow(y - step) for step in steps]).T / 2e-5
    expected = np.linalg.eigvalsh((J + J.T) / 2)[-1]
    assert growth_exponent(path)[1] / 1e-6 == pytest.approx(expected, rel=1e-4)


def test_gradient_flow_needs_no_learning_rate():
    path = tl.solve(TASK, START, terms="gradient-flow", t_eval=[0.0, 1.0], progress=False)
    assert growth_exponent(path).shape == (2,)


def test_runs_of_sgd_are_refused():
    run = tl.simulate(TASK, START, d=30, learning_rate=1.0, t_eval=[0.0, 0.1], progress=False)
    with pytest.raises(tl.InvalidInput, match="solve"):
        growth_exponent(run)
