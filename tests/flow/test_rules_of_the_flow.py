"""Weight decay, fixed norms and rates of each student's own, in the ODE."""

import itertools

import numpy as np
import pytest
import reference
from scipy.integrate import solve_ivp
from scipy.stats import norm as normal

import twolayer as tl
from twolayer.flow.vector_field import Flow, SpanFlow
from twolayer.problem.update import UpdateRule
from twolayer.support.integrate import HAS_CVODE
from twolayer.theory import escape

RATES = np.array([0.5, 0.0, 2.0])
RULES = {
    "decay": {"weight_decay": 0.4},
    "fixed": {"norm": "fixed"},
    "own": {"neuron_rates": RATES},
    "all": {"weight_decay": 0.4, "norm": "fixed", "neuron_rates": RATES},
    "free": {"weight_decay": 0.4, "neuron_rates": RATES},
}


def rule_of(weight_decay=0.0, norm="free", neuron_rates=None, p=3):
    return UpdateRule.of(weight_decay, norm, neuron_rates, p)


def overlaps(seed=0, p=3, k=2, layers=True):
    Q, M, P = reference.random_overlaps(np.random.default_rng(seed), p, k, scale=0.8)
    a, a_star = ([1.5, -0.7, 0.4], [0.8, -1.2]) if layers else (np.ones(p), np.ones(k))
    return tl.Overlaps(Q, M, P, a[:p], a_star[:k])


def by_loops(name, ov, gamma, noise, rule):
    """(dQ, dM), one expectation at a time; without second layers."""
    p, k = ov.M.shape
    units, Omega, r = range(p + k), ov.Omega, rule.rates
    _, three, _, _ = reference.EXPECTATIONS[name]
    c = [-1 / p] * p + [1 / k] * k
    drift = np.array(
        [
            [sum(c[m] * three(Omega[np.ix_((j, n, m), (j, n, m))]) for m in units) for n in units]
            for j in range(p)
        ]
    )
    _, _, variance, of_noise, _ = reference.flow(name, ov.Q, ov.M, ov.P, noise)
    dQ, dM = np.empty((p, p)), np.empty((p, k))
    for i, j in itertools.product(range(p), repeat=2):
        dQ[i, j] = r[i] * drift[i, j] + r[j] * drift[j, i]
        dQ[i, j] += gamma / p * r[i] * r[j] * (variance + of_noise)[i, j]
        dQ[i, j] -= rule.decay * (r[i] + r[j]) * ov.Q[i, j]
    for i, n in itertools.product(range(p), range(k)):
        dM[i, n] = r[i] * drift[i, p + n] - rule.decay * r[i] * ov.M[i, n]
    if rule.fixed:
        h = [dQ[i, i] / ov.Q[i, i] / 2 for i in range(p)]
        dQ = dQ - np.array([[ov.Q[i, j] * (h[i] + h[j]) for j in range(p)] for i in range(p)])
        dM = dM - np.array([[ov.M[i, n] * h[i] for n in range(k)] for i in range(p)])
    return dQ, dM


@pytest.mark.parametrize("name", ["erf", "square"])
@pytest.mark.parametrize("rule", RULES)
def test_the_drift_against_loops(name, rule):
    ov, rule = overlaps(layers=False), rule_of(**RULES[rule])
    flow = Flow(tl.Task(name, noise=0.2), ov, "full", lambda t: 0.7, rule=rule)
    dQ, dM, _ = flow.unpack(flow.derivative(0.0, flow.start))
    expected = by_loops(name, ov, 0.7, 0.2, rule)
    np.testing.assert_allclose(dQ, expected[0], rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(dM, expected[1], rtol=1e-10, atol=1e-13)
    if rule.fixed:
        assert not np.diagonal(dQ).any()


@pytest.mark.parametrize("name", ["erf", "square", "relu"])
@pytest.mark.parametrize("p", [3, 40])
def test_a_common_rate_is_a_unit_of_time_and_a_learning_rate(name, p):
    """r γ for all: Ψ^GF and Ψ^M r times as fast, at the learning rate r γ; and in BLAS's flow."""
    Q, M, P = reference.random_overlaps(np.random.default_rng(1), p, 2)
    ov, task = tl.Overlaps(Q, M, P), tl.Task(name, noise=0.2)
    terms = "full" if p == 3 else "gradient-flow+noise"
    rule = rule_of(neuron_rates=np.full(p, 2.0), p=p)
    twice = Flow(task, ov, terms, lambda t: 0.35, rule=rule)
    plain = Flow(task, ov, terms, lambda t: 0.7)
    found, expected = (each.derivative(0.0, each.start) for each in (twice, plain))
    np.testing.assert_allclose(found, 2 * expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["erf", "square"])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("terms", ["gradient-flow", "gradient-flow+noise", "full"])
def test_the_jacobian_against_central_differences(name, rule, terms):
    flow = Flow(
        tl.Task(name, noise=0.3), overlaps(), terms, lambda t: 1.4, rule=rule_of(**RULES[rule])
    )
    step = 1e-5 * np.eye(flow.start.size)
    columns = [
        (flow.derivative(0.0, flow.start + h) - flow.derivative(0.0, flow.start - h)) / 2e-5
        for h in step
    ]
    found = flow.jacobian(0.0, flow.start)
    np.testing.assert_allclose(found, np.stack(columns, axis=1), rtol=1e-6, atol=1e-7)


METHODS = ["LSODA", "DOP853", "Radau", *(["CVODE"] if HAS_CVODE else [])]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ["erf", "relu"])
@pytest.mark.parametrize("eta", [0.0, 0.3])
def test_all_integrators_agree(rule, name, eta):
    """With a schedule, also where there is no closed form and the second layer is trained."""
    task, ov, t = tl.Task(name, noise=0.1), overlaps(), [0.0, 1.0, 10.0]
    how = RULES[rule] | {"learning_rate": lambda t: 0.5 / (1 + t), "second_layer_rate": eta}
    terms = "full" if name == "erf" else "gradient-flow+noise"
    some = METHODS if name == "erf" else METHODS[:2]
    runs = [tl.solve(task, ov, t_eval=t, terms=terms, method=m, **how) for m in some]
    for run in runs[1:]:
        np.testing.assert_allclose(run.Q, runs[0].Q, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(run.M, runs[0].M, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(run.a, runs[0].a, rtol=1e-6, atol=1e-8)
    if RULES[rule].get("norm") == "fixed":
        kept = np.diagonal(runs[0].Q, axis1=1, axis2=2)
        assert (kept == np.diagonal(ov.Q)).all()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ["erf", "relu"])
def test_in_the_span_of_the_weights(rule, name):
    """Many students, whose gradient flow is that of their coordinates."""
    p = 12
    start = tl.Weights.gaussian(p=p, k=2, d=3, seed=0).overlaps()
    how = {n: np.tile(v, 4) if n == "neuron_rates" else v for n, v in RULES[rule].items()}
    how |= {"terms": "gradient-flow", "t_eval": [0.0, 1.0, 20.0]}
    task = tl.Task(name)
    spanned = tl.solve(task, start, method="DOP853", **how)
    assert "coordinates" in spanned.provenance["why"] or spanned.provenance["why"] == "asked for"
    plain = tl.solve(task, start, method="LSODA", **how)
    np.testing.assert_allclose(spanned.Q, plain.Q, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(spanned.M, plain.M, rtol=1e-6, atol=1e-8)
    flow = SpanFlow(task, start, rule_of(**{n: v for n, v in how.items() if n in NAMES}, p=p))
    whole = Flow(task, start, "gradient-flow", lambda t: 1.0, rule=flow.rule)
    A = flow.start.reshape(p, -1)
    dA = flow.derivative(0.0, flow.start).reshape(p, -1)
    dQ, dM, _ = whole.unpack(whole.derivative(0.0, whole.start))
    np.testing.assert_allclose(dA @ A.T + A @ dA.T, dQ, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(dA @ flow.targets.T, dM, rtol=1e-9, atol=1e-12)


NAMES = ("weight_decay", "norm", "neuron_rates")


def test_without_a_gradient_weights_decay_as_they_should():
    """Students of no weight in the output: Q e^(−2λt) and M e^(−λt); SGD (1 − γλ/pd)^steps."""
    ov = overlaps()
    idle = tl.Overlaps(ov.Q, ov.M, ov.P, np.zeros(3), ov.a_star)
    t, task = np.array([0.0, 0.5, 3.0]), tl.Task("erf", noise=0.1)
    sol = tl.solve(task, idle, learning_rate=0.5, weight_decay=0.7, t_eval=t)
    np.testing.assert_allclose(sol.Q, np.exp(-1.4 * t)[:, None, None] * ov.Q, rtol=1e-8)
    np.testing.assert_allclose(sol.M, np.exp(-0.7 * t)[:, None, None] * ov.M, rtol=1e-8)
    run = tl.simulate(task, idle, d=30, learning_rate=0.5, weight_decay=0.7, t_eval=t)
    left = (1 - 0.35 / 90) ** run.steps
    np.testing.assert_allclose(run.Q[0], (left**2)[:, None, None] * ov.Q, rtol=1e-10)


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_one_student_on_the_sphere_in_closed_form(noise):
    """The square: u = m² obeys a logistic law (arXiv:2305.18502)."""
    gamma, threshold, u = 0.05, 0.5, 1e-3
    when = float(
        escape.spherical_exit_time(u, learning_rate=gamma, noise=noise, threshold=threshold)
    )
    start = tl.Overlaps([[1.0]], [[np.sqrt(u)]], [[1.0]])
    how = {"learning_rate": gamma, "norm": "fixed", "t_eval": [when]}
    sol = tl.solve(tl.Task("square", noise=noise), start, **how)
    assert sol.M[0, 0, 0] ** 2 == pytest.approx(threshold, rel=1e-7)


@pytest.mark.parametrize("name", ["erf", "square"])
def test_with_d_the_drift_is_the_mean_of_one_step(name):
    """At d = 4, a decay of λ dt = 0.04 a step; within 5 standard errors, false alarm 1e-5.

    What decay does beyond the first order in λ dt, taken on the same samples, is known to a part
    in twenty.
    """
    d, gamma, decay, count = 4, 0.4, 0.75, 2_000_000
    r = np.array([1.0, 2.0])
    start = tl.Weights.gaussian(p=2, k=1, d=d, seed=2)
    task, p, rng = tl.Task(name, noise=0.1), 2, np.random.default_rng(0)
    A, B = start.W / np.sqrt(d), start.W_star / np.sqrt(d)
    dt = gamma / (p * d)
    x = rng.standard_normal((count, d))
    fields, activation = x @ A.T, tl.activations.get(name)
    error = activation.sigma(x @ B.T).mean(1) - activation.sigma(fields).mean(1)
    error += np.sqrt(0.1) * rng.standard_normal(count)
    step = (dt * r * activation.derivative(fields) * error[:, None])[:, :, None] * x[:, None, :]

    def moved(rows):
        return (np.einsum("nia,nja->nij", rows, rows) - A @ A.T) / dt

    def drift(rule):
        flow = Flow(task, start.overlaps(), "full", lambda t: gamma, d=d, rule=rule)
        return flow.unpack(flow.derivative(0.0, flow.start))[0]

    shrunk = moved((1 - dt * decay * r)[:, None] * A + step)
    found = drift(UpdateRule(decay, False, r))
    spread = shrunk.std(0) / np.sqrt(count)
    assert (np.abs(shrunk.mean(0) - found) < 5 * spread).all()
    first = decay * (r[:, None] + r) * (A @ A.T)
    beyond = shrunk - (moved(A + step) - first)
    expected = found - (drift(rule_of(neuron_rates=r, p=2)) - first)
    spread = beyond.std(0) / np.sqrt(count)
    assert (np.abs(beyond.mean(0) - expected) < 5 * spread).all()
    assert (np.abs(expected) > 20 * spread).any()


@pytest.mark.parametrize("name", ["erf", "square"])
@pytest.mark.parametrize(
    ("rule", "batch", "eta"),
    [*((rule, 1, 0.0) for rule in RULES), ("all", 3, 0.4), ("free", 3, 0.4)],
)
def test_sgd_follows_the_flow(name, rule, batch, eta):
    """The mean of 40 runs at d = 10⁴ within its error of the flow, and a bias of 20/d.

    Q, M and a at two times: about 30 numbers, Bonferroni, a false alarm of 1e-4 for each case.
    """
    d, runs = 10_000, 40
    ov, task = overlaps(seed=3), tl.Task(name, noise=0.3)
    rate = 1.5 if name == "erf" else 0.4
    how = RULES[rule] | {"learning_rate": rate, "batch": batch, "second_layer_rate": eta}
    t = np.array([0.2, 0.6])
    sgd = tl.simulate(task, ov, d=d, t_eval=t, runs=runs, seed=8, **how)
    ode = tl.solve(task, ov, t_eval=sgd.t, **how)
    count = 2 * (6 + 6 + 3)
    for name_of in ("Q", "M", "a"):
        found, expected = getattr(sgd, name_of), getattr(ode, name_of)
        error = found.std(0, ddof=1) / np.sqrt(runs)
        allowed = normal.isf(0.5e-4 / count) * error + 20 / d
        assert (np.abs(found.mean(0) - expected) < allowed).all(), name_of


@pytest.mark.parametrize("terms", ["gradient-flow", "full"])
@pytest.mark.parametrize("method", ["LSODA", "DOP853"])
def test_what_changes_nothing_changes_no_bit(terms, method):
    ov = tl.Weights.gaussian(p=6, k=1, d=2, seed=0).overlaps()
    how = {"terms": terms, "learning_rate": 0.3, "t_eval": [0.0, 1.0, 5.0], "method": method}
    task = tl.Task("erf", noise=0.1)
    plain = tl.solve(task, ov, **how)
    same = tl.solve(task, ov, weight_decay=0, norm="free", neuron_rates=[1] * 6, **how)
    assert plain == same


def test_frozen_students_stay():
    ov = overlaps()
    sol = tl.solve(
        tl.Task("erf", noise=0.1),
        ov,
        learning_rate=0.5,
        weight_decay=0.3,
        neuron_rates=[0, 1, 0],
        t_eval=[0.0, 5.0],
    )
    assert (sol.M[-1, [0, 2]] == ov.M[[0, 2]]).all()
    assert (sol.Q[-1][np.ix_([0, 2], [0, 2])] == ov.Q[np.ix_([0, 2], [0, 2])]).all()
    assert (sol.M[-1, 1] != ov.M[1]).all()


def test_the_crossing_follows_the_same_rule():
    """`time_to` solves once more between recorded times, with all that the result was made with."""
    task, ov = tl.Task("erf", noise=0.1), overlaps()
    for rule in RULES.values():
        sol = tl.solve(task, ov, learning_rate=0.5, t_eval=[0.0, 2.0], **rule)
        low = sol.risk.min() + 0.5 * np.ptp(sol.risk)
        when = sol.time_to(low)
        there = tl.solve(task, ov, learning_rate=0.5, t_eval=[when], **rule)
        assert there.risk[0] == pytest.approx(low, rel=1e-9)


def test_steps_and_their_dimension():
    """By steps d says their times, and with fixed norms no more; alone it is refused."""
    task, ov = tl.Task("erf", noise=0.1), overlaps()
    how = {"learning_rate": 0.5, "norm": "fixed"}
    by_steps = tl.solve(task, ov, steps=[0, 100], d=50, **how)
    by_times = tl.solve(task, ov, t_eval=[0.0, 100 * 0.5 / 150], **how)
    np.testing.assert_allclose(by_steps.Q, by_times.Q, rtol=1e-12)
    with pytest.raises(tl.InvalidInput, match=r"^d: got 50; .* where norms are fixed"):
        tl.solve(task, ov, t_eval=[1.0], d=50, **how)


def test_it_is_the_solution_of_its_own_derivative():
    """Against SciPy's integrator of the drift by loops."""
    ov, rule = overlaps(layers=False), rule_of(**RULES["all"])
    flow = Flow(tl.Task("erf", noise=0.2), ov, "full", lambda t: 0.7, rule=rule)

    def derivative(_, y):
        Q, M = flow.unknowns.unpack(y)
        at = tl.Overlaps(Q, M, ov.P)
        return flow.unknowns.pack(*by_loops("erf", at, 0.7, 0.2, rule))

    plain = solve_ivp(derivative, (0, 1), flow.start, rtol=1e-6, atol=1e-8).y[:, -1]
    task = tl.Task("erf", noise=0.2)
    sol = tl.solve(task, ov, learning_rate=0.7, t_eval=[1.0], **RULES["all"])
    found = flow.unknowns.pack(sol.Q[0], sol.M[0])
    np.testing.assert_allclose(found, plain, rtol=1e-5, atol=1e-6)
