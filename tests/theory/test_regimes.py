"""Sizes of terms and names of regimes."""

import math

import numpy as np
import pytest

import twolayer as tl
from twolayer import flow, regimes


def test_the_sizes_are_those_of_their_formulas():
    task, ov = tl.Task("erf", noise=0.1), regimes.half_way(6, 2)
    found = regimes.scales(d=400, p=6, learning_rate=0.6, noise=0.1, overlaps=ov)
    assert found.fluctuations == pytest.approx(math.sqrt(0.6 / 2400))
    assert (found.finite_p, found.finite_d) == pytest.approx((6**-0.5, 0.05))
    rhs = flow.right_hand_side(task, ov.P, 0.6, "gradient-flow")
    dQ, dM = rhs(ov.Q, ov.M)
    drift = np.linalg.norm(np.block([[dQ, dM], [dM.T, np.zeros((2, 2))]]))
    full, _ = flow.right_hand_side(task, ov.P, 0.6, "full")(ov.Q, ov.M)
    assert found.variance == pytest.approx(np.linalg.norm(full - dQ) / drift, rel=1e-12)


@pytest.mark.parametrize("activation", ["erf", "square"])
@pytest.mark.parametrize("rate_over_p", [1e-2, 1e-3])
def test_the_plateau_is_that_of_the_flow(activation, rate_over_p):
    """To first order: what is missing is of relative order γ/p."""
    p, noise = 4, 1e-3
    M = np.eye(2)[[0, 1, 0, 1]]
    start = tl.Overlaps(M @ M.T, M, np.eye(2))
    rate = p * rate_over_p
    sol = tl.solve(
        tl.Task(activation, noise=noise), start, learning_rate=rate, t_eval=[100 / rate_over_p]
    )
    found = regimes.scales(100, p, rate, noise, activation=activation, overlaps=start)
    assert found.plateau == pytest.approx(sol.excess_risk[-1], rel=5 * rate_over_p)


@pytest.mark.parametrize(
    ("d", "p", "rate", "noise", "name"),
    [
        (1000, 4, 4.0, 0.0, "high-dimensional"),
        (1000, 4, 0.01, 0.0, "gradient flow"),
        (1000, 4, 0.01, 0.1, "gradient flow, then a plateau"),
        (5, 10_000, 1.0, 0.0, "mean field, low-dimensional"),
        (1000, 1000, 1.0, 0.0, "mean field, high-dimensional"),
        (2, 2, 1.0, 0.0, "no ODE: SGD fluctuates"),
        (10**9, 4, 4000.0, 0.0, "dominated by the variance"),
    ],
)
def test_names(d, p, rate, noise, name):
    assert regimes.scales(d, p, rate, noise).regime == name


def test_phases_have_the_clock_of_their_drift():
    assert regimes.phase(0.25, -0.25) == ("plateau", 1.0)
    assert regimes.phase(0.5, 0.0) == ("perfect learning", 1.5)
    assert regimes.phase(0.0, -0.25) == ("bad learning", 0.5)
    name, clock = regimes.phase(0.0, -0.5)
    assert name == "no ODE"
    assert math.isnan(clock)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"d": 0}, "d"),
        ({"p": 1.5}, "p"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"noise": -1}, "noise"),
        ({"k": 0}, "k"),
        ({"activation": "relu6"}, "activation"),
        ({"overlaps": regimes.half_way(3, 1)}, "overlaps"),
        ({"overlaps": np.eye(4)}, "overlaps"),
    ],
)
def test_bad_input(arguments, name):
    good = {"d": 10, "p": 4, "learning_rate": 0.1}
    with pytest.raises(tl.InvalidInput, match=f"^{name}: "):
        regimes.scales(**(good | arguments))


@pytest.mark.parametrize(("kappa", "delta", "name"), [(-1, 0, "kappa"), (0, math.nan, "delta")])
def test_bad_exponents(kappa, delta, name):
    with pytest.raises(tl.InvalidInput, match=name):
        regimes.phase(kappa, delta)
