"""A second layer, fixed or trained; mini-batches; learning rates that change."""

import numpy as np
import pytest
import reference
from scipy.integrate import solve_ivp
from scipy.stats import norm

import twolayer as tl
from twolayer import flow
from twolayer.flow.jacobian import jacobian
from twolayer.mean_field.erf_pairs import ErfPairField
from twolayer.mean_field.erf_series import HermiteField
from twolayer.mean_field.field import GridField, SquareField
from twolayer.sgd.draws import Draws
from twolayer.support.unknowns import Unknowns
from twolayer.theory.exits import exit_time

NAMES = ["erf", "square"]
A, A_STAR = np.array([1.5, -0.7, 0.4]), np.array([0.8, -1.2])


def overlaps(seed=0, p=3, k=2, scale=1.0):
    Q, M, P = reference.random_overlaps(np.random.default_rng(seed), p, k, scale=scale)
    return tl.Overlaps(Q, M, P, A[:p], A_STAR[:k])


def sgd(name, weights, samples, noises, rates, eta=0.0, batch=1):
    """The textbook steps; the state after each."""
    sigma, slope = reference.SIGMA[name], reference.DERIVATIVE[name]
    W, W_star, a, d = weights.W, weights.W_star, weights.a, weights.d
    out = [(W, a)]
    for step, rate in enumerate(rates):
        dW, da = np.zeros_like(W), np.zeros_like(a)
        for x, z in zip(
            samples[step * batch :][:batch], noises[step * batch :][:batch], strict=True
        ):
            fields = W @ x
            y = weights.a_star @ np.vectorize(sigma)(W_star @ x) / weights.k + z
            error = y - a @ np.vectorize(sigma)(fields) / weights.p
            dW += error * np.outer(a * np.vectorize(slope)(fields), x) / batch
            da += error * np.vectorize(sigma)(fields) / batch
        W = W + rate / weights.p * dW
        a = a + eta / (weights.p * d) * da
        out.append((W, a))
    return out


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("eta", [0.0, 0.7])
@pytest.mark.parametrize("batch", [1, 3, 40])
@pytest.mark.parametrize("own", [False, True])
def test_sgd_is_sample_by_sample(name, eta, batch, own):
    """On the same random numbers, to 1e-12, compiled and by NumPy; a schedule that halves."""
    p, k, d = 3, 2, 9
    drawn = tl.Weights.gaussian(p=p, k=k, d=d, seed=1)
    start = tl.Weights(0.5 * drawn.W, drawn.W_star, A, A_STAR)
    activation = tl.Activation.of(
        tl.activations.get(name).sigma, tl.activations.get(name).derivative
    )
    task = tl.Task(activation if own else name, noise=0.1)
    times = np.array([0.0, 0.0041, 0.0307, 0.2013])

    def rate(t):
        return 0.06 if t < 0.1 else 0.03

    options = {"learning_rate": rate, "second_layer_rate": eta, "batch": batch, "seed": 5}
    run = tl.simulate(task, start, t_eval=times, method="direct", **options)
    block = run.provenance["block"]
    assert block % batch == 0
    draws = Draws(5, 0, block, d, 0)
    samples, noises, rates, t = [], [], [], 0.0
    while t <= times[-1]:
        normals = draws.blocks(1)[0][0]
        samples.extend(normals[:-block].reshape(block, d) / np.sqrt(d))
        noises.extend(np.sqrt(0.1) * normals[-block:])
        rates.extend([rate(t)] * (block // batch))
        t += block * rate(t) / (p * d * batch)
    states = sgd(name, start, samples, noises, rates, eta, batch)
    clock = np.concatenate(([0.0], np.cumsum(rates))) / (p * d)
    for n, when in enumerate(times):
        step = np.abs(clock - when).argmin()
        W, a = states[step]
        ov = tl.Weights(W, start.W_star, a, A_STAR).overlaps()
        assert run.t[n] == pytest.approx(clock[step], abs=1e-14)
        np.testing.assert_allclose(run.Q[0, n], ov.Q, rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(run.M[0, n], ov.M, rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(run.a[0, n], a, rtol=1e-11, atol=1e-13)
        assert run.excess_risk[0, n] == pytest.approx(tl.excess_risk(task, ov), rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_expectations_by_monte_carlo(name):
    """Ψ^M, Ψ^GF, Ψ^Var, Ψ^a and the risk; each entry within 5 standard errors, false alarm 1e-4."""
    task, ov = tl.Task(name, noise=0.2), overlaps()
    rng, count = np.random.default_rng(0), 400_000
    fields = rng.standard_normal((count, ov.rank)) @ ov.factor().T
    own, target = fields[:, :3], fields[:, 3:]
    sigma, slope = task.activation.sigma, task.activation.derivative
    error = sigma(target) @ A_STAR / 2 - sigma(own) @ A / 3
    noisy = error + np.sqrt(0.2) * rng.standard_normal(count)
    push = A * slope(own) * noisy[:, None]
    outer = push[:, :, None] * own[:, None, :]
    found = {
        flow.psi_M: push[:, :, None] * target[:, None, :],
        flow.psi_GF: outer + outer.swapaxes(1, 2),
        flow.psi_Var: push[:, :, None] * push[:, None, :],
        flow.psi_a: sigma(own) * noisy[:, None],
    }
    for exact, samples in found.items():
        spread = samples.std(0) / np.sqrt(count)
        assert (np.abs(samples.mean(0) - exact(task, ov)) < 5 * spread).all(), exact.__name__
    risk = error**2 / 2
    assert abs(risk.mean() - tl.excess_risk(task, ov)) < 5 * risk.std() / np.sqrt(count)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("terms", list(flow.TERMS))
@pytest.mark.parametrize("eta", [0.0, 0.5])
def test_the_flow_is_that_of_its_parts(name, terms, eta):
    """`solve` against an integrator of the public Ψ's; a schedule that ends, and batches of 4."""
    task, ov = tl.Task(name, noise=0.1), overlaps(scale=0.7)

    def rate(t):
        return 0.3 / (1 + t)

    p, state = 3, Unknowns(ov.Q.shape, ov.M.shape, triangle=True)

    def derivative(t, y):
        N = len(y) - p
        at = tl.Overlaps(*state.unpack(y[:N]), ov.P, y[N:], A_STAR)
        dQ = flow.psi_GF(task, at)
        if terms != "gradient-flow":
            part = {"full": flow.psi_Var, "gradient-flow+noise": flow.psi_noise}[terms]
            dQ = dQ + rate(t) / (4 * p) * part(task, at)
        da = eta / rate(t) * flow.psi_a(task, at)
        return np.concatenate((state.pack(dQ, flow.psi_M(task, at)), da))

    times = [0.5, 3.0]
    start = np.concatenate((state.pack(ov.Q, ov.M), A))
    plain = solve_ivp(derivative, (0, 3), start, t_eval=times, rtol=1e-9, atol=1e-11).y.T
    found = tl.solve(
        *(task, ov), learning_rate=rate, terms=terms, t_eval=times, batch=4, second_layer_rate=eta
    )
    N = plain.shape[1] - p
    np.testing.assert_allclose(state.pack(found.Q, found.M), plain[:, :N], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found.a, plain[:, N:], rtol=1e-6, atol=1e-7)
    last = found.overlaps()
    assert found.excess_risk[-1] == pytest.approx(tl.excess_risk(task, last), rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("terms", list(flow.TERMS))
def test_jacobian(name, terms):
    task, ov = tl.Task(name, noise=0.3), overlaps()
    state, rhs = (
        Unknowns(ov.Q.shape, ov.M.shape, triangle=True),
        flow.right_hand_side(task, ov.P, 2.0, terms, a_star=A_STAR),
    )
    y = state.pack(ov.Q, ov.M)
    step = 1e-5 * np.eye(y.size)
    ahead, behind = (state.pack(*rhs(*state.unpack(z), A)) for z in (y + step, y - step))
    found = jacobian(task, ov.P, terms, A, A_STAR)(ov.Q, ov.M, 2.0)
    np.testing.assert_allclose(found, (ahead - behind).T / 2e-5, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("eta", "batch"), [(0.0, 1), (2.0, 1), (2.0, 5)])
def test_sgd_follows_the_flow(name, eta, batch):
    """200 projected runs: means of Q, M, a and risk within 5 standard errors and O(1/d) of the ODE.

    48 numbers a case at most: false alarm below 1e-4 by Bonferroni.
    """
    task, d = tl.Task(name, noise=0.05), 2000
    drawn = tl.Weights.gaussian(p=3, k=2, d=d, seed=2)
    start = tl.Weights(0.6 * drawn.W, drawn.W_star, A, A_STAR).overlaps()
    rate = {"erf": 1.5, "square": 0.1 * batch}[name]
    options = {"learning_rate": rate, "second_layer_rate": eta * rate, "batch": batch}
    times = [0.3, 1.5]
    sol = tl.solve(task, start, t_eval=times, **options)
    run = tl.simulate(task, start, d=d, t_eval=times, runs=200, progress=False, **options)
    assert run.provenance["method"] == "projected"
    threshold = norm.isf(1e-4 / 48 / 2)
    for name_of in ("Q", "M", "a", "excess_risk"):
        ours, theirs = getattr(run, name_of), getattr(sol, name_of)
        error = ours.std(0) / np.sqrt(200) + 4 / d * (1 + np.abs(theirs)) / threshold
        assert (np.abs(ours.mean(0) - theirs) < threshold * error + 1e-15).all(), name_of


def test_ones_are_no_second_layer():
    start = tl.Weights.gaussian(p=4, k=2, d=30, seed=0)
    ones = tl.Weights(start.W, start.W_star, np.ones(4), np.ones(2))
    task = tl.Task("erf", noise=0.1)
    for first, second in (
        [tl.solve(task, w.overlaps(), learning_rate=0.5, t_eval=[5.0]) for w in (start, ones)],
        [tl.simulate(task, w, learning_rate=0.5, t_eval=[1.0]) for w in (start, ones)],
    ):
        assert (first.Q == second.Q).all()
        assert (first.a == 1).all()


def test_a_constant_schedule_is_the_number():
    task, start = tl.Task("erf", noise=0.1), tl.Weights.gaussian(p=4, k=2, d=30, seed=0)
    plain, scheduled = (
        tl.simulate(task, start, learning_rate=rate, t_eval=[0, 0.31, 2.0])
        for rate in (0.5, lambda t: 0.5)
    )
    np.testing.assert_allclose(plain.Q, scheduled.Q, rtol=1e-12)
    np.testing.assert_allclose(plain.t, scheduled.t, rtol=1e-12)
    plain, scheduled = (
        tl.solve(task, start.overlaps(), learning_rate=rate, t_eval=[2.0])
        for rate in (0.5, lambda t: 0.5)
    )
    np.testing.assert_allclose(plain.Q, scheduled.Q, rtol=1e-12)


def test_recording_changes_nothing(tmp_path):
    """A trained second layer, batches and a schedule: any times, and from a checkpoint."""
    task, start = tl.Task("erf", noise=0.1), tl.Weights.gaussian(p=4, k=2, d=60, seed=0)
    options = {"learning_rate": lambda t: 2 / (1 + t), "second_layer_rate": 1.0, "batch": 5}
    few = tl.simulate(task, start, t_eval=[0, 2.0], **options)
    many = tl.simulate(task, start, t_eval=np.r_[np.linspace(0, 2, 77), 2.0], **options)
    assert (few.a[:, -1] == many.a[:, -1]).all()
    assert (few.Q[:, -1] == many.Q[:, -1]).all()
    first = tl.simulate(task, start, t_eval=[0, 2.0], checkpoint=tmp_path / "c", **options)
    again = tl.simulate(task, start, t_eval=[0, 2.0], checkpoint=tmp_path / "c", **options)
    assert (first.a == again.a).all()
    back = tl.Trajectory.load(again.save(tmp_path / "run.nc"))
    assert (back.a == few.a).all()
    assert (back.a_star == 1).all()


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"second_layer_rate": -1.0}, "second_layer_rate"),
        ({"batch": 0}, "batch"),
        ({"learning_rate": lambda t: -1.0}, "learning_rate"),
        ({"learning_rate": lambda: 1.0}, "learning_rate"),
        ({"learning_rate": lambda t: "fast"}, "learning_rate"),
    ],
)
def test_bad_input(arguments, name):
    task, start = tl.Task("erf"), tl.Weights.gaussian(p=3, k=2, d=30, seed=0)
    arguments = {"learning_rate": 0.5, "t_eval": [1.0]} | arguments
    with pytest.raises(tl.InvalidInput, match=f"^{name}: "):
        tl.simulate(task, start, **arguments)
    with pytest.raises(tl.InvalidInput, match=f"^{name}: "):
        tl.solve(task, start.overlaps(), **arguments)


def test_finite_d():
    """The norm of a sample stays in the variance term with a second layer, not with batches."""
    task, ov, rate = tl.Task("erf", noise=0.1), overlaps(), 0.5
    far, near = (flow.psi_Var(task, ov, d=d) for d in (None, 6))
    assert np.abs(near / far - 1).min() > 1e-3
    options = {"learning_rate": rate, "t_eval": [1e-4]}
    first = tl.solve(task, ov, d=6, **options)
    drift = flow.psi_GF(task, ov) + rate / 3 * near
    np.testing.assert_allclose(first.Q[-1] - ov.Q, 1e-4 * drift, rtol=1e-3, atol=1e-9)
    with pytest.raises(tl.InvalidInput, match=r"^d: "):
        tl.solve(task, ov, d=6, batch=2, **options)


def test_what_knows_no_second_layer_refuses_it():
    task, ov = tl.Task("square"), overlaps()
    with pytest.raises(tl.InvalidInput, match=r"^overlaps: .*without a second layer"):
        exit_time(task, ov, learning_rate=0.1)


def test_bad_layers():
    with pytest.raises(tl.InvalidInput, match=r"^a: "):
        tl.Weights(np.ones((3, 5)), np.ones((2, 5)), a=np.ones(2))
    with pytest.raises(tl.InvalidInput, match=r"^a_star: "):
        tl.Overlaps(np.eye(2), np.zeros((2, 1)), np.eye(1), a_star=[np.nan])


def fields(form, L, outside):
    arguments = (L, outside, "exact")
    if form == "square":
        return SquareField(*arguments, A_STAR)
    if form == "pairs":
        return ErfPairField(*arguments, 60, A_STAR)
    if form == "hermite":
        return HermiteField(*arguments, 60, A_STAR)
    return GridField(tl.Task(form.split()[1]), *arguments, 60, A_STAR)


@pytest.mark.parametrize("form", ["square", "pairs", "hermite", "grid erf", "grid square"])
@pytest.mark.parametrize("outside", [1, np.inf])
def test_the_mean_field_averages_the_flow(form, outside):
    """Over all signs of ξ at d − k = 1, and with orthogonal particles at d = ∞."""
    task = tl.Task(form.split()[-1].replace("pairs", "erf").replace("hermite", "erf"))
    rng = np.random.default_rng(4)
    alpha, q, L = 0.5 * rng.standard_normal((3, 2)), np.array([0.3, 0.5, 0.1]), np.eye(2)
    signs = [(1, s, t) for s in (1, -1) for t in (1, -1)] if outside == 1 else [None]
    exact = []
    for sign in signs:
        perp = np.diag(q) if sign is None else np.outer(*[np.sqrt(q) * sign] * 2)
        ov = tl.Overlaps(alpha @ alpha.T + perp, alpha, L, A, A_STAR)
        inside = (flow.psi_M(task, ov)[:, None] @ alpha[..., None])[:, 0, 0]
        dq = np.diagonal(flow.psi_GF(task, ov)) - 2 * inside
        parts = flow.psi_M(task, ov).ravel(), dq, flow.psi_a(task, ov), [tl.excess_risk(task, ov)]
        exact.append(np.concatenate(parts))
    field, state = fields(form, L, outside), (alpha, q, A / 3)
    d_alpha, dq = field.drift(*state)
    force, risk = field.force(*state), field.excess_risk(*state)
    found = np.concatenate(((A[:, None] * d_alpha).ravel(), A * dq, force, [risk]))
    np.testing.assert_allclose(found, np.mean(exact, axis=0), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_a_wide_network_with_trained_second_layer_is_a_mean_field(name, tmp_path):
    """Gradient flow of 40 orthogonal neurons is the mean field at d = ∞, while they stay so."""
    rng = np.random.default_rng(0)
    m, q = 0.4 * rng.standard_normal((40, 2)), rng.uniform(0.2, 0.4, 40)
    a = 1 + 0.3 * rng.standard_normal(40)
    ov = tl.Overlaps(m @ m.T + np.diag(q), m, np.eye(2), a, A_STAR)
    task, times = tl.Task(name), [0.2, 1.0]
    flow_of = tl.solve(
        *(task, ov), terms="gradient-flow", learning_rate=1.0, second_layer_rate=2.0, t_eval=times
    )
    particles = tl.Particles(m, q, a=a)
    settings = {"d": np.inf, "a_star": A_STAR, "second_layer_ratio": 2.0, "self_term": "exact"}
    mf = tl.solve_mean_field(task, particles, np.eye(2), t_eval=times, **settings)
    # Neurons do not stay orthogonal: what they share outside the target span is of order t/p.
    np.testing.assert_allclose(mf.M, flow_of.M, atol=0.02)
    np.testing.assert_allclose(mf.a, flow_of.a, atol=0.02)
    back = tl.MeanFieldTrajectory.load(mf.save(tmp_path / "mf.nc"))
    assert (back.a == mf.a).all()
    assert (back.a_star == A_STAR).all()
