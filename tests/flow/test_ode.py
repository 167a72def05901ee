"""The solver against the slow reference, exact recursions, and the paper's printed curves."""

import numpy as np
import pytest
import reference
from scipy.integrate import solve_ivp

import twolayer as tl
from companion.claims.printed import printed_values
from twolayer.support import integrate as stepping
from twolayer.support.differences import differences
from twolayer.support.unknowns import Unknowns

LEARNING_RATE = 0.4


def reference_rhs(name, P, terms, noise, p):
    k = len(P)

    def rhs(_, y):
        Q, M = y[: p * p].reshape(p, p), y[p * p :].reshape(p, k)
        psi_M, dQ, var, psi_noise, _ = reference.flow(name, Q, M, P, noise)
        if terms == "full":
            dQ = dQ + LEARNING_RATE / p * var
        if terms != "gradient-flow":
            dQ = dQ + LEARNING_RATE / p * psi_noise
        return np.concatenate((dQ.ravel(), psi_M.ravel()))

    return rhs


@pytest.mark.parametrize("name", ["erf", "square"])
@pytest.mark.parametrize("terms", ["gradient-flow", "gradient-flow+noise", "full"])
def test_against_an_independent_solution(name, terms):
    """Another right-hand side, another integrator (DOP853), full Q: 1e-7 in the risk."""
    p, k, noise, t = 2, 2, 0.05, [0.0, 0.3, 1.0, 5.0]
    ov = tl.Weights.gaussian(p=p, k=k, d=6, seed=0).overlaps()
    rhs = reference_rhs(name, ov.P, terms, noise, p)
    y0 = np.concatenate((ov.Q.ravel(), ov.M.ravel()))
    other = solve_ivp(rhs, (0, t[-1]), y0, t_eval=t, method="DOP853", rtol=1e-10, atol=1e-12).y.T
    sol = tl.solve(
        tl.Task(name, noise=noise), ov, learning_rate=LEARNING_RATE, terms=terms, t_eval=t
    )
    np.testing.assert_allclose(sol.Q.reshape(len(t), -1), other[:, : p * p], rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(sol.M.reshape(len(t), -1), other[:, p * p :], rtol=1e-7, atol=1e-8)
    for n, y in enumerate(other):
        Q, M = y[: p * p].reshape(p, p), y[p * p :].reshape(p, k)
        risk = reference.flow(name, Q, M, ov.P)[-1]
        assert sol.excess_risk[n] == pytest.approx(risk, rel=1e-7)


@pytest.mark.parametrize("terms", ["gradient-flow", "full"])
def test_against_the_mean_recursion_at_small_learning_rate(terms):
    """Averaged over the samples, a step is Euler's with δt = γ/(pd); its limit is the ODE."""
    p, k, d, t = 3, 2, 50, 1.0
    task = tl.Task("erf", noise=0.1)
    ov = tl.Weights.gaussian(p=p, k=k, d=8, seed=1).overlaps()
    rhs = tl.flow.right_hand_side(task, ov.P, LEARNING_RATE, terms)

    def recursion(dt):
        Q, M = ov.Q, ov.M
        for _ in range(round(t / dt)):
            dQ, dM = rhs(Q, M)
            Q, M = Q + dt * dQ, M + dt * dM
        return np.concatenate((Q.ravel(), M.ravel()))

    dt = LEARNING_RATE / (p * d)
    sol = tl.solve(task, ov, learning_rate=LEARNING_RATE, terms=terms, t_eval=[t])
    exact = np.concatenate((sol.Q[-1].ravel(), sol.M[-1].ravel()))
    coarse, fine = recursion(t / round(t / dt)), recursion(t / (2 * round(t / dt)))
    assert np.abs(fine - exact).max() < 5e-3
    np.testing.assert_allclose(2 * fine - coarse, exact, atol=5e-6)  # first order, extrapolated


@pytest.mark.parametrize("method", sorted(stepping.ODE_METHODS))
def test_every_method_gives_the_same(method):
    ov = tl.Weights.gaussian(p=3, k=2, d=5, seed=2).overlaps()
    task, t = tl.Task("erf", noise=1e-2), [0.1, 1.0, 10.0]
    arguments = {"learning_rate": 0.2, "t_eval": t, "terms": "full"}
    sol = tl.solve(task, ov, method=method, rtol=1e-8, **arguments)
    ref = tl.solve(task, ov, rtol=1e-11, atol=1e-14, **arguments)
    np.testing.assert_allclose(sol.excess_risk, ref.excess_risk, rtol=1e-5)
    assert sol.parameters["method"] == method
    assert sol.provenance["nfev"] > 0


@pytest.mark.parametrize(("name", "p", "k"), [("erf", 10, 2), ("square", 10, 2), ("erf", 4, 4)])
def test_default_tolerances_at_a_risk_of_1e_8(name, p, k):
    """Three right digits, against a hundred times tighter tolerances."""
    ov = tl.Weights.gaussian(p=p, k=k, d=3 if k == 2 else 60, seed=3).overlaps()
    t = np.logspace(0, 5, 60)
    sol = tl.solve(tl.Task(name), ov, terms="gradient-flow", t_eval=t)
    tight = tl.solve(tl.Task(name), ov, terms="gradient-flow", t_eval=t, rtol=1e-11, atol=1e-14)
    small = (tight.excess_risk > 5e-9) & (tight.excess_risk < 1e-6)
    assert small.any()
    np.testing.assert_allclose(sol.excess_risk[small], tight.excess_risk[small], rtol=5e-4)


def test_long_stay_at_the_optimum_is_cheap():
    """Overlaps that have converged to zero must not spoil the Jacobian of the implicit methods."""
    ov = tl.Weights.gaussian(p=4, k=4, d=60, seed=3).overlaps()
    sol = tl.solve(tl.Task("erf"), ov, terms="gradient-flow", t_eval=[1e3, 1e5])
    assert sol.provenance["nfev"] < 20_000
    assert abs(sol.excess_risk[-1]) < 1e-14


def test_the_jacobian_by_differences():
    """Against central differences of one state at a time."""
    ov = tl.Weights.gaussian(p=4, k=2, d=9, seed=0).overlaps()
    state = Unknowns(ov.Q.shape, ov.M.shape, triangle=True)
    rhs = tl.flow.right_hand_side(tl.Task("erf"), ov.P, 0.3, "full")

    def derivative(_, y):
        return state.pack(*rhs(*state.unpack(y)))

    y = state.pack(ov.Q, ov.M)
    jacobian = differences(derivative, 0.0, y, scale=1.0)
    h = 1e-5
    central = np.stack(
        [(derivative(0, y + h * e) - derivative(0, y - h * e)) / (2 * h) for e in np.eye(y.size)], 1
    )
    np.testing.assert_allclose(jacobian, central, atol=1e-6)


@pytest.mark.parametrize("figure", ["2-right", "4"])
def test_the_printed_curves(figure):
    p, k = {"2-right": (10, 5), "4": (8, 4)}[figure]
    ov = tl.Weights.in_target_span(p=p, k=k, d=50, seed=0).overlaps()
    values = printed_values(figure)
    for noise in sorted({v.curve for v in values}):
        curve = [v for v in values if v.curve == noise]
        sol = tl.solve(
            tl.Task("erf", noise=noise),
            ov,
            learning_rate=0.05,
            terms="gradient-flow+noise",
            t_eval=[v.t for v in curve],
        )
        for value, ours in zip(curve, sol.excess_risk, strict=True):
            # One value is 0.5 % off by the reading of it: there the paper's own method (Euler,
            # dt = 1e-3) gives 0.0010046, as we do, where the drawn curve reads 0.00101.
            misread = (figure, noise, value.t) == ("4", 1.0, 100.0)
            assert ours == pytest.approx(value.excess_risk, rel=6e-3 if misread else 2e-3)


def test_gradient_flow_does_not_depend_on_d():
    """Claim 1 of the paper: the same Ω(0) held in any dimension gives the same curve."""
    start = tl.Weights.gaussian(p=4, k=2, d=7, seed=5).overlaps()
    task, t = tl.Task("erf"), [1.0, 10.0]
    risks = [
        tl.solve(task, start.embed(d, seed=d).overlaps(), terms="gradient-flow", t_eval=t).risk
        for d in (6, 10, 1000)
    ]
    np.testing.assert_allclose(risks[1:], [risks[0]] * 2, rtol=1e-9)


def test_results_are_at_exactly_t_eval():
    ov = tl.Weights.in_target_span(p=3, k=2, d=2).overlaps()
    t = [0.0, 0.0, 0.123456789, 0.5, 0.5]
    sol = tl.solve(tl.Task("erf"), ov, terms="gradient-flow", t_eval=t)
    np.testing.assert_array_equal(sol.t, [0.0, 0.123456789, 0.5])  # each once
    np.testing.assert_array_equal(sol.Q[0], ov.Q)
    only_start = tl.solve(tl.Task("erf"), ov, terms="gradient-flow", t_eval=[0.0])
    np.testing.assert_array_equal(only_start.M[0], ov.M)


def test_stop_at_risk():
    ov = tl.Weights.in_target_span(p=6, k=3, d=3).overlaps()
    task, t = tl.Task("erf", noise=1e-4), np.logspace(-1, 4, 101)
    arguments = {"learning_rate": 0.1, "t_eval": t}
    whole = tl.solve(task, ov, **arguments)
    sol = tl.solve(task, ov, stop_at_risk=1e-3, **arguments)
    n = sol.t.size
    assert 1 < n < t.size
    np.testing.assert_array_equal(sol.t, t[:n])
    assert sol.risk[-1] <= 1e-3 < sol.risk[-2]
    np.testing.assert_allclose(sol.risk, whole.risk[:n], rtol=1e-6)
    assert sol.provenance["stopped_at_risk"]


def test_divergence_keeps_what_was_computed():
    ov = tl.Weights.gaussian(p=5, k=2, d=60, seed=1).overlaps()
    with pytest.raises(tl.Divergence, match="smaller learning rate") as caught:
        tl.solve(tl.Task("square"), ov, learning_rate=50.0, t_eval=[0.0, 1e-3, 1.0])
    error = caught.value
    assert 0 < error.time < 1
    assert error.step > 0
    assert error.trajectory.t.size == 2
    assert np.isfinite(error.trajectory.Q).all()


def test_interruption_returns_what_was_reached(monkeypatch):
    def interrupt(self, done):
        if done > 1.0:
            raise KeyboardInterrupt

    monkeypatch.setattr(stepping.Progress, "to", interrupt)
    ov = tl.Weights.in_target_span(p=3, k=2, d=2).overlaps()
    with pytest.warns(RuntimeWarning, match="interrupted"):
        sol = tl.solve(tl.Task("erf"), ov, terms="gradient-flow", t_eval=[0.0, 0.5, 1.0, 50.0])
    assert sol.t[-1] < 50
    assert sol.Q.shape[0] == sol.t.size >= 3
