"""Fields by pairs: of two lines that meet at zero, and of smooth activations."""

import math

import numpy as np
import pytest
from scipy.special import erf, gamma

import twolayer as tl
from twolayer import flow
from twolayer.activations.gauss_rules import panels, scalar_product_by_angle
from twolayer.mean_field.bent_pairs import Bent, BentPairField, bent
from twolayer.mean_field.field import SELF_TERMS, GridField, make_field
from twolayer.mean_field.mehler_pairs import MehlerPairField
from twolayer.mean_field.projection import Projection

of = tl.Activation.of
OWN = {
    "leaky": of(
        lambda x: np.where(x > 0, x, 0.1 * x), lambda x: np.where(x > 0, 1.0, 0.1), kinks=(0.0,)
    ),
    "raised": of(lambda x: 0.3 + 0.2 * x + np.abs(x), kinks=(0.0,)),
    "abs": of(np.abs, np.sign, kinks=(0.0,)),
    "gelu": of(lambda x: x * (1 + erf(x / np.sqrt(2))) / 2),
    "softplus": of(lambda x: np.logaddexp(0, x), lambda x: 1 / (1 + np.exp(-x))),
    "step and slope": of(lambda x: np.where(x > 0, 1 + x, x), np.ones_like, kinks=(0.0,)),
    "clip": of(lambda x: np.clip(x, -1, 1), lambda x: 1.0 * (np.abs(x) < 1), kinks=(-1.0, 1.0)),
}
PAIRS = [
    ("relu", "relu"),
    ("leaky", "abs"),
    ("raised", "raised"),
    ("relu", "tanh"),
    ("tanh", "tanh"),
    ("gelu", "relu"),
    ("softplus", "sigmoid"),
    ("he3", "he3"),
]
A_STAR = np.array([1.0, -0.5])


def named(name):
    return OWN.get(name) or tl.activations.get(name)


def task_of(student, target=None):
    return tl.Task(named(student), named(target or student), order=200, tolerance=1e-9)


def field_of(task, L, outside, self_term="exact", a_star=None):
    if bent(task.activation):
        return BentPairField(task, L, outside, self_term, 32, a_star)
    return MehlerPairField(task, L, outside, self_term, a_star)


def everything(field, alpha, q, charge):
    """Drifts, force and risk, in one."""
    drifts = field.drift(alpha, q, charge)
    risk = field.excess_risk(alpha, q, charge)
    return np.concatenate((*map(np.ravel, drifts), field.force(alpha, q, charge), [risk]))


def averaged(task, alpha, q, L, a, Xi, weights):
    """The same from the flow of all overlaps, averaged over scalar products Ξ."""
    total = 0.0
    for xi, weight in zip(Xi, weights, strict=True):
        perp = np.sqrt(np.outer(q, q)) * xi
        ov = tl.Overlaps(alpha @ alpha.T + perp, alpha @ L.T, L @ L.T, a, A_STAR)
        d_alpha = np.linalg.solve(L, flow.psi_M(task, ov).T).T
        dq = np.diagonal(flow.psi_GF(task, ov)) - 2 * (alpha * d_alpha).sum(1)
        force, risk = flow.psi_a(task, ov), [tl.excess_risk(task, ov)]
        scaled = d_alpha.ravel() / np.repeat(a, len(L)), dq / a, force, risk
        total = total + weight * np.concatenate(scaled)
    return total


def state(p):
    """Particles and targets that are not orthonormal, and second layers with either sign."""
    rng = np.random.default_rng(4)
    alpha, q = 0.5 * rng.standard_normal((p, 2)), rng.uniform(0.1, 0.6, p)
    L = np.linalg.cholesky([[1.5, 0.3], [0.3, 0.8]])
    return alpha, q, L, np.linspace(1.2, -0.7, p)


@pytest.mark.parametrize(("student", "target"), PAIRS)
@pytest.mark.parametrize("outside", [1, math.inf])
def test_it_averages_the_flow_over_signs_and_is_it_at_infinite_d(student, target, outside):
    task, (alpha, q, L, a) = task_of(student, target), state(3)
    Xi, weights = [np.eye(3)], [1.0]
    if outside == 1:
        signs = [np.array([1, s, t]) for s in (1, -1) for t in (1, -1)]
        Xi, weights = [np.outer(sign, sign) for sign in signs], [0.25] * 4
    found = everything(field_of(task, L, outside, a_star=A_STAR), alpha, q, a / 3)
    expected = averaged(task, alpha, q, L, a, Xi, weights)
    np.testing.assert_allclose(found, expected, atol=2e-9 * np.abs(expected).max())


@pytest.mark.parametrize(("student", "target"), [("relu", "relu"), ("tanh", "tanh")])
@pytest.mark.parametrize("outside", [2, 3, 6])
def test_it_averages_the_flow_over_directions(student, target, outside):
    """Two particles have one scalar product, cos θ with density ∝ sin(θ)^(d − k − 2)."""
    task, (alpha, q, L, a) = task_of(student, target), state(2)
    x, w = np.polynomial.legendre.leggauss(24)
    angle = np.pi * (1 + x) / 2
    weights = w * np.sin(angle) ** (outside - 2)
    Xi = [np.array([[1, xi], [xi, 1]]) for xi in np.cos(angle)]
    expected = averaged(task, alpha, q, L, a, Xi, weights / weights.sum())
    found = everything(field_of(task, L, outside, a_star=A_STAR), alpha, q, a / 2)
    np.testing.assert_allclose(found, expected, atol=2e-9 * np.abs(expected).max())


@pytest.mark.parametrize("outside", [1, 3, math.inf])
@pytest.mark.parametrize("self_term", SELF_TERMS)
@pytest.mark.parametrize(("student", "target"), [("sigmoid", "sigmoid"), ("he2", "sigmoid")])
def test_it_is_the_field_on_the_grid(student, target, self_term, outside):
    task, (alpha, q, L, a) = task_of(student, target), state(4)
    pairs = MehlerPairField(task, L, outside, self_term, A_STAR)
    grid = GridField(task, L, outside, self_term, 36, A_STAR)
    found, expected = (everything(field, alpha, q, a / 4) for field in (pairs, grid))
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("self_term", SELF_TERMS)
def test_the_self_term_of_two_lines(self_term):
    """At d = ∞ the grid of one target has no kink to miss but the target's and the particle's."""
    task, L = task_of("raised"), np.eye(1)
    here = np.array([[0.4], [-0.3]]), np.array([0.5, 0.9]), np.array([0.8, -0.3])
    pairs = BentPairField(task, L, math.inf, self_term, 24)
    grid = GridField(task, L, math.inf, self_term, 120)
    np.testing.assert_allclose(everything(pairs, *here), everything(grid, *here), atol=1e-8)


@pytest.mark.parametrize("name", ["relu", "raised", "tanh", "gelu"])
@pytest.mark.parametrize("self_term", SELF_TERMS)
@pytest.mark.parametrize("outside", [0, 1, 3, math.inf])
def test_compiled_and_plain_agree(name, self_term, outside, monkeypatch):
    rng = np.random.default_rng(2)
    alpha, q = rng.standard_normal((40, 3)), rng.chisquare(2, 40) * (outside > 0)
    field = field_of(task_of(name), np.eye(3), outside, self_term)
    charge = rng.standard_normal(40) / 40
    compiled = everything(field, alpha, q, charge)
    monkeypatch.setattr("twolayer.mean_field.pairs.HAS_COMPILER", False)
    plain = everything(field, alpha, q, charge)
    np.testing.assert_allclose(compiled, plain, atol=2e-12 * np.abs(plain).max())


@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_the_number_of_cores_changes_no_bit(name, monkeypatch):
    rng = np.random.default_rng(3)
    here = rng.standard_normal((1200, 1)), rng.chisquare(1, 1200), np.full(1200, 1 / 1200)
    field = field_of(task_of(name), np.eye(1), 3)
    expected = field.drift(*here)
    for cores in (1, 3):
        monkeypatch.setattr("twolayer.support.threads.os.cpu_count", lambda cores=cores: cores)
        for a, b in zip(expected, field.drift(*here), strict=True):
            assert (a == b).all()


@pytest.mark.parametrize("name", ["relu", "raised", "tanh", "he3"])
@pytest.mark.parametrize("self_term", SELF_TERMS)
@pytest.mark.parametrize("outside", [1, 2, 3, math.inf])
def test_edges_of_the_law_are_limits(name, self_term, outside):
    """Particles in the span, the same particle twice, one that is a target: no NaN, and near."""
    alpha = np.array([[0.5, 0.2], [0.5, 0.2], [1.0, 0.0], [-1.0, 0.0], [0.3, 0.1]])
    q, charge = np.array([0.0, 0.0, 0.0, 0.0, 0.4]), np.array([0.3, -0.2, 0.4, 0.2, 0.3])
    field = field_of(task_of(name), np.eye(2), outside, self_term)
    there = everything(field, alpha, q, charge)
    beside = everything(field, alpha + 1e-7, q + 1e-13, charge)
    assert np.isfinite(there).all()
    np.testing.assert_allclose(there, beside, atol=3e-6 * np.abs(there).max())


@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_a_particle_at_the_origin(name):
    field = field_of(task_of(name), np.eye(2), 3)
    alpha, q = np.array([[0.0, 0.0], [0.5, -0.3]]), np.array([0.0, 0.2])
    assert np.isfinite(everything(field, alpha, q, np.full(2, 0.5))).all()


@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_particles_that_are_the_targets_have_learned_them(name):
    field = field_of(task_of(name), np.eye(2), 3)
    found = everything(field, np.eye(2), np.zeros(2), np.full(2, 0.5))
    np.testing.assert_allclose(found, 0, atol=1e-10)


@pytest.mark.parametrize("outside", [2, 3, 4, 50, 10**6])
def test_the_rule_in_the_angle(outside):
    """Moments of ξ, and a function with roots at ±1, E[√(1 − ξ²)]."""
    xi, w = scalar_product_by_angle(outside, 16)
    assert w.sum() == pytest.approx(1, abs=1e-13)
    assert w @ xi**2 == pytest.approx(1 / outside, rel=1e-11)
    assert w @ xi**4 == pytest.approx(3 / (outside * (outside + 2)), rel=1e-11)
    if outside < 100:  # the function Γ of a large number is too large
        half = outside / 2
        root = gamma(half) ** 2 / (gamma(half - 0.5) * gamma(half + 0.5))
        assert w @ np.sqrt(1 - xi**2) == pytest.approx(root, rel=1e-12)


def test_which_activations_are_two_lines():
    assert bent(named("relu")) == Bent(0.0, 0.5, 0.5)
    assert bent(named("abs")) == Bent(0.0, 0.0, 1.0)
    lines = bent(named("raised"))
    np.testing.assert_allclose((lines.c, lines.e, lines.h), (0.3, 0.2, 1.0), atol=1e-9)
    for name in ("tanh", "clip", "step and slope"):
        assert bent(named(name)) is None


@pytest.mark.parametrize("name", ["tanh", "gelu", "he4"])
def test_coefficients_are_gaussian_integrals(name):
    """Against Gauss-Legendre rules, for standard deviations from next to nothing to two."""
    activation, size = named(name), np.array([1e-6, 1e-3, 0.3, 0.71, 1.0, 2.0])
    f, c, b = Projection(activation, 1e-10)(size)
    x, w = panels(np.zeros(1), 300)
    h = [np.ones_like(x), x, (x**2 - 1) / np.sqrt(2), (x**3 - 3 * x) / np.sqrt(6)]
    values = activation.sigma(size[:, None] * x)
    slopes = activation.derivative(size[:, None] * x)
    for r in range(4):
        np.testing.assert_allclose(f[r], values @ (w * h[r]), atol=1e-9)
        np.testing.assert_allclose(c[r], slopes @ (w * h[r]), atol=1e-9)
    if name == "tanh":
        bends = -2 * values * slopes
        np.testing.assert_allclose(b[1], bends @ (w * h[1]), atol=1e-7)


@pytest.mark.parametrize("name", ["tanh", "gelu"])
@pytest.mark.parametrize("outside", [1, 3])
def test_the_series_is_as_exact_as_it_says(name, outside):
    """Also between particles of very different size, against as many terms as there may be."""
    rng = np.random.default_rng(0)
    scale = np.geomspace(0.05, 1.7, 12)
    alpha, q, charge = scale[:, None] * rng.standard_normal((12, 1)), scale**2, np.full(12, 1 / 12)
    task = task_of(name)
    field, finer = (MehlerPairField(task, np.eye(1), outside, "exact") for _ in range(2))
    finer.projection = Projection(task.activation, 1e-16)
    found, expected = (np.column_stack(f.drift(alpha, q, charge)) for f in (field, finer))
    said = field.left_out(alpha, q, charge)
    assert np.abs(found - expected).max() < (said + 1e-11) * np.abs(expected).max()
    assert said < 1e-9


def test_what_the_series_leaves_out_is_said():
    """Waves too short for any number of terms; one that is long enough has nothing left."""
    here = np.array([[0.6], [-0.2]]), np.array([0.5, 0.7]), np.full(2, 0.5)
    short, long = (
        of(lambda x, n=n: np.sin(n * x), lambda x, n=n: n * np.cos(n * x)) for n in (60, 1)
    )
    fields = [MehlerPairField(tl.Task(sine), np.eye(1), 3, "exact") for sine in (short, long)]
    said = [field.left_out(*here) for field in fields]
    assert said[0] > 0.1
    assert said[1] < 1e-9
    particles = tl.Particles(here[0], here[1])
    with pytest.warns(tl.QuadratureWarning, match="field"):
        tl.solve_mean_field(
            tl.Task(short), particles, np.eye(1), d=4, t_eval=[0.0], self_term="exact"
        )


@pytest.mark.parametrize(
    ("name", "p", "form"),
    [
        ("relu", 100, BentPairField),
        ("tanh", 100, MehlerPairField),
        ("relu", 10**5, GridField),
        ("tanh", 10**5, GridField),
        ("clip", 100, GridField),
    ],
)
def test_the_cheapest_form_is_chosen(name, p, form):
    assert isinstance(make_field(tl.Task(named(name)), np.eye(1), p, 3, "none", 24), form)


def test_a_result_says_how_it_was_found():
    particles, P = tl.Particles([[0.5], [0.1]], [0.3, 0.4]), np.eye(1)
    found = tl.solve_mean_field(tl.Task("relu"), particles, P, d=4, t_eval=[0.0, 0.5])
    assert found.provenance["field"] == "BentPairField"
    assert found.excess_risk[1] < found.excess_risk[0]


def test_five_targets_at_once():
    """Many dimensions of the target span, where a grid would have 10⁸ points."""
    start = tl.Weights.gaussian(p=4, k=5, d=9, seed=0, orthonormal_target=True)
    particles = tl.Particles.from_weights(start)
    for name in ("relu", "tanh"):
        found = tl.solve_mean_field(
            tl.Task(name), particles, np.eye(5), d=math.inf, t_eval=[0, 0.1]
        )
        assert np.isfinite(found.excess_risk).all()
