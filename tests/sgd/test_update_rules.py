"""Weight decay, fixed norms and rates of each student's own, in the simulator."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import trials
from scipy.special import erf

import twolayer as tl
from twolayer.activations.machine_code import machine_code
from twolayer.problem.update import UpdateRule
from twolayer.sgd import blocks as loops
from twolayer.sgd.draws import Draws
from twolayer.sgd.planning import Asked, make_plan
from twolayer.sgd.run import Workspace
from twolayer.sgd.state import begin

SIGMA = {
    "erf": lambda x: erf(x / np.sqrt(2)),
    "square": lambda x: x * x,
    "relu": lambda x: np.maximum(x, 0.0),
    "tanh": np.tanh,
}
SLOPE = {
    "erf": lambda x: np.sqrt(2 / np.pi) * np.exp(-x * x / 2),
    "square": lambda x: 2 * x,
    "relu": lambda x: (x > 0).astype(float),
    "tanh": lambda x: 1 - np.tanh(x) ** 2,
}
NOISE = 0.1
#: x² runs away from larger steps.
RATE = dict.fromkeys(SIGMA, 0.3) | {"square": 0.04}


def one_step(name, A, targets, a, a_star, samples, noises, size, eta, rule):
    """The textbook step of A = W/√d on a batch of √d x; `size` is γ/(p d), `eta` η/(p d)."""
    decay, fixed, r = rule
    added, moved = np.zeros_like(A), np.zeros_like(a)
    for x, z in zip(samples, noises, strict=True):
        fields = A @ x
        y = a_star @ SIGMA[name](targets @ x) / len(targets) + z
        error = y - a @ SIGMA[name](fields) / len(A)
        added += error * np.outer(a * SLOPE[name](fields), x) / len(samples)
        moved += error * SIGMA[name](fields) / len(samples)
    after = (1 - size * decay * r)[:, None] * A + size * r[:, None] * added
    if fixed:
        norms = np.linalg.norm(A, axis=1) / np.linalg.norm(after, axis=1)
        after *= norms[:, None]
    return after, a + eta * moved


def start_of(p, k, d, seed=1):
    drawn = tl.Weights.gaussian(p=p, k=k, d=d, seed=seed)
    rng = np.random.default_rng(seed)
    a, a_star = rng.uniform(0.5, 1.5, p), rng.uniform(0.5, 1.5, k)
    return tl.Weights(0.7 * drawn.W, drawn.W_star, a, a_star)


def rule_of(decay, norm, p, own=True):
    r = np.linspace(0, 2, p) if own and p > 1 else np.ones(p)
    return {"weight_decay": decay, "norm": norm, "neuron_rates": r}, (decay, norm == "fixed", r)


RULES = [(0.8, "free", False), (0.0, "fixed", False), (0.0, "free", True), (0.8, "fixed", True)]


@pytest.mark.parametrize("name", SIGMA)
@pytest.mark.parametrize(("decay", "norm", "own"), RULES)
@pytest.mark.parametrize(("p", "k", "d", "batch", "eta"), [(3, 2, 9, 1, 0.7), (4, 1, 30, 5, 0.0)])
def test_simulate_is_sample_by_sample(name, decay, norm, own, p, k, d, batch, eta):
    """Direct, on the same random numbers, to 1e-11, with a schedule that halves at a step."""
    start, (asked, rule) = start_of(p, k, d), rule_of(decay, norm, p, own)
    steps = np.array([0, 1, 2, 7, 15, 16, 17, 31, 33, 100])
    gamma = RATE[name]
    rate = tl.schedules.piecewise({0: gamma, 20: gamma / 2}, in_="steps")
    run = tl.simulate(
        *(tl.Task(name, noise=NOISE), start),
        **{"learning_rate": rate, "steps": steps, "second_layer_rate": eta, "batch": batch},
        **{"seed": 5, "method": "direct"},
        **asked,
    )
    block = run.provenance["block"]
    draws, samples, noises = Draws(5, 0, block, d, 0), [], []
    while len(samples) < batch * steps[-1]:
        normals = draws.blocks(1)[0][0]
        samples.extend(normals[:-block].reshape(block, d).copy())
        noises.extend(np.sqrt(NOISE) * normals[-block:])
    A, targets, a = start.W / np.sqrt(d), start.W_star / np.sqrt(d), start.a
    for step in range(steps[-1] + 1):
        for n in np.flatnonzero(steps == step):
            np.testing.assert_allclose(run.Q[0, n], A @ A.T, rtol=1e-11, atol=1e-13)
            np.testing.assert_allclose(run.M[0, n], A @ targets.T, rtol=1e-11, atol=1e-13)
            np.testing.assert_allclose(run.a[0, n], a, rtol=1e-11, atol=1e-13)
        some = slice(step * batch, (step + 1) * batch)
        size, moves = (each / (p * d) for each in (gamma if step < 20 else gamma / 2, eta))
        batch_of = samples[some], noises[some]
        if step < steps[-1]:
            A, a = one_step(name, A, targets, a, start.a_star, *batch_of, size, moves, rule)


@pytest.mark.parametrize("name", SIGMA)
@pytest.mark.parametrize("mine", [False, True])
@pytest.mark.parametrize(("decay", "norm", "own"), RULES[1:])
@pytest.mark.parametrize(
    ("p", "k", "d", "batch"), [(3, 2, 60, 1), (3, 2, 80, 4), (2, 1, 60, 40), (1, 1, 40, 1)]
)
def test_projected_is_sample_by_sample_in_a_larger_space(
    name, mine, decay, norm, own, p, k, d, batch
):
    follow(name, mine, rule_of(decay, norm, p, own)[1], p, k, d, batch, blocks=4)


@pytest.mark.parametrize(("norm", "batch", "mine"), [("fixed", 1, False), ("fixed", 136, True)])
def test_many_students(norm, batch, mine):
    """From p = 128 on the rotation is LAPACK's."""
    follow("erf", mine, rule_of(0.8, norm, 130)[1], 130, 1, 300, batch, blocks=2)


def test_machine_code_of_ones_own(monkeypatch):
    """From the first sample on, in the loop of the known activations."""
    monkeypatch.setattr(loops, "BY_NUMPY", 0)
    assert machine_code(tl.Activation.of(SIGMA["square"], SLOPE["square"])) is not None
    follow("square", True, rule_of(0.8, "fixed", 3)[1], 3, 2, 60, 2, blocks=3)


def follow(name, mine, rule, p, k, d, batch, blocks):
    """Projected, to 1e-11, in a space that gains fresh axes a block, compiled and by NumPy.

    Of a batch that fills its block only the sum outside the span is drawn, Rᵀ T with steps C = Q R:
    that of samples with the rows of Q T there.
    """
    start = start_of(p, k, d)
    activation = tl.Activation.of(SIGMA[name], SLOPE[name], kinks=(0.0,) if name == "relu" else ())
    task = tl.Task(activation if mine else name, noise=NOISE)
    asked = Asked(task, start, d, RATE[name], np.array([1e3]), 5, "projected", "overlaps")
    asked = replace(asked, second_layer_rate=0.7, batch=batch, rule=UpdateRule(*rule))
    plan, _ = make_plan(asked)
    state, _ = begin(plan, 0)
    space, n, gram = Workspace(plan, state), p + k, plan.gram
    draws = Draws(5, 0, plan.block, plan.drawn, plan.freedom, gram)
    basis, B, per = np.eye(n, n + gram * blocks), plan.block, RATE[name] / (p * d)
    A, targets = state.students[:, :n] @ basis, plan.targets[:, :n] @ basis
    a, eta = start.a.copy(), 0.7 / (p * d)
    for b in range(blocks):
        normals, radii = (each[0].copy() for each in draws.blocks(1))
        noises, axes = np.sqrt(NOISE) * normals[-B:], np.eye(gram, basis.shape[1], n + b * gram)
        assert space.advance(1, absorb_last=False) == (0, B)
        room = space._room
        alone = not room.X.size
        inside = normals[: B * n].reshape(B, n) if alone else room.X[:, :n].copy()
        samples = inside @ basis
        if alone:
            errors = [
                start.a_star @ SIGMA[name](targets @ x) / k + z - a @ SIGMA[name](A @ x) / p
                for x, z in zip(samples, noises, strict=True)
            ]
            slopes = SLOPE[name](samples @ A.T)
            C = per / batch * np.array(errors)[:, None] * slopes * a * rule[2]
            factor = np.diag(radii)
            factor[np.tril_indices(gram, -1)] = normals[B * n : -B]
            samples = samples + np.linalg.qr(C)[0] @ factor @ axes
        else:
            samples = samples + room.X[:, n:] @ axes
        within = (
            {}
            if alone
            else dict(
                zip(range(batch, B, batch), space.inside(np.arange(batch, B, batch)), strict=True)
            )
        )
        for first in range(0, B, batch):
            if first in within:
                same(within[first], A, targets, a)
            batch_of = samples[first:][:batch], noises[first:][:batch]
            A, a = one_step(name, A, targets, a, start.a_star, *batch_of, per, eta, rule)
        space.absorb()
        state.block += 1
        same((*space.overlaps(), state.a), A, targets, a)
        assert not state.students[:, n:].any()
        if b + 1 < blocks:
            held = np.concatenate((plan.targets, state.students))[:, :n]
            basis = np.linalg.solve(held, np.concatenate((targets, A)))
            np.testing.assert_allclose(basis @ basis.T, np.eye(n), atol=1e-8)


def same(state, A, targets, a):
    Q, M, layer = state
    np.testing.assert_allclose(Q, A @ A.T, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(M, A @ targets.T, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(layer, a, rtol=1e-11, atol=1e-12)


TASK, START = tl.Task("erf", noise=NOISE), start_of(3, 2, 60)
RULE = {"weight_decay": 0.5, "norm": "fixed", "neuron_rates": [1.0, 0.0, 2.0]}
METHODS = pytest.mark.parametrize("method", ["direct", "projected"])
BATCHES = pytest.mark.parametrize("batch", [1, 3, 40])
HOW = {"learning_rate": 0.5, "seed": 4}


@METHODS
@BATCHES
def test_what_changes_nothing_changes_no_bit(method, batch):
    how = HOW | {"method": method, "batch": batch, "t_eval": [0.0, 0.011, 1.0]}
    plain = tl.simulate(TASK, START, **how)
    same = tl.simulate(TASK, START, weight_decay=0, norm="free", neuron_rates=(1, 1, 1), **how)
    assert plain == same
    assert plain.parameters["neuron_rates"] is None


@METHODS
@BATCHES
def test_bits_do_not_depend_on_what_is_recorded_or_where(method, batch):
    how = HOW | RULE | {"method": method, "batch": batch, "runs": 2}
    whole = tl.simulate(TASK, START, t_eval=[0.0, 0.01, 0.03, 0.5, 1.0], **how)
    few = tl.simulate(TASK, START, t_eval=[0.03, 1.0], **how)
    norms = tl.simulate(TASK, START, t_eval=[0.03, 1.0], record="norms", **how)
    with ThreadPoolExecutor(2) as pool:
        there = tl.simulate(TASK, START, t_eval=[0.03, 1.0], executor=pool, **how)
    assert (whole.Q[:, [2, 4]] == few.Q).all()
    assert (np.diagonal(few.Q, axis1=2, axis2=3) == norms.Q).all()
    assert trials.same_bits(there, few)


@METHODS
@BATCHES
def test_checkpoints(tmp_path, method, batch):
    """Later times go on bit for bit; another rule is refused and named."""
    how = HOW | RULE | {"method": method, "batch": batch}
    whole = tl.simulate(TASK, START, t_eval=[0.4, 1.0], **how)
    tl.simulate(TASK, START, t_eval=[0.4], checkpoint=tmp_path, **how)
    again = tl.simulate(TASK, START, t_eval=[0.4, 1.0], checkpoint=tmp_path, **how)
    assert trials.same_bits(again, whole)
    for name, other in (("weight_decay", 0.4), ("norm", "free"), ("neuron_rates", [1, 1, 2])):
        with pytest.raises(tl.InvalidInput, match=rf"^checkpoint: .*{name}=.*{name}="):
            tl.simulate(TASK, START, t_eval=[1.0], checkpoint=tmp_path, **how | {name: other})


@METHODS
def test_going_on_from_a_result(method):
    """From the norms that it ends with; what was asked of it is not asked again."""
    how = HOW | {"method": method, "runs": 2}
    first = tl.simulate(TASK, START, t_eval=[0.5], **how)
    then = tl.simulate(TASK, first, t_eval=[0.5, 2.0], norm="fixed", **how)
    norms = np.diagonal(then.Q, axis1=2, axis2=3)
    np.testing.assert_allclose(norms, norms[:, :1].repeat(2, 1), rtol=1e-12)
    np.testing.assert_allclose(
        norms[:, 0], np.diagonal(first.Q[:, -1], axis1=1, axis2=2), rtol=1e-9
    )
    free = tl.simulate(TASK, then, t_eval=[3.0], **how)
    assert free.parameters["norm"] == "free"
    assert (np.abs(np.diagonal(free.Q[:, 0], axis1=1, axis2=2) - norms[:, 1]) > 1e-4).all()


@METHODS
@BATCHES
def test_norms_stay_for_long_and_frozen_students_for_good(method, batch):
    run = tl.simulate(TASK, START, t_eval=[0.0, 50.0], method=method, batch=batch, **HOW | RULE)
    norms = np.diagonal(run.Q[0], axis1=1, axis2=2)
    np.testing.assert_allclose(norms[1], norms[0], rtol=1e-12)
    frozen = run.M[0, :, 1]
    np.testing.assert_allclose(frozen[1], frozen[0], rtol=0 if method == "direct" else 1e-11)
    assert (np.abs(run.M[0, 1, [0, 2]] - run.M[0, 0, [0, 2]]) > 1e-3).all()


def test_a_frozen_first_layer_trains_the_second_alone():
    """Random features: with all rates 0 the overlaps stay and a moves, as in the ODE."""
    how = {"learning_rate": 0.5, "second_layer_rate": 2.0, "neuron_rates": [0, 0, 0]}
    run = tl.simulate(TASK, START, t_eval=[0.0, 30.0], seed=1, **how)
    sol = tl.solve(TASK, START.overlaps(), t_eval=[0.0, 30.0], **how)
    assert (run.Q[0, 1] == run.Q[0, 0]).all()
    assert (sol.Q[1] == sol.Q[0]).all()
    assert (np.abs(sol.a[1] - sol.a[0]) > 1e-2).any()
    assert sol.excess_risk[1] < sol.excess_risk[0]


@METHODS
def test_results_keep_the_rule_in_files_and_in_sweeps(tmp_path, method):
    how = HOW | RULE | {"method": method}
    run = tl.simulate(TASK, START, t_eval=[0.0, 0.5], **how)
    assert {name: run.parameters[name] for name in RULE} == RULE
    assert tl.Trajectory.load(run.save(tmp_path / "run.nc")) == run
    swept = tl.sweep(
        tl.simulate,
        *(TASK, START),
        over={"weight_decay": [0.0, 0.5], "slow": [0.0, 2.0]},
        neuron_rates=lambda slow: [1.0, slow, 1.0],
        t_eval=[0.0, 0.5],
        **HOW | {"method": method},
    )
    one = tl.simulate(
        TASK,
        START,
        weight_decay=0.5,
        neuron_rates=[1, 2, 1],
        t_eval=[0.0, 0.5],
        **HOW,
        method=method,
    )
    assert (swept.Q.sel(weight_decay=0.5, slow=2.0).values == one.Q).all()


OVERLAPS = START.overlaps()
SOLVERS = pytest.mark.parametrize(
    "call",
    [
        lambda **how: tl.simulate(TASK, START, t_eval=[0.0, 1.0], learning_rate=0.5, **how),
        lambda **how: tl.solve(TASK, OVERLAPS, t_eval=[0.0, 1.0], learning_rate=0.5, **how),
    ],
    ids=["simulate", "solve"],
)


@SOLVERS
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("weight_decay", bad) for bad in (-0.1, np.nan, np.inf, 1j, None, "x", [0.1, 0.2], 1e10)),
        *(("norm", bad) for bad in ("sphere", None, True, 1, ["fixed"])),
        *(
            ("neuron_rates", bad)
            for bad in (
                *([1, 1], [[1, 1, 1]], [1, -0.1, 1], [1, np.nan, 1], [1, np.inf, 1], [1, 1j, 1]),
                *(2.0, "abc", ["a", "b", "c"], [1, None, 1], [1, 1e10, 1], [], [True, False, True]),
            )
        ),
    ],
    ids=str,
)
def test_bad_rules_are_refused(call, name, value, monkeypatch):
    monkeypatch.setattr("twolayer.sgd.simulator.run", None)  # before any work
    monkeypatch.setattr("twolayer.flow.vector_field.flow_at_any_rate", None)
    with pytest.raises(tl.InvalidInput, match=f"^{name}: got "):
        call(**{name: value})


def test_a_student_without_a_norm_has_none_to_keep():
    W = np.array(START.W)
    W[1] = 0.0
    zero = tl.Weights(W, START.W_star)
    with pytest.raises(tl.InvalidInput, match=r"^norm: got 'fixed', and student 1 is zero"):
        tl.simulate(TASK, zero, learning_rate=0.5, t_eval=[1.0], norm="fixed")
    with pytest.raises(tl.InvalidInput, match=r"^norm: got 'fixed', and student 1 is zero"):
        tl.solve(TASK, zero.overlaps(), learning_rate=0.5, t_eval=[1.0], norm="fixed")


@pytest.mark.parametrize(
    "rate",
    [
        0.5,
        lambda t: 0.5 if t > 0.01 else 0.01,
        tl.schedules.warmup(0.5, 10, in_="steps"),
        tl.schedules.piecewise({0: 0.1, 0.05: 0.5, 0.1: 0.1}),
    ],
)
def test_a_decay_of_more_than_half_a_weight_a_step_is_refused(rate):
    """By the largest rate that there is: p d/(2 γ max r) = 3·60/(2·0.5·2) = 90."""
    how = {"learning_rate": rate, "t_eval": [0.2], "neuron_rates": [1, 2, 0]}
    tl.simulate(TASK, START, weight_decay=89.9, **how)
    with pytest.raises(tl.InvalidInput, match=r"^weight_decay: got 90.1; .* at most 90"):
        tl.simulate(TASK, START, weight_decay=90.1, **how)


def test_the_largest_decay_in_a_long_block():
    """Half of a weight at every step, of 128 samples a block: exact all the same."""
    start, task = start_of(130, 1, 300), tl.Task("erf", noise=NOISE)
    follow("erf", False, (0.5 * 130 * 300 / 0.3, False, np.ones(130)), 130, 1, 300, 1, blocks=1)
    most = 0.5 * 130 * 300 / 0.3
    run = tl.simulate(
        task, start, learning_rate=0.3, weight_decay=most, steps=[500], method="direct"
    )
    assert np.isfinite(run.Q).all()
