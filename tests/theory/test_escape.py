"""Escape from the uninformative plateau: closed forms, the exact chain, and the law of exit times.

Where chance is involved the seed is fixed; over seeds a right program would fail a comparison
with the probability that is stated.
"""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.stats import chi2, ks_2samp, kstest

import twolayer as tl
from twolayer import flow
from twolayer.kernels.compiler import COMPILED
from twolayer.kernels.escape import Chain, advance, to_chi_squared
from twolayer.theory import escape, exits
from twolayer.theory import exit_runs as escape_runs

SETTINGS = [(1, 0.0, 0.0), (1, 0.05, 0.5), (1, 0.14, 0.0), (2, 0.2, 0.3), (5, 0.3, 0.1)]


def square_flow(p, rate, noise, Q, M):
    rhs = flow.right_hand_side(tl.Task("square", noise=noise), np.eye(1), rate, "full")
    return rhs(Q, M)


@pytest.mark.parametrize(("p", "rate", "noise"), SETTINGS)
def test_plateau_against_the_flow(p, rate, noise):
    """A stable fixed point of Q at M = 0, and the growth of a small M by differences."""
    flat = escape.plateau(learning_rate=rate, noise=noise, p=p)
    Q, M = flat.q * np.eye(p), np.zeros((p, 1))
    np.testing.assert_allclose(square_flow(p, rate, noise, Q, M)[0], 0, atol=1e-12)
    assert square_flow(p, rate, noise, 1.01 * Q, M)[0][0, 0] < 0
    small = 1e-6 * np.arange(1, p + 1)[:, None]
    np.testing.assert_allclose(
        square_flow(p, rate, noise, Q, small)[1], flat.rate * small, rtol=1e-9
    )


@pytest.mark.parametrize(("p", "rate", "noise"), SETTINGS[:4])
def test_diffusion_by_quadrature(p, rate, noise):
    """D = E[σ'(λ_i)² 𝓔² λ*²] at M = 0: eight nodes are exact for a polynomial of degree 8."""
    flat = escape.plateau(learning_rate=rate, noise=noise, p=p)
    nodes, weights = np.polynomial.hermite_e.hermegauss(8)
    points = np.array(list(itertools.product(nodes, repeat=p + 2))).T
    weight = np.prod(list(itertools.product(weights / weights.sum(), repeat=p + 2)), axis=1)
    fields, target, z = np.sqrt(flat.q) * points[:p], points[p], points[p + 1]
    error = target**2 - (fields**2).mean(0) + np.sqrt(noise) * z
    D = weight @ (2 * fields[0] * error * target) ** 2
    assert flat.diffusion == pytest.approx(D, rel=1e-12)
    sphere = escape.plateau(learning_rate=0.0, noise=noise, spherical=True)
    if p == 1:
        field = points[0]
        D = weight @ (2 * field * (target**2 - field**2 + np.sqrt(noise) * z) * target) ** 2
        assert sphere.diffusion == pytest.approx(D, rel=1e-12)


def test_spherical_drift_against_the_flow():
    m, rate, noise = np.linspace(-1, 1, 9), 0.07, 0.4
    expected = []
    for each in m:
        dQ, dM = square_flow(1, rate, noise, np.eye(1), np.full((1, 1), each))
        expected.append(dM[0, 0] - each / 2 * dQ[0, 0])
    drift = escape.spherical_drift(m, learning_rate=rate, noise=noise)
    np.testing.assert_allclose(drift, expected, atol=1e-13)
    flat = escape.plateau(learning_rate=rate, noise=noise, spherical=True)
    small = escape.spherical_drift([1e-7], learning_rate=rate, noise=noise)
    assert small[0] == pytest.approx(1e-7 * flat.rate)


@pytest.mark.parametrize("p", [1, 3, 8])
def test_start_variance_on_the_plateau_and_from_the_start(p):
    """The closed form for a start on the plateau, and the integral from Q = I by the flow."""
    rate, noise = 0.06 * p, 0.2
    e, flat = rate / p, escape.plateau(learning_rate=rate, noise=noise, p=p)
    settled = flat.q + e * flat.diffusion / (2 * flat.rate)
    assert settled == pytest.approx(4 * flat.q * (1 / flat.rate + e), rel=1e-12)

    def derivative(_, y):
        Q, M = y[0] * np.eye(p), 1e-9 * np.eye(p, 1)
        dQ, dM = square_flow(p, rate, noise, Q, M)
        growth = dM[0, 0] / 1e-9
        error_2 = 15 + noise - 6 * y[0] * (1 + 2 / p) + y[0] ** 2 * (1 + 2 / p) * (1 + 4 / p)
        return [dQ[0, 0], growth, e * 4 * y[0] * error_2 * np.exp(-2 * y[1])]

    path = solve_ivp(derivative, (0, 12), [1, 0, 1], rtol=1e-9, atol=1e-12)
    v = escape.start_variance(learning_rate=rate, noise=noise, p=p)
    assert v == pytest.approx(path.y[2, -1], rel=1e-6)


@pytest.mark.parametrize(("p", "noise"), [(1, 0.0), (1, 8.0), (2, 0.0), (10, 0.0), (10, 30.0)])
def test_largest_learning_rate(p, noise):
    """A little below, a very small M grows and the target is found; a little above, it is not."""
    most = escape.largest_learning_rate(noise=noise, p=p)
    task, start = tl.Task("square", noise=noise), tl.Overlaps(np.eye(p), 1e-8 * np.eye(p, 1), [[1]])

    def reaches(share, rate):
        options = {"learning_rate": rate, "threshold": share, "t_max": 1e4}
        try:
            return np.isfinite(exits.exit_time(task, start, **options))
        except tl.Divergence:
            return False

    assert reaches(1e-14, 0.99 * most)
    assert not reaches(1e-3, 1.03 * most)
    with pytest.raises(tl.InvalidInput, match="learning_rate"):
        escape.start_variance(learning_rate=1.001 * most, noise=noise, p=p)


def test_exit_times_of_the_flow():
    """The closed form, the event, and `solve` with interpolation agree; so do p = 1 and 3."""
    task, start = tl.Task("square", noise=0.3), tl.Overlaps([[1.0]], [[0.02]], [[1.0]])
    t = exits.exit_time(task, start, learning_rate=0.05, spherical=True, threshold=0.7)
    closed = escape.spherical_exit_time([4e-4], learning_rate=0.05, noise=0.3, threshold=0.7)
    assert t == pytest.approx(closed[0], rel=1e-7)
    t = exits.exit_time(task, start, learning_rate=0.05, threshold=0.4)
    grid = np.linspace(0, 3, 3001)
    path = tl.solve(task, start, learning_rate=0.05, t_eval=grid, progress=False)
    share = path.M[:, 0, 0] ** 2 / path.Q[:, 0, 0]
    after = np.argmax(share > 0.4)
    at = np.interp(0.4, share[after - 1 : after + 1], grid[after - 1 : after + 1])
    assert t == pytest.approx(at, abs=1e-6)
    turn = np.array([[0.6, 0.64, 0.48]]).T
    wide = [
        exits.exit_time(
            task, tl.Overlaps(np.eye(3), 0.02 * u, [[1.0]]), learning_rate=0.1, t_max=50.0
        )
        for u in (np.eye(3, 1), turn)
    ]
    assert wide[0] == pytest.approx(wide[1], rel=1e-7)


def test_beyond_what_is_reached():
    """At γ = 0.1, Δ = 1 the spherical flow ends at u = 7/8."""
    options = {"learning_rate": 0.1, "noise": 1.0}
    assert escape.spherical_exit_time([0.01], threshold=0.88, **options)[0] == np.inf
    assert escape.spherical_exit_time([0.01], threshold=0.87, **options)[0] < np.inf
    assert exits.exit_time(
        tl.Task("square", noise=1.0),
        tl.Overlaps([[1.0]], [[0.1]], [[1.0]]),
        learning_rate=0.1,
        spherical=True,
        threshold=0.88,
        t_max=50.0,
    ) == np.inf  # fmt: skip
    t = escape_runs.exit_times(1000, learning_rate=0.1, runs=3, t_max=1e-3)
    assert (t == np.inf).all()


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("compiled", [False, True])
def test_the_chain_is_sgd_step_by_step(spherical, compiled):
    """The kernel, as it is and in plain Python, against weights in d dimensions."""
    d, rate, noise, steps = 12, 0.05, 0.3, 40
    rng = np.random.default_rng(2)
    w, target = rng.standard_normal((2, d))
    w, target = w * np.sqrt(d) / np.linalg.norm(w), target * np.sqrt(d) / np.linalg.norm(target)
    q, m, done = np.array([w @ w / d]), np.array([w @ target / d]), np.zeros(1, dtype=np.int64)
    chain = Chain(rate, float(d), np.sqrt(noise), spherical, np.inf)
    kernel = advance if compiled or not COMPILED else advance.py_func
    for _ in range(steps):
        x, z = rng.standard_normal(d) / np.sqrt(d), rng.standard_normal()
        apart = w - m[0] * target
        along, across = target @ x, apart @ x / np.sqrt(apart @ apart / d)
        numbers = np.array([along, across, z]).reshape(1, 3, 1)
        rest = np.array([[d * (x @ x) - along**2 - across**2]])
        kernel(numbers, rest, q, m, done, chain)
        field = w @ x
        w = w + rate * 2 * field * (along**2 - field**2 + np.sqrt(noise) * z) * x
        w = w * np.sqrt(d) / np.linalg.norm(w) if spherical else w
        assert q[0] == pytest.approx(w @ w / d, rel=1e-11)
        assert m[0] == pytest.approx(w @ target / d, rel=1e-9, abs=1e-12)
    assert done[0] == steps


@pytest.mark.parametrize("d", [4, 7, 1000])
def test_chi_squared_numbers(d):
    """Kolmogorov-Smirnov on 160,000 numbers: false alarms 1e-5; plain Python does the same."""
    draws = [np.random.default_rng((5, r)) for r in range(8)]
    rest = np.concatenate([escape_runs.numbers_of(draws, d, True)[1].ravel() for _ in range(10)])
    assert kstest(rest, chi2(d - 2).cdf).pvalue > 1e-5
    x, u = draws[0].standard_normal((1, 500)), draws[0].random((1, 500))
    again = x.copy()
    to_chi_squared(x, u, d - 2.0)
    (to_chi_squared.py_func if COMPILED else to_chi_squared)(again, u, d - 2.0)
    np.testing.assert_allclose(x, again, rtol=1e-12)


def chain(d, steps, runs, q, m, rate, noise, spherical, seed):
    """q and m of many runs of the chain from one start, after a number of steps."""
    draws = [np.random.default_rng((seed, r)) for r in range(runs)]
    q, m, done = np.full(runs, q), np.full(runs, m), np.zeros(runs, dtype=np.int64)
    while done[0] < steps:
        normals, rest = escape_runs.numbers_of(draws, d, noise > 0)
        left = slice(steps - done[0])
        rules = Chain(rate, float(d), np.sqrt(noise), spherical, np.inf)
        advance(normals[left], rest[left], q, m, done, rules)
    return q, m


def test_the_chain_has_the_law_of_simulate():
    """Two-sample Kolmogorov-Smirnov tests of q and m; false alarms: 2e-5."""
    d, rate, noise, steps = 40, 0.04, 0.2, 1500
    task, start = tl.Task("square", noise=noise), tl.Overlaps([[1.0]], [[0.15]], [[1.0]])
    run = tl.simulate(
        task, start, d=d, learning_rate=rate, t_eval=[steps * rate / d], runs=400, progress=False
    )
    q, m = chain(d, steps, 600, 1.0, 0.15, rate, noise, False, 1)
    assert ks_2samp(q, run.Q[:, 0, 0, 0]).pvalue > 1e-5
    assert ks_2samp(m, run.M[:, 0, 0, 0]).pvalue > 1e-5


def test_the_chain_follows_the_spherical_flow():
    """The mean of m over 400 runs, 4.5 standard errors: false alarms 7e-6."""
    d, rate, noise, steps = 2000, 0.06, 0.5, 12_000
    q, m = chain(d, steps, 400, 1.0, 0.4, rate, noise, True, 2)
    path = solve_ivp(
        lambda _, y: escape.spherical_drift(y, learning_rate=rate, noise=noise),
        (0, steps * rate / d),
        [0.4],
        rtol=1e-9,
    )
    assert (q == 1).all()
    assert abs(m.mean() - path.y[0, -1]) < 4.5 * m.std() / np.sqrt(len(m)) < 0.01


LAWS = [(1000, 0.06, 0.0, False), (1000, 0.06, 0.0, True), (10_000, 0.1, 0.5, True)]


def test_the_law_of_exit_times_and_the_part_of_sgds_noise_in_it():
    """Kolmogorov-Smirnov, 400 runs each: false alarms 3e-5; without SGD's noise it is refused."""
    levels = np.linspace(0.0005, 0.9995, 200)
    with ThreadPoolExecutor(2) as executor:
        for d, rate, noise, spherical in LAWS:
            options = {"learning_rate": rate, "noise": noise, "spherical": spherical}
            t = escape_runs.exit_times(d, runs=400, seed=1, executor=executor, **options)
            law = exits.exit_quantiles(d, levels, **options)
            assert kstest(t, lambda x: np.interp(x, law, levels, 0, 1)).pvalue > 1e-5  # noqa: B023
            mean = exits.mean_exit_time(d, **options)
            assert abs(t.mean() - mean) < 4.5 * t.std() / np.sqrt(len(t))
    flat, v = escape.plateau(**options), escape.start_variance(**options)
    late = law + np.log(v) / (2 * flat.rate)  # the start alone: variance 1/d
    assert kstest(t, lambda x: np.interp(x, late, levels, 0, 1)).pvalue < 1e-6


def test_the_mean_is_that_of_the_quantiles():
    options = {"learning_rate": 0.05, "noise": 0.2}
    levels, weights = np.polynomial.legendre.leggauss(60)
    law = exits.exit_quantiles(10**5, (1 + levels) / 2, **options)
    mean = exits.mean_exit_time(10**5, **options)
    assert mean == pytest.approx(law @ weights / 2, rel=1e-3)
    # The linear law: −log ξ²/(2μ) spreads it, and ten times d adds log(10)/(2μ).
    more = exits.mean_exit_time(10**6, **options)
    rate = escape.plateau(**options).rate
    assert more - mean == pytest.approx(np.log(10) / (2 * rate), rel=1e-3)


def test_several_students():
    """The median of 80 runs at p = 3 within 4.5 of its standard errors: false alarms 7e-6."""
    d, p, rate = 200, 3, 0.15
    quantiles = exits.exit_quantiles(d, [0.3, 0.5, 0.7], learning_rate=rate, p=p)
    grid = np.linspace(0, 4, 401)
    first = []
    for seed in range(80):
        start = tl.Weights.gaussian(p=p, k=1, d=d, seed=seed, orthonormal_target=True)
        run = tl.simulate(
            tl.Task("square"), start, learning_rate=rate, t_eval=grid, seed=seed, progress=False
        )
        share = np.sum(run.M[0] ** 2, (1, 2)) / np.trace(run.Q[0], axis1=1, axis2=2)
        first.append(grid[np.argmax(share >= 0.5)])
    assert min(first) > 0
    density = 0.4 / (quantiles[2] - quantiles[0])
    assert abs(np.median(first) - quantiles[1]) < 4.5 * 0.5 / (density * np.sqrt(80)) + 0.01


def test_a_run_depends_on_its_seed_and_number_alone():
    options = {"learning_rate": 0.05, "noise": 0.1, "seed": 3}
    alone = escape_runs.exit_times(300, runs=3, **options)
    with ThreadPoolExecutor(2) as executor:
        more = escape_runs.exit_times(300, runs=11, executor=executor, **options)
    assert (alone == more[:3]).all()
    assert len(set(more)) == 11
