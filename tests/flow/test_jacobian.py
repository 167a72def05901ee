"""The analytic Jacobian against central differences of the flow."""

import numpy as np
import pytest
from reference import random_overlaps

import twolayer as tl
from twolayer import flow
from twolayer.flow.jacobian import jacobian
from twolayer.support.unknowns import Unknowns


def central_differences(task, P, rate, terms, Q, M, h=1e-5):
    state = Unknowns(Q.shape, M.shape, triangle=True)
    rhs = flow.right_hand_side(task, P, rate, terms)
    y = state.pack(Q, M)
    step = h * np.eye(y.size)
    ahead, behind = (state.pack(*rhs(*state.unpack(z))) for z in (y + step, y - step))
    return (ahead - behind).T / (2 * h)


@pytest.mark.parametrize("name", ["erf", "square"])
@pytest.mark.parametrize("terms", list(flow.TERMS))
@pytest.mark.parametrize(("p", "k"), [(1, 1), (2, 3), (6, 2)])
def test_against_differences(name, terms, p, k):
    Q, M, P = random_overlaps(np.random.default_rng(p), p, k)
    task = tl.Task(name, noise=0.3)
    found = jacobian(task, P, terms)(Q, M, 0.7 * p)
    expected = central_differences(task, P, 0.7 * p, terms, Q, M)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["erf", "square"])
def test_in_several_chunks(name, monkeypatch):
    Q, M, P = random_overlaps(np.random.default_rng(0), 5, 2)
    of = jacobian(tl.Task(name, noise=0.1), P, "full")
    whole = of(Q, M, 1.0)
    monkeypatch.setattr("twolayer.flow.jacobian._IN_FLIGHT", 100)
    np.testing.assert_allclose(of(Q, M, 1.0), whole, rtol=1e-12, atol=1e-14)


def test_identical_neurons_at_the_optimum():
    """A singular Ω: the flow is smooth there too."""
    M = np.repeat(np.eye(2), 2, axis=0)
    task, state = tl.Task("erf", noise=0.1), (M @ M.T, M)
    found = jacobian(task, np.eye(2), "full")(*state, 1.0)
    expected = central_differences(task, np.eye(2), 1.0, "full", *state)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("method", ["LSODA", "Radau", "BDF"])
def test_implicit_methods_agree(method):
    ov = tl.Weights.gaussian(p=6, k=2, d=12, seed=1).overlaps()
    runs = [
        tl.solve(tl.Task("erf", noise=1e-2), ov, learning_rate=1.0, t_eval=[1, 30, 1e3], method=m)
        for m in (method, "DOP853")
    ]
    np.testing.assert_allclose(*(run.excess_risk for run in runs), rtol=1e-5)
