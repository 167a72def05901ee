"""The last plateau: against quadrature, the flow itself, and its limits."""

import numpy as np
import pytest
from scipy.integrate import quad

import twolayer as tl
from twolayer.flow import right_hand_side
from twolayer.theory import last_plateau


def slope(x):
    """The derivative of erf(x/√2)."""
    return np.sqrt(2 / np.pi) * np.exp(-(x**2) / 2)


def density(x):
    return np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


@pytest.mark.parametrize("n", range(6))
def test_moments_are_those_of_a_quadrature(n):
    found, _ = quad(lambda x: slope(x) ** n * density(x), -20, 20, epsabs=1e-14)
    assert last_plateau.slope_moment(n) == pytest.approx(found, rel=1e-10)


def test_independent_fields_factorise():
    one, two, three = (last_plateau.slope_moment(n) for n in (1, 2, 3))
    found = last_plateau.slope_moments(3, 4)
    assert found[0, 1, 1, 0] == pytest.approx(two**2)
    assert found[2, 2, 0, 2] == pytest.approx(three * one)
    assert found[0, 1, 2, 2] == pytest.approx(one**2 * two)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_operators_are_those_of_their_formulas(k):
    rng = np.random.default_rng(k)
    S = rng.normal(size=(k, k))
    S = S @ S.T
    G, contraction, growth = last_plateau.operators(k)
    np.testing.assert_allclose((contraction @ S.ravel()).reshape(k, k), -(G @ S + S @ G) / k)
    H = np.einsum("rsuv,uv->rs", last_plateau.slope_moments(k, 4), S)
    np.testing.assert_allclose((growth @ S.ravel()).reshape(k, k), H / k**2)


@pytest.mark.parametrize("k", [1, 2])
def test_they_move_s_as_the_full_flow_does(k):
    """Students orthogonally off their targets: S = δδᵀ/d is then Q − I, to first order."""
    noise, rate, eps = 0.3, 0.7, 1e-6
    S = np.eye(k) + 0.3 * (np.ones((k, k)) - np.eye(k))
    one = np.eye(k)
    rhs = right_hand_side(tl.Task("erf", noise=noise * eps), one, rate * k, "full")
    dQ, dM = rhs(one + eps * S, one)
    G, contraction, growth = last_plateau.operators(k)
    expected = ((contraction + rate * growth) @ S.ravel()).reshape(k, k) + rate * noise * G
    # δ = w − w*: dS/dt = dQ/dt − dM/dt − (dM/dt)ᵀ.
    np.testing.assert_allclose((dQ - dM - dM.T) / eps, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_small_rates_give_the_linear_law(k):
    law = last_plateau.linear_law()
    assert last_plateau.all_orders(k, 1e-7) == pytest.approx(law, rel=1e-6)
    assert law == pytest.approx(1 / (2 * np.pi * np.sqrt(3)))


@pytest.mark.parametrize("k", [1, 2])
def test_all_orders_is_the_plateau_of_the_flow(k):
    rate, noise, start = 1.5, 1e-6, tl.Overlaps(np.eye(k), np.eye(k), np.eye(k))
    task = tl.Task("erf", noise=noise)
    end = tl.solve(task, start, learning_rate=rate * k, t_eval=[300.0], rtol=1e-11, progress=False)
    found = end.excess_risk[-1] / (rate * noise)
    assert last_plateau.all_orders(k, rate) == pytest.approx(found, rel=1e-3)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_both_ways_to_the_critical_rate_agree(k):
    by_map = last_plateau.critical_rate(k)
    assert last_plateau.critical_rate_of_flow(k) == pytest.approx(by_map, rel=1e-9)
    assert last_plateau.all_orders(k, 0.999 * by_map) > 100 * last_plateau.linear_law()


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_map_is_stable_below_the_critical_rate_and_not_above(k):
    _, contraction, growth = last_plateau.operators(k)
    largest = [
        np.linalg.eigvals(contraction + x * last_plateau.critical_rate(k) * growth).real.max()
        for x in (0.0, 0.5, 0.99, 1.01)
    ]
    assert max(largest[:3]) < 0 < largest[3]


def test_one_target_in_closed_form():
    assert last_plateau.critical_rate(1) == pytest.approx(np.pi * np.sqrt(5 / 3), rel=1e-12)


def test_what_cannot_be_used_is_refused():
    with pytest.raises(tl.InvalidInput, match="critical"):
        last_plateau.all_orders(1, 4.1)
    with pytest.raises(tl.InvalidInput, match="k"):
        last_plateau.critical_rate(0)
