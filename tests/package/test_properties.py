"""Laws that hold for whatever valid input hypothesis draws, and inputs at the edge of validity."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import twolayer as tl
from twolayer.problem.matrices import TOLERANCE

FEW = settings(max_examples=25, deadline=None, derandomize=True)
names = st.sampled_from(["erf", "square"])
sizes = st.tuples(st.integers(1, 5), st.integers(1, 3))
scale = st.floats(0.2, 1.5)


@st.composite
def states(draw):
    """Overlaps of random vectors, sometimes linearly dependent, identical or zero."""
    p, k = draw(sizes)
    d = draw(st.integers(1, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    W = rng.normal(size=(p, d)) * draw(scale) / math.sqrt(d)
    W_star = rng.normal(size=(k, d)) * draw(scale) / math.sqrt(d)
    special = draw(st.sampled_from(["none", "none", "identical", "zero", "optimum"]))
    if special == "identical":
        W[:] = W[0]
    if special == "zero":
        W[0] = 0
    if special == "optimum":
        W[:] = W_star[np.arange(p) % k]
    return tl.Overlaps(W @ W.T, W @ W_star.T, W_star @ W_star.T)


def smallest_eigenvalue(Q, M, P):
    Omega = np.block([[Q, M], [M.T, P]])
    return np.linalg.eigvalsh(Omega)[0] / max(1.0, np.abs(Omega).max())


@FEW
@given(name=names, start=states(), noise=st.sampled_from([0.0, 0.1]))
def test_along_the_flow_the_state_stays_one_and_the_risk_does_not_go_below_zero(name, start, noise):
    task = tl.Task(name, noise=noise)
    try:
        sol = tl.solve(task, start, learning_rate=0.05, t_eval=[0.0, 0.1, 1.0, 10.0])
    except tl.Divergence as divergence:  # of square, if norms are large
        sol = divergence.trajectory
    for Q, M in zip(sol.Q, sol.M, strict=True):
        assert smallest_eigenvalue(Q, M, sol.P) > -TOLERANCE
    assert (sol.excess_risk > -1e-9 * max(1.0, np.abs(sol.Q).max()) ** 2).all()


@FEW
@given(name=names, start=states())
def test_the_risk_of_gradient_flow_never_increases(name, start):
    t = [0.0, *np.logspace(-2, 2, 30)]
    tight = {"rtol": 1e-12, "atol": 1e-14}
    sol = tl.solve(tl.Task(name), start, terms="gradient-flow", t_eval=t, **tight)
    assert (np.diff(sol.excess_risk) <= 1e-11 * max(1.0, np.abs(sol.Q).max()) ** 2).all()


@FEW
@given(name=names, start=states(), seed=st.integers(0, 2**32), data=st.data())
def test_permuting_students_and_targets_permutes_the_result(name, start, seed, data):
    rng = np.random.default_rng(seed)
    i, r = rng.permutation(start.p), rng.permutation(start.k)
    turned = tl.Overlaps(start.Q[np.ix_(i, i)], start.M[np.ix_(i, r)], start.P[np.ix_(r, r)])
    common = {"learning_rate": 0.05, "t_eval": [0.5, 2.0]}
    a, b = (tl.solve(tl.Task(name, noise=0.1), s, **common) for s in (start, turned))
    size = np.abs(a.Q).max()
    np.testing.assert_allclose(b.M, a.M[:, i][:, :, r], atol=1e-6 * size)
    np.testing.assert_allclose(b.Q, a.Q[:, i][:, :, i], atol=1e-6 * size)


@FEW
@given(name=names, start=states(), seed=st.integers(0, 2**32), d=st.integers(12, 40))
def test_rotating_the_weights_changes_nothing(name, start, seed, d):
    """Overlaps, risk, and with the rotated samples SGD itself: here its first two laws."""
    w = start.embed(d, seed=seed)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]
    turned = tl.Weights(w.W @ turn, w.W_star @ turn)
    for one in ("Q", "M", "P"):
        np.testing.assert_allclose(getattr(turned.overlaps(), one), getattr(start, one), atol=1e-9)
    a, b = tl.risk(tl.Task(name), w.overlaps()), tl.risk(tl.Task(name), turned.overlaps())
    assert a == pytest.approx(b, rel=1e-9, abs=1e-9)


@FEW
@given(name=names, start=states(), noise=st.sampled_from([0.0, 0.3]))
def test_the_limit_of_small_learning_rates_is_gradient_flow(name, start, noise):
    """The distance of "full" from "gradient-flow" falls tenfold with γ."""
    task = tl.Task(name, noise=noise)
    t = [0.3]
    flow = tl.solve(task, start, terms="gradient-flow", t_eval=t)
    away = [
        np.abs(tl.solve(task, start, learning_rate=g, t_eval=t).Q - flow.Q).max()
        for g in (1e-3, 1e-4)
    ]
    assert away[1] <= 0.11 * away[0] + 1e-7 * np.abs(flow.Q).max()


@FEW
@given(name=names, p=st.integers(1, 6), k=st.integers(1, 2), seed=st.integers(0, 2**32))
def test_in_the_span_of_the_targets_mean_field_and_flow_meet(name, p, k, seed):
    """With q = 0 the particles of a finite network follow gradient flow."""
    start = tl.Weights.in_target_span(p=p, k=k, d=k, seed=seed)
    t = [0.5, 3.0]
    flow = tl.solve(tl.Task(name), start.overlaps(), terms="gradient-flow", t_eval=t)
    particles = tl.Particles.from_weights(start)
    particles = tl.Particles(particles.m, np.zeros(p))
    mf = tl.solve_mean_field(tl.Task(name), particles, np.eye(k), d=k, t_eval=t)
    np.testing.assert_allclose(mf.M, flow.M, atol=2e-5)
    np.testing.assert_allclose(mf.excess_risk, flow.excess_risk, atol=2e-5)


@FEW
@given(
    name=names,
    start=states(),
    d=st.sampled_from([20, 10**6, 10**12]),
    gamma=st.sampled_from([1e-9, 0.1]),
    seed=st.integers(0, 2**64),
)
def test_sgd_keeps_the_state_one(name, start, d, gamma, seed):
    unit = gamma / (start.p * d)
    steps = np.array([0, 7, 300])
    run = tl.simulate(
        tl.Task(name, noise=0.1), start, d=d, learning_rate=gamma, t_eval=steps * unit, seed=seed
    )
    np.testing.assert_allclose(run.t, steps * unit, rtol=1e-12)
    for Q, M in zip(run.Q[0], run.M[0], strict=True):
        assert smallest_eigenvalue(Q, M, run.P) > -TOLERANCE
    assert (run.excess_risk > -1e-9 * max(1.0, np.abs(run.Q).max()) ** 2).all()
    assert np.abs(run.Q[0, 0] - start.Q).max() < 1e-9


# --- extreme but valid ----------------------------------------------------------------

EDGES = {
    "p=1, k=1": {"p": 1, "k": 1, "d": 5},
    "d=k": {"p": 4, "k": 3, "d": 3},
    "d=1": {"p": 2, "k": 1, "d": 1},
    "more targets than students": {"p": 1, "k": 4, "d": 6},
    "more students than dimensions": {"p": 9, "k": 1, "d": 2},
}


def finite(trajectory):
    arrays = (trajectory.t, trajectory.Q, trajectory.M, trajectory.P, trajectory.excess_risk)
    return all(np.isfinite(a).all() for a in arrays)


@pytest.mark.parametrize("name", ["erf", "square"])
@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("edge", EDGES)
def test_smallest_sizes(name, noise, edge):
    task, start = tl.Task(name, noise=noise), tl.Weights.gaussian(**EDGES[edge], seed=1)
    for terms in ("gradient-flow", "gradient-flow+noise", "full"):
        sol = tl.solve(task, start.overlaps(), learning_rate=0.01, terms=terms, t_eval=[3.0])
        assert finite(sol)
    assert finite(tl.simulate(task, start, learning_rate=0.01, t_eval=[1.0], runs=2))
    mf = tl.solve_mean_field(
        task, tl.Particles.from_weights(start), start.overlaps().P, d=start.d, t_eval=[3.0], nodes=6
    )
    assert np.isfinite(mf.M).all()
    assert np.isfinite(mf.excess_risk).all()


@pytest.mark.parametrize("d", [50, 10**6, 10**12])
@pytest.mark.parametrize("gamma", [1e-9, 0.1])
def test_one_time_any_dimension_any_rate(d, gamma):
    start = tl.Weights.in_target_span(p=3, k=2, d=5).overlaps()
    unit = gamma / (3 * d)
    for steps in (0, 1, 1000):
        run = tl.simulate(
            tl.Task("erf", noise=0.1), start, d=d, learning_rate=gamma, t_eval=[steps * unit]
        )
        assert finite(run)
        assert run.t.shape == (1,)
        assert run.Q.shape == (1, 1, 3, 3)
        assert np.abs(run.M[0, 0] - start.M).max() < 10 * math.sqrt(steps + 1) * gamma


@pytest.mark.parametrize("name", ["erf", "square"])
def test_a_singular_Omega(name):
    """Identical students, a student on a target, two targets alike."""
    W = np.ones((4, 3)) / 2
    W[3] = [1, 0, 0]
    T = np.array([[1.0, 0, 0], [1.0, 0, 0]])
    start = tl.Overlaps(W @ W.T, W @ T.T, T @ T.T)
    assert start.rank == 2
    sol = tl.solve(tl.Task(name), start, learning_rate=0.05, t_eval=[0.0, 1.0, 100.0])
    run = tl.simulate(tl.Task(name), start, d=30, learning_rate=0.05, t_eval=[0.0, 1.0, 10.0])
    assert finite(sol)
    assert finite(run)
    np.testing.assert_allclose(sol.M[:, 0], sol.M[:, 1], atol=1e-8)  # identical ones stay so
    np.testing.assert_allclose(run.M[:, :, 0], run.M[:, :, 1], atol=1e-8)


@pytest.mark.parametrize("name", ["erf", "square"])
@pytest.mark.parametrize("p", [1, 2, 4])
def test_at_the_optimum_without_noise_nothing_moves(name, p):
    T = np.eye(1, 5) if p == 1 else np.eye(2, 5)
    k = len(T)
    W = np.tile(T, (p // k, 1))
    start = tl.Overlaps(W @ W.T, W @ T.T, T @ T.T)
    task = tl.Task(name)
    sol = tl.solve(task, start, learning_rate=0.5, t_eval=[0.0, 1.0, 1000.0])
    run = tl.simulate(task, start, d=100, learning_rate=0.5, t_eval=[0.0, 1.0, 10.0])
    for one in (sol, run):
        assert np.abs(one.excess_risk).max() < 1e-12
        assert np.abs(one.Q - start.Q).max() < 1e-9
    flat = tl.Particles(np.array(start.M), np.zeros(p))
    mf = tl.solve_mean_field(task, flat, start.P, d=k, t_eval=[0.0, 100.0])
    assert np.abs(mf.excess_risk).max() < 1e-10


@pytest.mark.parametrize("p", [1, 3])
def test_students_of_no_length(p):
    start = tl.Overlaps(np.zeros((p, p)), np.zeros((p, 2)), np.eye(2))
    for name in ("erf", "square"):
        assert finite(tl.solve(tl.Task(name), start, learning_rate=0.1, t_eval=[0.0, 5.0]))
        assert finite(tl.simulate(tl.Task(name), start, d=30, learning_rate=0.1, t_eval=[0.0, 5.0]))


# --- blow-ups -------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [20.0, 1e3, 1e6, 1e12])
@pytest.mark.parametrize("method", ["direct", "projected"])
def test_a_run_that_blows_up_says_so_with_what_it_has(gamma, method):
    start = tl.Weights.gaussian(p=2, k=1, d=40, seed=0)
    t = np.linspace(0, 1, 50) * gamma
    with pytest.raises(tl.Divergence) as caught:
        tl.simulate(tl.Task("square"), start, learning_rate=gamma, t_eval=t, method=method, runs=2)
    kept = caught.value.trajectory
    reached = np.isfinite(kept.excess_risk).sum(1)
    for run, count in enumerate(reached):  # NaN after the last time of each, and nowhere else
        assert np.isfinite(kept.Q[run, :count]).all()
        assert np.isnan(kept.Q[run, count:]).all()
    assert reached.min() >= 1
    assert kept.t.size == reached.max() < t.size
    assert kept.excess_risk.shape == (2, kept.t.size)
    assert caught.value.runs == (0, 1)
    assert caught.value.step >= 1
    assert caught.value.time >= kept.t[reached.min() - 1]
    assert "smaller learning rate" in str(caught.value)


@pytest.mark.parametrize("gamma", [20.0, 1e3, 1e12])
def test_a_flow_that_blows_up_says_so_with_what_it_has(gamma):
    start = tl.Weights.gaussian(p=2, k=1, d=40, seed=0).overlaps()
    t = [0.0, *np.logspace(-16, 3, 60)]
    with pytest.raises(tl.Divergence) as caught:
        tl.solve(tl.Task("square"), start, learning_rate=gamma, t_eval=t)
    kept = caught.value.trajectory
    assert finite(kept)
    assert 1 <= kept.t.size < len(t)
    assert caught.value.time >= kept.t[-1]
