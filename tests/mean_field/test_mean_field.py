"""The mean field against the flow it averages, its limits, and the paper's printed curves."""

import math

import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student_t

import twolayer as tl
from companion.claims.printed import risk_with_index_slip
from twolayer import flow
from twolayer.mean_field.erf_pairs import ErfPairField
from twolayer.mean_field.erf_series import HermiteField
from twolayer.mean_field.field import SELF_TERMS, GridField, SquareField, make_field
from twolayer.problem.matrices import assemble
from twolayer.problem.task import excess_risk_of

NAMES = ["erf", "square"]
#: Every way to compute a field: activation and form.
FORMS = ["erf by pairs", "erf in series", "erf on a grid", "square"]


def field_of(form, L, outside, self_term, nodes):
    """The field in this form, whatever `make_field` would choose."""
    if form == "erf by pairs":
        return ErfPairField(L, outside, self_term, nodes)
    if form == "erf in series":
        return HermiteField(L, outside, self_term, nodes)
    if form == "erf on a grid":
        erf = tl.activations.get("erf")
        return GridField(tl.Task(erf), L, outside, self_term, nodes)
    return SquareField(L, outside, self_term)


def state(p, k, seed, d=6):
    """α, q and a general P of random weights."""
    ov = tl.Weights.gaussian(p=p, k=k, d=d, seed=seed, orthonormal_target=False).overlaps()
    L = np.linalg.cholesky(ov.P)
    return np.linalg.solve(L, ov.M.T).T, np.diagonal(ov.Q_perp).copy(), ov.P, L


def averaged(name, alpha, q, P, L, Xi):
    """Drifts of (α, q) and the risk from the flow of all overlaps, for many Ξ at once."""
    task, p = tl.Task(name), len(q)
    root = np.sqrt(q)
    Q = alpha @ alpha.T + root[:, None] * Xi * root
    M = np.broadcast_to(alpha @ L.T, (*Xi.shape[:-2], p, len(P)))
    dQ, dM = flow.right_hand_side(task, P, 0.0, "gradient-flow")(Q, M)
    d_alpha = np.linalg.solve(L, dM.swapaxes(-1, -2)).swapaxes(-1, -2)
    dq = np.diagonal(dQ, axis1=-2, axis2=-1) - 2 * (alpha * d_alpha).sum(-1)
    risks = np.array([excess_risk_of(task, Omega, p) for Omega in assemble(Q, M, P)])
    return d_alpha, dq, risks


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("k", [1, 2])
def test_at_infinite_d_it_is_the_flow_with_orthogonal_particles(form, k):
    alpha, q, P, L = state(4, k, seed=k)
    d_alpha, dq, risk = averaged(form.split()[0], alpha, q, P, L, np.eye(4)[None])
    field = field_of(form, L, math.inf, "exact", 48)
    ours = field.drift(alpha, q, np.full(4, 0.25))
    np.testing.assert_allclose(ours[0], d_alpha[0], atol=1e-8)
    np.testing.assert_allclose(ours[1], dq[0], atol=1e-8)
    assert field.excess_risk(alpha, q, np.full(4, 0.25)) == pytest.approx(risk[0], abs=1e-9)


@pytest.mark.parametrize("form", FORMS)
def test_with_one_dimension_outside_it_averages_over_signs(form):
    """d − k = 1: Ξ_ij = ±1, and all sign patterns can be summed exactly."""
    p, k = 3, 2
    alpha, q, P, L = state(p, k, seed=3, d=4)
    signs = np.array([[1, a, b] for a in (-1, 1) for b in (-1, 1)])
    d_alpha, dq, risk = averaged(
        form.split()[0], alpha, q, P, L, signs[:, :, None] * signs[:, None, :]
    )
    field, weight = field_of(form, L, 1, "exact", 48), np.full(p, 1 / p)
    ours = field.drift(alpha, q, weight)
    np.testing.assert_allclose(ours[0], d_alpha.mean(0), atol=1e-8)
    np.testing.assert_allclose(ours[1], dq.mean(0), atol=1e-8)
    assert field.excess_risk(alpha, q, weight) == pytest.approx(risk.mean(), abs=1e-8)


@pytest.mark.parametrize("form", FORMS)
def test_at_finite_d_it_averages_over_directions(form):
    """Against 20 000 draws of Ξ at d − k = 3.

    z-tests of all drifts and the risk, Bonferroni: total false-alarm rate 1e-5.
    """
    p, k, outside, draws = 4, 2, 3, 20_000
    alpha, q, P, L = state(p, k, seed=5)
    g = np.random.default_rng(0).standard_normal((draws, p, outside))
    g /= np.linalg.norm(g, axis=-1, keepdims=True)
    d_alpha, dq, risk = averaged(form.split()[0], alpha, q, P, L, g @ g.swapaxes(-1, -2))
    field, state_now = field_of(form, L, outside, "exact", 24), (alpha, q, np.full(p, 1 / p))
    ours = np.concatenate(
        [*(x.ravel() for x in field.drift(*state_now)), [field.excess_risk(*state_now)]]
    )
    sampled = np.concatenate([d_alpha.reshape(draws, -1), dq, risk[:, None]], axis=1)
    error = sampled.std(0) / np.sqrt(draws) + 1e-9
    z = (ours - sampled.mean(0)) / error
    assert np.abs(z).max() < norm.isf(1e-5 / (2 * z.size))


@pytest.mark.parametrize("outside", [1, 2, 3, 20, math.inf])
@pytest.mark.parametrize("self_term", SELF_TERMS)
@pytest.mark.parametrize(
    ("form", "within"), [("erf on a grid", 2e-7), ("erf in series", 2e-7), ("erf by pairs", 1e-12)]
)
def test_the_quadrature_has_converged(outside, self_term, form, within):
    """Half as many nodes again change drifts and risk by next to nothing."""
    alpha, q, _, L = state(5, 2, seed=1)
    fields = [field_of(form, L, outside, self_term, nodes) for nodes in (28, 42)]
    (a, b), (c, d) = (field.drift(alpha, q, np.full(5, 0.2)) for field in fields)
    np.testing.assert_allclose(a, c, atol=within)
    np.testing.assert_allclose(b, d, atol=within)
    risks = [field.excess_risk(alpha, q, np.full(5, 0.2)) for field in fields]
    assert risks[0] == pytest.approx(risks[1], abs=within)


@pytest.mark.parametrize("outside", [1, 3, 995, math.inf])
@pytest.mark.parametrize("self_term", SELF_TERMS)
@pytest.mark.parametrize("form", ["erf on a grid", "erf in series"])
def test_the_forms_of_erf_agree(outside, self_term, form):
    """Weights that differ, a general P, and any number of dimensions outside."""
    alpha, q, _, L = state(6, 2, seed=4)
    here = alpha, q, np.arange(1.0, 7.0) / 21
    pairs = field_of("erf by pairs", L, outside, self_term, 24)
    other = field_of(form, L, outside, self_term, 60)
    for a, b in zip(pairs.drift(*here), other.drift(*here), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)
    assert pairs.excess_risk(*here) == pytest.approx(other.excess_risk(*here), abs=1e-9)


@pytest.mark.parametrize("form", ["erf by pairs", "erf in series"])
@pytest.mark.parametrize("self_term", SELF_TERMS)
def test_compiled_and_plain_agree(form, self_term, monkeypatch):
    """Also for norms far from one, where the series is long."""
    rng = np.random.default_rng(2)
    here = rng.standard_normal((70, 2)), rng.chisquare(2, 70), rng.dirichlet(np.ones(70))
    field = field_of(form, np.eye(2), 3, self_term, 20)
    compiled = *field.drift(*here), field.excess_risk(*here)
    for module in ("pairs", "erf_series"):
        monkeypatch.setattr(f"twolayer.mean_field.{module}.HAS_COMPILER", False)
    plain = *field.drift(*here), field.excess_risk(*here)
    for a, b in zip(compiled, plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("form", ["erf by pairs", "erf in series"])
def test_the_number_of_cores_changes_no_bit(form, monkeypatch):
    rng = np.random.default_rng(3)
    particles = rng.standard_normal((2500, 1)), rng.chisquare(1, 2500), np.full(2500, 1 / 2500)
    field = field_of(form, np.eye(1), 3, "exact", 16)
    here = field.drift(*particles)
    for cores in (1, 3):
        monkeypatch.setattr("twolayer.support.threads.os.cpu_count", lambda cores=cores: cores)
        for a, b in zip(here, field.drift(*particles), strict=True):
            assert (a == b).all()


def test_the_cheaper_form_is_chosen():
    erf, L = tl.activations.get("erf"), np.eye(1)
    few, many = (make_field(tl.Task(erf), L, p, 3, "exact", 8) for p in (50, 5000))
    assert isinstance(few, ErfPairField)
    assert isinstance(many, HermiteField)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("d", [3, math.inf])
def test_inside_the_target_span_it_is_gradient_flow(name, d):
    """Q^⊥ = 0 is invariant (figure 5 a), and M alone follows the flow of all overlaps."""
    w = tl.Weights.in_target_span(p=5, k=2, d=4)
    ov, t = w.overlaps(), [0.5, 5.0]
    particles = tl.Particles(ov.M, np.zeros(5))
    mf = tl.solve_mean_field(tl.Task(name), particles, ov.P, d=d, t_eval=t, nodes=36)
    sol = tl.solve(tl.Task(name), ov, terms="gradient-flow", t_eval=t)
    assert not mf.q.any()
    np.testing.assert_allclose(mf.M, sol.M, atol=1e-6)
    np.testing.assert_allclose(mf.excess_risk, sol.excess_risk, rtol=1e-4, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_large_d_meets_infinite_d(name):
    """The drift at d approaches that at infinity as 1/d."""
    alpha, q, _, L = state(4, 2, seed=2)

    def drift(outside):
        field = make_field(tl.Task(name), L, 4, outside, "exact", 36)
        return np.concatenate([x.ravel() for x in field.drift(alpha, q, np.full(4, 0.25))])

    near, far = (np.abs(drift(d) - drift(math.inf)).max() for d in (200, 2000))
    assert far < 1e-2
    assert near / far == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize(
    ("figure", "k", "d_start", "d", "p", "printed"),
    [
        ("3-left", 2, 5, 5, 100, {1: 0.01954, 100: 1.178e-06}),
        ("3-left", 2, 5, 5, 200, {1: 0.02044, 100: 1.218e-06}),
        ("3-left", 2, 5, 5, 1000, {1: 0.02125, 100: 4.745e-06}),
        ("3-right", 5, 1000, math.inf, 100, {1: 0.1999, 20: 0.0009188}),
        ("3-right", 5, 1000, math.inf, 1000, {1: 0.1915, 20: 0.0005443}),
        ("5c", 2, 5, math.inf, 100, {1: 0.02732, 100: 5.263e-07}),
        ("5c", 2, 5, math.inf, 1000, {1: 0.02935, 100: 1.117e-05}),
    ],
)
def test_printed_square_curves(figure, k, d_start, d, p, printed):
    """Figures 3 and 5 c, whose plotted risk has an index slip; with it, 1 %."""
    w = tl.Weights.gaussian(p=p, k=k, d=d_start, seed=0)
    t = sorted(printed)
    particles = tl.Particles.from_weights(w)
    mf = tl.solve_mean_field(
        tl.Task("square"), particles, np.eye(k), d=d, t_eval=t, self_term="exact"
    )
    np.testing.assert_allclose(risk_with_index_slip(mf), [printed[x] for x in t], rtol=1e-2)


def test_printed_erf_curve_and_its_correction():
    """Figure 5 b, p = 100: as printed, and with the self term restored, far lower in the end."""
    w = tl.Weights.gaussian(p=100, k=2, d=5, seed=0)
    particles, P = tl.Particles.from_weights(w), w.overlaps().P

    def risk(self_term, t):
        return tl.solve_mean_field(
            tl.Task("erf"),
            particles,
            P,
            d=math.inf,
            t_eval=t,
            self_term=self_term,
            nodes=14,
            rtol=1e-6,
            atol=1e-9,
        ).excess_risk

    np.testing.assert_allclose(risk("independent", [1, 100]), [0.04199, 0.0009816], rtol=2e-3)
    assert risk("exact", [910])[0] == pytest.approx(2.0e-5, rel=0.1)


def test_quadrature_works_in_high_dimension():
    particles = tl.Particles.quadrature(np.eye(2), d=10**6, order=4)
    assert particles.weight @ particles.q == pytest.approx(1, abs=1e-5)


def test_quadrature_of_gaussian_weights_has_their_moments():
    P = np.array([[1.0, 0.3], [0.3, 2.0]])
    particles = tl.Particles.quadrature(P, d=7, order=5)
    w, m, q = particles.weight, particles.m, particles.q
    assert particles.p == 5**3
    np.testing.assert_allclose(np.einsum("p,pr,ps->rs", w, m, m), P / 7, atol=1e-14)
    np.testing.assert_allclose(w @ m**4, 3 * np.diagonal(P) ** 2 / 49, rtol=1e-12)
    np.testing.assert_allclose([w @ q, w @ q**2], [5 / 7, 35 / 49], rtol=1e-12)
    np.testing.assert_allclose(w @ (m[:, 0] ** 2 * q), P[0, 0] * 5 / 49, rtol=1e-12)


def test_infinite_p_converges_spectrally_and_is_the_limit_of_particles():
    """Square, k = 1, d = 3: order 24 against 32, and against many sampled particles (4 %)."""
    t = [0.0, 1.0, 10.0, 36.0]
    task = tl.Task("square")

    def risk(particles):
        return tl.solve_mean_field(task, particles, [[1.0]], d=3, t_eval=t).excess_risk

    coarse, fine = (risk(tl.Particles.quadrature([[1.0]], d=3, order=n)) for n in (24, 32))
    np.testing.assert_allclose(coarse, fine, rtol=1e-3)
    sampled = risk(tl.Particles.from_weights(tl.Weights.gaussian(p=20_000, k=1, d=3, seed=0)))
    np.testing.assert_allclose(sampled, fine, rtol=0.04)


def test_sgd_follows_it():
    """Square, k = 1, d = 3, γ/p = 1/5000 as in the authors' public notebook, with half their p.

    A single run scatters by 4 % at t = 0.5.  The mean ratio of 8 runs at three times: t-tests,
    Bonferroni, total false-alarm rate 1e-5; and within 4 %.
    """
    w = tl.Weights.gaussian(p=2500, k=1, d=3, seed=0)
    run = tl.simulate(
        tl.Task("square"), w, learning_rate=0.5, t_eval=[0.3, 0.5, 1.0], runs=8, record="norms"
    )
    mf = tl.solve_mean_field(
        tl.Task("square"), tl.Particles.from_weights(w), [[1.0]], d=3, t_eval=run.t
    )
    ratio = run.excess_risk / mf.excess_risk
    t = (ratio.mean(0) - 1) / (ratio.std(0, ddof=1) / np.sqrt(len(ratio)))
    assert np.abs(t).max() < student_t.isf(1e-5 / 6, len(ratio) - 1)
    np.testing.assert_allclose(ratio.mean(0), 1, atol=0.04)


@pytest.mark.parametrize(("name", "within"), [("square", 1e-3), ("erf", 0.3)])
def test_the_default_is_what_a_network_does(name, within):
    """Risk at t = 910 of gradient flow of 100 neurons: nearer without self term than with it."""
    start, t = tl.Weights.gaussian(p=100, k=2, d=5, seed=0), [910.0]
    task, P = tl.Task(name), start.overlaps().P
    particles = tl.Particles.from_weights(start)
    flow = {"terms": "gradient-flow", "method": "DOP853", "rtol": 1e-9, "atol": 1e-13}
    network = tl.solve(task, start.overlaps(), t_eval=t, **flow).excess_risk[0]
    default, exact = (
        tl.solve_mean_field(task, particles, P, d=5, t_eval=t, **more).excess_risk[0]
        for more in ({}, {"self_term": "exact"})
    )
    assert abs(default / network - 1) < within < abs(exact / network - 1) * 2
    assert abs(default - network) < abs(exact - network)


def test_the_default_follows_sgd_of_a_wide_network():
    """p = 2500, square, k = 1, d = 3: a run at γ/p = 0.004, and 4 %."""
    start = tl.Weights.gaussian(p=2500, k=1, d=3, seed=0)
    settings = {"t_eval": [10.0, 50.0, 150.0], "progress": False}
    run = tl.simulate(tl.Task("square"), start, learning_rate=10.0, record="norms", **settings)
    particles = tl.Particles.from_weights(start)
    field = tl.solve_mean_field(tl.Task("square"), particles, [[1.0]], d=3, **settings)
    np.testing.assert_allclose(run.excess_risk[0], field.excess_risk, rtol=0.04)


def test_cosines_and_norms():
    w = tl.Weights.gaussian(p=6, k=2, d=5, seed=0, orthonormal_target=False)
    ov = w.overlaps()
    mf = tl.solve_mean_field(
        tl.Task("square"), tl.Particles.from_weights(w), ov.P, d=5, t_eval=[0.0]
    )
    np.testing.assert_allclose(mf.q_total[0], np.diagonal(ov.Q), rtol=1e-12)
    norms = np.linalg.norm(w.W, axis=1)[:, None] * np.linalg.norm(w.W_star, axis=1)
    np.testing.assert_allclose(mf.cosines[0], w.W @ w.W_star.T / norms, rtol=1e-12)


def test_save_and_load(tmp_path):
    particles = tl.Particles.quadrature(np.eye(1), d=3, order=4)
    mf = tl.solve_mean_field(tl.Task("square"), particles, np.eye(1), d=math.inf, t_eval=[0, 1])
    back = tl.MeanFieldTrajectory.load(mf.save(tmp_path / "mf.nc"))
    for name in ("t", "M", "q", "weight", "P", "excess_risk", "risk"):
        np.testing.assert_array_equal(getattr(back, name), getattr(mf, name))
    assert back.parameters == mf.parameters
    with pytest.raises(tl.InvalidInput, match="twolayer trajectory"):
        tl.Trajectory.load(tmp_path / "mf.nc")


PARTICLES = tl.Particles([[0.5, 0.0], [0.1, 0.2]], [0.3, 0.4])


def solve(**changed):
    arguments = {"d": 5, "t_eval": [0.0, 1.0]} | changed
    task, particles = arguments.pop("task", tl.Task("erf")), arguments.pop("particles", PARTICLES)
    return tl.solve_mean_field(task, particles, arguments.pop("P", np.eye(2)), **arguments)


@pytest.mark.parametrize(
    ("call", "arguments", "name", "allowed"),
    [
        (tl.Particles, {"m": [0.5], "q": [1.0]}, "m", "shape"),
        (tl.Particles, {"m": [[0.5]], "q": [1.0, 2.0]}, "q", "shape"),
        (tl.Particles, {"m": [[0.5]], "q": [-0.1]}, "q", ">= 0"),
        (tl.Particles, {"m": [[0.5]], "q": [1.0], "weight": [0.9]}, "weight", "sum 1"),
        (tl.Particles, {"m": [[0.5]], "q": [1.0], "finite": 1}, "finite", "True or False"),
        (tl.Particles.from_weights, {"weights": np.eye(2)}, "weights", "Weights"),
        (tl.Particles.quadrature, {"P": [[0.0]], "d": 3}, "P", "positive definite"),
        (tl.Particles.quadrature, {"P": [[1.0, 0.0]], "d": 3}, "P", "symmetric"),
        (tl.Particles.quadrature, {"P": np.eye(3), "d": 2}, "d", ">= 3"),
        (tl.Particles.quadrature, {"P": np.eye(1), "d": 2, "order": 0}, "order", ">= 1"),
        (solve, {"task": "erf"}, "task", "Task"),
        (solve, {"particles": 3}, "particles", "Particles"),
        (solve, {"P": np.eye(3)}, "P", r"\(2, 2\)"),
        (solve, {"d": 1}, "d", ">= 2"),
        (solve, {"d": 2}, "d", "above k = 2"),
        (solve, {"d": 2.5}, "d", "integer"),
        (solve, {"t_eval": [1.0, 0.0]}, "t_eval", "decrease"),
        (solve, {"self_term": "sometimes"}, "self_term", "'exact', 'independent', 'none'"),
        (solve, {"nodes": 1}, "nodes", ">= 2"),
        (solve, {"nodes": 20_000}, "nodes", "at most 200"),
        (solve, {"method": "Euler"}, "method", "'LSODA'"),
        (solve, {"rtol": 0.0}, "rtol", "> 0"),
    ],
)
def test_bad_input(call, arguments, name, allowed):
    with pytest.raises(tl.InvalidInput, match=rf"^{name}: got .*must be .*{allowed}"):
        call(**arguments)


@pytest.mark.parametrize("outside", [2, 3, 10, 500, math.inf])
def test_an_angle_beyond_a_point(outside):
    """`rules.beyond` against a fine sum over the density of the angle."""
    from twolayer.activations.gauss_rules import beyond

    far = 10.0 if outside == math.inf else 1.0
    angle = far * np.sin(np.linspace(-np.pi / 2, np.pi / 2, 400_000))
    with np.errstate(divide="ignore"):
        density = np.exp(
            -(angle**2) / 2
            if outside == math.inf
            else (outside - 3) / 2 * np.log(np.maximum(1 - angle**2, 1e-300))
        )
    weight = density * np.sqrt(1 - (angle / far) ** 2)  # of d angle
    weight /= weight.sum()
    for c in (-0.7, 0.0, 0.3, 0.95):
        some = angle > c
        expected = weight[some].sum(), (weight * angle)[some].sum()
        found = [float(x) for x in beyond(np.array(c), outside)]
        np.testing.assert_allclose(found, expected, atol=2e-5)
    np.testing.assert_allclose(
        beyond(np.array([-np.inf, np.inf]), outside), [[1, 0], [0, 0]], atol=1e-12
    )


@pytest.mark.parametrize("student", ["relu", "leaky", "tanh"])
def test_kinks_in_the_mean_field(student):
    """At d = ∞ as exact as the flow; d − k = 3 against directions drawn, within 5 errors."""
    leaky = tl.Activation.of(
        lambda x: np.where(x > 0, x, 0.1 * x), lambda x: np.where(x > 0, 1.0, 0.1), kinks=(0.0,)
    )
    task = tl.Task(leaky if student == "leaky" else student, "relu")
    rng = np.random.default_rng(1)
    alpha, q = 0.5 * rng.standard_normal((3, 2)), np.array([0.3, 0.5, 0.1])

    def expected(perp):
        ov = tl.Overlaps(alpha @ alpha.T + perp, alpha, np.eye(2))
        M = flow.psi_M(task, ov)
        dq = np.diagonal(flow.psi_GF(task, ov)) - 2 * (M * alpha).sum(1)
        return np.concatenate((M.ravel(), dq, [tl.excess_risk(task, ov)]))

    def found(outside, nodes):
        field = GridField(task, np.eye(2), outside, "exact", nodes)
        d_alpha, dq = field.drift(alpha, q, np.full(3, 1 / 3))
        risk = field.excess_risk(alpha, q, np.full(3, 1 / 3))
        return np.concatenate((d_alpha.ravel(), dq, [risk]))

    np.testing.assert_allclose(found(math.inf, 32), expected(np.diag(q)), rtol=1e-7, atol=1e-8)
    g = rng.standard_normal((400, 3, 3))
    g /= np.linalg.norm(g, axis=-1, keepdims=True)
    roots = np.sqrt(np.outer(q, q))
    drawn = np.array([expected(roots * (x @ x.T)) for x in g])
    error = drawn.std(0) / np.sqrt(len(g)) + 1e-9
    assert (np.abs(found(3, 40) - drawn.mean(0)) < 5 * error + 2e-4).all()
