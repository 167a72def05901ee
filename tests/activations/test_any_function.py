"""Any function is right, or refused, or warned of: against planes of Gauss points, and SGD."""

import warnings

import numpy as np
import pytest
from reference import drift_by_planes, pair_by_planes, random_overlaps
from test_kinks import FUNCTIONS

import twolayer as tl
from twolayer import flow
from twolayer.activations import Activation, get
from twolayer.activations.quadrature import Quadrature
from twolayer.mean_field.field import make_field, settled
from twolayer.problem.task import coefficients
from twolayer.support.checks import InvalidInput

PAIRS = [
    ("erf", "sign"),
    ("erf", "floor"),
    ("relu", "heaviside"),
    ("jump and corner", "jump and corner"),
    ("leaky ReLU", "indicator"),
    ("square wave", "square wave"),
    ("erf", "waves"),
    ("erf", "steep"),
    ("elu", "elu"),
    ("elu", "relu"),
    ("tanh", "relu"),
    ("steep polynomial", "hard tanh"),
]


def of(name):
    return get(FUNCTIONS[name][0] if name in FUNCTIONS else name)


@pytest.mark.parametrize(("student", "target"), PAIRS)
@pytest.mark.parametrize(("s", "t", "rho"), [(1.0, 1.0, 0.5), (0.7, 1.6, -0.9), (1.2, 1.2, 0.99)])
def test_moments_of_pairs(student, target, s, t, rho):
    student, target = of(student), of(target)
    Omega, c = np.array([[s * s, rho * s * t], [rho * s * t, t * t]]), np.array([0.0, 1.0])
    forms = Quadrature(student, target)
    drift = forms.drift(Omega, c, 1)[0]
    found = [forms.two_point(Omega, 1)[0, 1], *drift]
    exact = pair_by_planes(student, target, s, t, rho)[:3]
    norms = [
        pair_by_planes(unit, unit, size, size, 1.0)[0] for unit, size in ((student, s), (target, t))
    ]
    np.testing.assert_allclose(forms.two_point(Omega, 1).diagonal(), norms, rtol=2e-5)
    largest = np.abs(exact).max() + np.sqrt(norms[0] * norms[1])
    np.testing.assert_allclose(found, exact, atol=2e-5 * largest)


@pytest.mark.parametrize(("student", "target"), [("jump and corner", "floor"), ("elu", "sign")])
def test_the_drift_of_several_units(student, target):
    student, target = of(student), of(target)
    Q, M, P = random_overlaps(np.random.default_rng(1), 2, 1)
    Omega, c = np.block([[Q, M], [M.T, P]]), coefficients(np.ones(2), np.ones(1))
    found = Quadrature(student, target).drift(Omega, c, 2)
    np.testing.assert_allclose(found, drift_by_planes(student, target, Omega, c, 2), atol=1e-7)


OVERLAPS = tl.Overlaps([[1.0]], [[0.5]], [[1.0]])


@pytest.mark.parametrize("target", [np.sign, Activation.of(np.sign, np.zeros_like, kinks=(0.0,))])
def test_a_target_that_jumps(target):
    """By Monte Carlo, false alarm 1e-6; the risk also in closed form."""
    task = tl.Task("erf", target)
    drift = flow.psi_M(task, OVERLAPS)[0, 0]
    samples = np.random.default_rng(0).standard_normal((4_000_000, 2))
    u, w = samples[:, 0], 0.5 * samples[:, 0] + np.sqrt(0.75) * samples[:, 1]
    sigma = get("erf")
    error = np.sign(w) - sigma.sigma(u)
    for found, values in (
        (drift, sigma.derivative(u) * w * error),
        (tl.risk(task, OVERLAPS), error**2 / 2),
    ):
        assert abs(found - values.mean()) < 5 * values.std() / 2000
    cross = (2 / np.pi) * np.arcsin(0.5 / np.sqrt(2))  # the arcsine law
    risk = (1 + 1 / 3 - 2 * cross) / 2
    assert tl.risk(task, OVERLAPS) == pytest.approx(risk, rel=1e-9)


@pytest.mark.parametrize("speed", [1, 6, 12, 20, 60])
@pytest.mark.parametrize("wave", [np.sin, np.cos, np.tanh])
def test_steep_targets_have_the_right_risk_or_a_warning(wave, speed):
    def target(x):
        return wave(speed * x)

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = tl.risk(tl.Task("erf", target), OVERLAPS)
    exact = [
        pair_by_planes(a, b, 1.0, 1.0, rho)[0]
        for a, b, rho in (
            (get("erf"), get("erf"), 1.0),
            (get("erf"), get(target), 0.5),
            (get(target), get(target), 1.0),
        )
    ]
    right = abs(found - (exact[0] - 2 * exact[1] + exact[2]) / 2) < 1e-5 * found
    assert right or [w.category for w in said] == [tl.QuadratureWarning]
    if speed <= 12:
        assert right
        assert not said


def steep(x):
    return np.tanh(300 * x)


@pytest.mark.parametrize("student", [lambda x: np.sin(60 * x), steep])
def test_every_solver_warns_once_of_what_does_not_settle(student):
    W = np.random.default_rng(0).standard_normal((3, 12))
    W[1] = W[0] + 0.02 * W[1]  # nearly parallel, and not quite alike
    task, start = tl.Task(student), tl.Weights(W[:2], W[2:])
    settings = {"t_eval": [0.0, 1e-6], "progress": False}
    particles, at_once = tl.Particles.from_weights(start), settings | {"t_eval": [0.0]}
    calls = [
        lambda: tl.risk(task, start.overlaps()),
        lambda: tl.excess_risk(task, start.overlaps()),
        lambda: tl.solve(task, start.overlaps(), terms="gradient-flow", **settings),
        lambda: tl.simulate(task, start, learning_rate=0.1, **settings),
        lambda: tl.solve_mean_field(task, particles, start.overlaps().P, d=12, nodes=6, **at_once),
    ]
    for call in calls[: 4 if student is steep else 5]:  # whose mean field is right: see below
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            call()
        assert [w.category for w in said] == [tl.QuadratureWarning]
        assert said[0].filename == __file__
        assert "off by" in str(said[0].message)
        assert "kinks=" in str(said[0].message)


def test_the_mean_field_of_steep_students_that_are_not_quite_alike():
    """Averaged over directions these are far apart; as steep an erf in closed form is as good."""
    W = np.random.default_rng(0).standard_normal((3, 12))
    W[1] = W[0] + 0.02 * W[1]
    start = tl.Weights(W[:2], W[2:])
    particles, L = tl.Particles.from_weights(start), np.linalg.cholesky(start.overlaps().P)
    alpha, q, charge = particles.m / L[0, 0], particles.q, np.full(2, 0.5)
    states = [(alpha, q, np.ones(2))]
    field = make_field(tl.Task(steep), L, 2, 11, "none", 6)
    found, _, error = settled(lambda nodes: field, 6, states, charge, 1.0)
    assert error < 1e-8
    limit, c = make_field(tl.Task("erf"), 3000.0 * L, 2, 11, "none", 60), 3000.0
    sign = limit.drift(c * alpha, c**2 * q, charge)
    np.testing.assert_allclose(found.drift(alpha, q, charge)[0], c * sign[0], rtol=1e-4)
    np.testing.assert_allclose(found.drift(alpha, q, charge)[1], sign[1], rtol=1e-4)


def test_ordinary_functions_need_no_warning():
    start = tl.Weights.gaussian(p=2, k=1, d=12, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("relu", "tanh", "sigmoid", "he2", "elu", "leaky ReLU", "hard tanh"):
            task = tl.Task(of(name), noise=0.1)
            settings = {"learning_rate": 0.1, "t_eval": [0.0, 1.0], "progress": False}
            tl.solve(task, start.overlaps(), rtol=1e-4, atol=1e-7, **settings)
            tl.simulate(task, start, **settings)
            tl.risk(task, start.overlaps())


def test_a_large_error_of_the_variance_is_made_smaller_or_said():
    """Forty students with a heavy-tailed target: by points, which are not enough."""
    ov = tl.Overlaps(np.eye(40), np.zeros((40, 1)), np.eye(1), a=[2.8, -2.8] * 20)
    settings = {"learning_rate": 0.1, "t_eval": [0.0, 1e-5], "progress": False}
    with pytest.warns(tl.QuadratureWarning, match="variance_error may be off"):
        path = tl.solve(tl.Task("tanh", "he3", points=4096), ov, **settings)
    assert path.provenance["variance_error"] > 1e-3
    few = tl.Overlaps(np.eye(2), np.zeros((2, 1)), np.eye(1), a=[2.8, -2.8])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = tl.solve(tl.Task("tanh", "he3", order=8), few, **settings)
    assert path.provenance["variance_error"] < 1e-3


@pytest.mark.parametrize("target", [np.sign, np.floor])
def test_sgd_follows_the_flow_of_a_target_that_jumps(target):
    """Mean risk of 100 runs at d = 100 and a small rate: 5 errors, and the O(1/d) of the theory."""
    task, start = tl.Task("erf", target), tl.Weights.gaussian(p=2, k=1, d=100, seed=1)
    settings = {"learning_rate": 0.1, "t_eval": [0.0, 1.0, 3.0], "progress": False}
    sgd = tl.simulate(task, start, runs=100, **settings)
    ode = tl.solve(task, start.overlaps(), rtol=1e-5, atol=1e-8, **settings)
    mean, error = sgd.excess_risk.mean(0), sgd.excess_risk.std(0, ddof=1) / 10
    assert (np.abs(mean - ode.excess_risk) < 5 * error + 0.01 * ode.excess_risk).all()


def test_the_mean_field_of_a_target_that_jumps():
    """Against the flow of a network whose neurons are orthogonal outside the target span."""
    task, p = tl.Task("erf", np.sign), 30
    m = np.linspace(-1.5, 1.5, p)[:, None]
    particles = tl.Particles(m, np.full(p, 0.5))
    settings = {"t_eval": [0.0, 1.0], "rtol": 1e-6, "atol": 1e-8, "progress": False}
    field = tl.solve_mean_field(task, particles, [[1.0]], d=np.inf, self_term="exact", **settings)
    network = tl.Overlaps(m @ m.T + 0.5 * np.eye(p), m, [[1.0]])
    path = tl.solve(task, network, terms="gradient-flow", method="DOP853", **settings)
    np.testing.assert_allclose(field.excess_risk, path.excess_risk, rtol=1e-2)


def test_a_file_of_own_functions_refuses_another_function(tmp_path):
    def mine(x):
        return np.tanh(1.1 * x)

    def other(x):
        return np.tanh(1.2 * x)

    mine.__name__ = other.__name__ = "own"
    start = tl.Weights.gaussian(p=2, k=1, d=12, seed=0)
    settings = {"t_eval": [0.0, 1.0], "progress": False}
    tasks = tl.Task(mine), tl.Task(other)
    particles, P = tl.Particles.from_weights(start), start.overlaps().P
    for number, result in enumerate(
        (
            tl.solve(tasks[0], start.overlaps(), terms="gradient-flow", **settings),
            tl.simulate(tasks[0], start, learning_rate=0.1, runs=2, **settings),
            tl.simulate(tasks[0], start, learning_rate=0.1, record="norms", **settings),
            tl.solve_mean_field(tasks[0], particles, P, d=12, **settings),
        )
    ):
        file = result.save(tmp_path / f"{number}.nc")
        assert (type(result).load(file, tasks[0]).risk == result.risk).all()
        with pytest.raises(InvalidInput, match="another function"):
            type(result).load(file, tasks[1])
