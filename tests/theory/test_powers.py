"""The sizes of one step: against the flow, a simulated step, and the known phases."""

import numpy as np
import pytest

import twolayer as tl
from twolayer import flow, regimes, theory

TASK = tl.Task("erf", noise=0.1)
HALF_WAY = regimes.half_way(4, 2)
MOMENTS = theory.one_step(TASK, HALF_WAY)


def test_the_drifts_are_those_of_the_flow():
    M, Q = flow.psi_M(TASK, HALF_WAY), np.diagonal(flow.psi_GF(TASK, HALF_WAY))
    assert MOMENTS.first**2 == pytest.approx(((M**2).sum() + (Q**2).sum()) / (M.size + Q.size))
    second = np.diagonal(flow.psi_Var(TASK, HALF_WAY))
    assert MOMENTS.second == pytest.approx(np.sqrt((second**2).mean()))
    first, second, _ = MOMENTS.sizes(0.3, 50.0)
    assert (first, second) == pytest.approx((0.3 * MOMENTS.first / 50, 0.09 * MOMENTS.second / 50))


@pytest.mark.parametrize("rate_per_student", [0.1, 3.0])
def test_the_deviation_is_that_of_a_step_of_sgd(rate_per_student):
    """Over 2,000 runs of four students: 2 % of statistical error, and 1/d."""
    d, p = 400, 4
    run = tl.simulate(
        TASK,
        HALF_WAY,
        d=d,
        learning_rate=rate_per_student * p,
        t_eval=[0, rate_per_student / d],
        runs=2000,
        seed=1,
        progress=False,
    )
    change = np.diagonal(run.Q[:, 1] - run.Q[:, 0], axis1=1, axis2=2)
    spread = MOMENTS.sizes(rate_per_student, d)[2]
    assert np.sqrt(change.var(axis=0).mean()) == pytest.approx(spread, rel=0.08)


@pytest.mark.parametrize(
    ("kappa", "delta"),
    [(x, y) for x in (0, 0.3, 1) for y in (0.5, 0.1, -0.1, -0.4, -1.2, -1.7)],
)
def test_powers_give_the_known_phases(kappa, delta):
    """With sizes that do not depend on p, and off the borders."""
    pair = (1e20, 1e22)
    small, large = (MOMENTS.sizes(d ** (-delta - kappa), d) for d in pair)
    phase, clock, accumulated = theory.count_powers(small, large, 100.0)
    known, of_theory = regimes.phase(kappa, delta)
    if theory.in_strip(kappa, delta):
        assert (phase, known) == ("bad learning", "no ODE")
    else:
        assert phase == known
    if known != "no ODE":
        assert clock == pytest.approx(of_theory, abs=0.01)
        assert accumulated < 0


def test_drifts_within_the_resolution_are_a_plateau():
    assert theory.count_powers([1, 1, 1], [0.1, 0.1, 0.1], 10.0)[0] == "plateau"
    near = [0.1, 0.1 * 10**0.02, 0.1]
    assert theory.count_powers([1, 1, 1], near, 10.0)[0] == "bad learning"
    assert theory.count_powers([1, 1, 1], near, 10.0, resolution=0.05)[0] == "plateau"


def test_the_strip_lies_between_its_lines():
    assert not theory.in_strip(0.0, -0.6)  # the lines meet at κ = 0
    assert theory.in_strip(1.0, -1.0)  # the theorem wants −δ < (κ + 1)/2
    assert not theory.in_strip(1.0, -1.5)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: theory.one_step("erf", HALF_WAY), "task"),
        (lambda: theory.one_step(TASK, np.eye(6)), "overlaps"),
        (lambda: theory.one_step(TASK, HALF_WAY, samples=1), "samples"),
        (lambda: theory.one_step(TASK, HALF_WAY, seed=-1), "seed"),
        (lambda: theory.count_powers([1, 1], [1, 1, 1], 10), "small"),
        (lambda: theory.count_powers([1, 1, 1], [1, 0, 1], 10), "large"),
        (lambda: theory.count_powers([1, 1, 1], [1, 1, 1], 1), "factor"),
        (lambda: theory.count_powers([1, 1, 1], [1, 1, 1], 10, -1), "resolution"),
        (lambda: theory.in_strip(0.0, np.nan), "delta"),
    ],
)
def test_bad_input(call, name):
    with pytest.raises(tl.InvalidInput, match=f"^{name}: "):
        call()
