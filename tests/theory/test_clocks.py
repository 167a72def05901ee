"""The flow on other clocks: against the flow itself, its phases, and its terms."""

import math

import numpy as np
import pytest

import twolayer as tl
from twolayer import flow, regimes, theory

TASK = tl.Task("erf", noise=0.1)
START = tl.Weights.gaussian(p=3, k=2, d=20, seed=0).overlaps()
G = 0.8
TAU = np.array([0.0, 0.3, 1.0, 4.0])


@pytest.mark.parametrize(
    ("phase", "terms"), [("perfect learning", "gradient-flow"), ("plateau", "full")]
)
def test_two_limits_are_the_flow_in_time_g_tau(phase, terms):
    A, B = theory.LIMITS[phase]
    ours = theory.clock_flow(TASK, START, rate_per_student=G, A=A, B=B, tau=TAU)
    known = tl.solve(
        TASK, START, learning_rate=G * 3, terms=terms, t_eval=G * TAU, rtol=1e-9, progress=False
    )
    for name in ("Q", "M", "excess_risk"):
        np.testing.assert_allclose(getattr(ours, name), getattr(known, name), rtol=0, atol=1e-6)


def test_bad_learning_freezes_M_and_Q_grows_by_the_variance_alone():
    A, B = theory.LIMITS["bad learning"]
    short = 1e-5
    path = theory.clock_flow(TASK, START, rate_per_student=G, A=A, B=B, tau=[0.0, short, 5.0])
    assert (path.M == START.M).all()
    np.testing.assert_allclose(
        (path.Q[1] - path.Q[0]) / short, G**2 * flow.psi_Var(TASK, START), rtol=1e-3
    )
    assert np.trace(path.Q[2]) > np.trace(path.Q[0])
    assert path.excess_risk[2] > path.excess_risk[0]


def test_the_clock_of_both_terms_tends_to_its_limit():
    def end(A, B):
        return theory.clock_flow(TASK, START, rate_per_student=G, A=A, B=B, tau=[2.0]).Q

    limit = end(*theory.LIMITS["perfect learning"])
    far = [np.abs(end(*theory.clock_coefficients(0.5, d)) - limit).max() for d in (1e4, 1e6)]
    assert far[0] / far[1] == pytest.approx(10, rel=0.05)


def test_times_may_come_in_any_order():
    mixed = theory.clock_flow(TASK, START, rate_per_student=G, A=1, B=1, tau=[1.0, 0.0, 1.0])
    assert mixed.tau.tolist() == [1.0, 0.0, 1.0]
    assert (mixed.Q[0] == mixed.Q[2]).all()
    np.testing.assert_allclose(mixed.Q[1], START.Q, rtol=1e-12)


@pytest.mark.parametrize("delta", [0.7, 0.5, 0.0, -0.1, -0.25, -0.4])
def test_coefficients_and_exponents_are_those_of_the_phase(delta):
    phase, clock = regimes.phase(0.0, delta)
    d = 1e6
    A, B = theory.clock_coefficients(delta, d)
    assert pytest.approx((d ** (clock - 1 - delta), d ** (clock - 1 - 2 * delta))) == (A, B)
    assert max(A, B) == pytest.approx(1)
    left_out, fluctuations = theory.approach(delta)
    # One step's deviation, of order d^(−1−δ) or d^(−1−2δ), times the root of d^c steps.
    assert fluctuations == pytest.approx(clock / 2 + max(-1 - delta, -1 - 2 * delta))
    if phase == "plateau":
        assert left_out == -math.inf
    else:
        assert d**left_out == pytest.approx(min(A, B))


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"task": "erf"}, "task"),
        ({"overlaps": np.eye(4)}, "overlaps"),
        ({"rate_per_student": 0}, "rate_per_student"),
        ({"A": -1}, "A"),
        ({"B": math.nan}, "B"),
        ({"tau": [-1.0]}, "tau"),
    ],
)
def test_bad_input(arguments, name):
    good = {"task": TASK, "overlaps": START, "rate_per_student": G, "A": 1, "B": 1, "tau": [1.0]}
    with pytest.raises(tl.InvalidInput, match=f"^{name}: "):
        theory.clock_flow(**(good | arguments))


def test_bad_exponents():
    with pytest.raises(tl.InvalidInput, match=r"^s: "):
        theory.approach(math.inf)
    with pytest.raises(tl.InvalidInput, match=r"^d: "):
        theory.clock_coefficients(0.5, 0.5)
