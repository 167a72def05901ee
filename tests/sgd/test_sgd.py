"""The simulator against sample-by-sample SGD, against itself, and against the ODE."""

import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import numpy as np
import pytest
import reference
import trials
from scipy.stats import ks_2samp, norm

import twolayer as tl
from twolayer.kernels import sgd as kernels
from twolayer.sgd import elsewhere
from twolayer.sgd import run as chain
from twolayer.sgd import simulator as sgd_module
from twolayer.sgd.draws import Draws
from twolayer.sgd.planning import Asked, make_plan

NAMES = ["erf", "square"]
NOISE, LEARNING_RATE = 0.04, 0.5
#: x² blows up at rates at which erf is at ease, the sooner the smaller d is.
GENTLE = {"erf": LEARNING_RATE, "square": 0.05}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("p", "k", "d"), [(1, 1, 1), (3, 2, 9), (5, 2, 40), (70, 3, 12)])
def test_blocks_are_sample_by_sample_sgd(name, p, k, d):
    """The direct method on the same random numbers as the textbook step: 1e-12 after 200 steps."""
    start = tl.Weights.gaussian(p=p, k=k, d=d, seed=1, orthonormal_target=d >= k)
    task = tl.Task(name, noise=NOISE)
    record = np.array([0, 1, 2, 15, 16, 17, 63, 64, 100, 200])
    rate = GENTLE[name] * min(1, d / 9)  # on a line the square runs away from a large step
    dt = rate / (p * d)
    run = tl.simulate(task, start, learning_rate=rate, t_eval=record * dt, seed=5, method="direct")
    block = run.provenance["block"]
    draws = Draws(5, 0, block, d, 0)
    W = start.W
    for step in range(record[-1] + 1):
        for n in np.flatnonzero(record == step):
            ov = tl.Weights(W, start.W_star).overlaps()
            np.testing.assert_allclose(run.Q[0, n], ov.Q, rtol=1e-12, atol=1e-13)
            np.testing.assert_allclose(run.M[0, n], ov.M, rtol=1e-12, atol=1e-13)
            assert run.excess_risk[0, n] == pytest.approx(tl.excess_risk(task, ov), abs=1e-13)
        if step % block == 0:
            normals = draws.blocks(1)[0][0]
            samples = normals[:-block].reshape(block, d) / np.sqrt(d)
            noise = np.sqrt(NOISE) * normals[-block:]
        x, z = samples[step % block], noise[step % block]
        W = reference.sgd_step(name, W, start.W_star, x, z, rate)
    np.testing.assert_allclose(run.t, record * dt)


@pytest.mark.parametrize("name", NAMES)
def test_projection_is_sample_by_sample_sgd_in_a_larger_space(name):
    """Follow the projected method in a space that gains B fresh axes a block: 1e-10 after 5 blocks.

    The reference keeps all axes and never rotates.  The projected coordinates of its weights
    define the directions that the next block's in-span components refer to.
    """
    p, k, block, d = 4, 2, 6, 40
    n, blocks = p + k, 5
    rng = np.random.default_rng(3)
    width, total = n + block, n + block * blocks
    rows = np.tril(rng.standard_normal((n, n))) + 2 * np.eye(n)
    targets, students = np.zeros((k, width)), np.zeros((p, width))
    targets[:, :n], students[:, :n] = rows[:k], rows[k:]
    basis = np.eye(n, total)
    W = np.concatenate((targets, students))[:, :n] @ basis * np.sqrt(d)
    X, C = np.empty((block, width)), np.empty((block, p))
    room = np.empty((block, block)), np.empty((block, p))
    code, rate = tl.activations.get(name).code, 0.05 / (p * d)
    draws = Draws(0, 0, block, n, d - n)
    for b in range(blocks):
        normals, radii = draws.blocks(1)
        task = tl.Task(name, noise=0.04)
        labels = chain.labels(task, targets, np.ones(k), normals, block, n)
        samples = kernels.Samples(normals, radii, labels, np.full((1, len(labels[0])), rate))
        unscaled = kernels.Scales(*np.empty((4, 0)), np.empty((0, 0)))
        space = kernels.Room(students, np.ones(p), X, C, np.empty((0, p)), *room, unscaled)
        nothing = kernels.Multiples(np.empty(0), np.empty(0), 0.0)
        rules = kernels.Rules(k, 1, 0.0, True, code, nothing)
        assert kernels.advance(samples, space, rules, False) == (0, block)
        noise = 0.2 * normals[0, -block:]
        new_axes = np.eye(block, total, n + b * block)
        for x, z in zip(X[:, :n] @ basis + X[:, n:] @ new_axes, noise, strict=True):
            W[k:] = reference.sgd_step(name, W[k:], W[:k], x / np.sqrt(d), z, 0.05)
        kernels.absorb(space, rules)
        held = np.concatenate((targets, students))
        assert not students[:, n:].any()
        np.testing.assert_allclose(held @ held.T, W @ W.T / d, rtol=1e-10, atol=1e-12)
        basis = np.linalg.solve(held[:, :n], W / np.sqrt(d))
        np.testing.assert_allclose(basis @ basis.T, np.eye(n), atol=1e-9)


def test_the_wishart_factor_has_the_right_law():
    """Gram matrices of what `place` writes against those of vectors in R^40, entry by entry.

    Two-sample Kolmogorov-Smirnov on six entries; Bonferroni, total false-alarm rate 1e-4.
    """
    d, block, runs, n = 40, 3, 4000, 2
    rng = np.random.default_rng(7)
    X = np.empty((block, n + block))
    drawn = []
    for normals, radii in zip(*Draws(7, 0, block, n, d - n).blocks(runs), strict=True):
        kernels.place(normals, radii, X, True)
        drawn.append(X @ X.T)
    plain = rng.standard_normal((runs, block, d))
    plain = plain @ plain.swapaxes(1, 2)
    drawn = np.array(drawn)
    pairs = zip(*np.triu_indices(block), strict=True)
    p_values = [ks_2samp(drawn[:, i, j], plain[:, i, j]).pvalue for i, j in pairs]
    assert min(p_values) > 1e-4 / len(p_values)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("p", "k", "d", "batch"), [(2, 1, 11, 1), (3, 2, 60, 1), (3, 2, 40, 33)])
def test_projected_and_direct_have_the_same_law(name, p, k, d, batch):
    """At d = 11 finite-d effects are large; both methods must share them.

    A batch that fills its block has a way of its own, here with a second layer that learns.

    Two-sample Kolmogorov-Smirnov, 600 runs each (300 of batches), on the risk, a diagonal and an
    off-diagonal entry of Q and an entry of M at two times, and on a function of the whole
    path.  Bonferroni over the nine: a false alarm has probability 1e-4 for each case.
    """
    task = tl.Task(name, noise=NOISE)
    start = tl.Weights.gaussian(p=p, k=k, d=d, seed=2)
    statistics = []
    for method, seed in (("direct", 0), ("projected", 1)):
        run = tl.simulate(
            task,
            start,
            learning_rate=(1.6 if batch == 1 else 8.0) * GENTLE[name],
            second_layer_rate=0.0 if batch == 1 else 0.1,
            batch=batch,
            t_eval=np.array([0.5, 2.0, 3.0]) / (1 if batch == 1 else 4),
            runs=600 if batch == 1 else 300,
            seed=seed,
            method=method,
        )
        assert run.provenance["method"] == method
        assert batch == 1 or run.provenance["block"] == batch
        statistics.append(
            [run.excess_risk[:, n] for n in (0, 1)]
            + [run.Q[:, n, 0, 0] for n in (0, 1)]
            + [run.Q[:, n, 0, 1] for n in (0, 1)]
            + [run.M[:, n, 0, 0] for n in (0, 1)]
            + [run.Q[:, 2, 0, 0] - run.Q[:, 0, 0, 0]]
        )
    p_values = [ks_2samp(a, b).pvalue for a, b in zip(*statistics, strict=True)]
    assert min(p_values) > 1e-4 / len(p_values)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["direct", "projected"])
def test_mean_and_spread_at_d_60_against_the_textbook(name, method):
    """200 runs against 200 of vectorised sample-by-sample SGD.

    Means by a z-test, spreads by the z-test of log variances (with the sample kurtosis);
    two-sided, false-alarm rate 1e-5 each.
    """
    p, k, d, steps, runs = 4, 2, 60, 600, 200
    start = tl.Weights.gaussian(p=p, k=k, d=d, seed=9)
    task, activation = tl.Task(name, noise=NOISE), tl.activations.get(name)
    rng = np.random.default_rng(11)
    W = np.repeat(start.W[None], runs, axis=0)
    for _ in range(steps):
        x = rng.standard_normal((runs, d)) / np.sqrt(d)
        fields = np.einsum("rpd,rd->rp", W, x)
        error = activation.sigma(x @ start.W_star.T).mean(1) - activation.sigma(fields).mean(1)
        error += np.sqrt(NOISE) * rng.standard_normal(runs)
        W += (
            LEARNING_RATE
            / p
            * (activation.derivative(fields) * error[:, None])[:, :, None]
            * x[:, None, :]
        )
    textbook = np.array([tl.excess_risk(task, tl.Weights(w, start.W_star).overlaps()) for w in W])
    ours = tl.simulate(
        task,
        start,
        learning_rate=LEARNING_RATE,
        t_eval=[steps * LEARNING_RATE / (p * d)],
        runs=runs,
        seed=4,
        method=method,
    ).excess_risk[:, -1]
    z_max = norm.isf(0.5e-5)
    z_mean = (ours.mean() - textbook.mean()) / np.sqrt((ours.var() + textbook.var()) / runs)
    assert abs(z_mean) < z_max

    def log_variance(sample):
        centred = sample - sample.mean()
        kurtosis = (centred**4).mean() / (centred**2).mean() ** 2
        return np.log(sample.var()), (kurtosis - 1) / runs

    (a, va), (b, vb) = log_variance(ours), log_variance(textbook)
    assert abs(a - b) / np.sqrt(va + vb) < z_max


@pytest.mark.parametrize("name", NAMES)
def test_sgd_follows_the_full_ode_and_only_that(name):
    """At d = 10⁵ the mean risk of 40 runs lies on the full ODE, γ = 1, and far from gradient flow.

    z-test at each of three times with an allowance of γ/(pd) for the bias of the mean;
    two-sided, false-alarm rate 1e-5 in all.
    """
    p, k, d, rate = 3, 2, 10**5, 1.0
    start = tl.Weights.gaussian(p=p, k=k, d=30, seed=0).overlaps()
    task, t = tl.Task(name, noise=NOISE), [0.02, 0.05, 0.1]
    run = tl.simulate(task, start, d=d, learning_rate=rate, t_eval=t, runs=40, seed=0)
    assert run.provenance["method"] == "projected"
    mean, spread = run.excess_risk.mean(0), run.excess_risk.std(0, ddof=1) / np.sqrt(40)
    full = tl.solve(task, start, learning_rate=rate, t_eval=run.t).excess_risk
    flow = tl.solve(task, start, terms="gradient-flow", t_eval=run.t).excess_risk
    z_max = norm.isf(1e-5 / 6)
    assert (np.abs(mean - full) < z_max * spread + rate / (p * d)).all()
    assert (np.abs(mean - flow)[-1] > 5 * z_max * spread[-1]).all()


@pytest.mark.parametrize("method", ["direct", "projected"])
def test_a_run_depends_on_its_seed_and_number_alone(method):
    task, start = tl.Task("erf", noise=NOISE), tl.Weights.gaussian(p=3, k=2, d=30, seed=0)
    common = {"learning_rate": LEARNING_RATE, "seed": 7, "method": method}
    t = np.array([0.0, 0.1, 0.37, 1.0])
    eight = tl.simulate(task, start, t_eval=t, runs=8, **common)
    hundred = tl.simulate(task, start, t_eval=t, runs=100, **common)
    np.testing.assert_array_equal(eight.Q, hundred.Q[:8])
    np.testing.assert_array_equal(eight.excess_risk, hundred.excess_risk[:8])
    # Recording more often, or longer, changes nothing at the times in common.
    dense = np.union1d(np.linspace(0, 1.5, 400), t)
    more = tl.simulate(task, start, t_eval=dense, runs=2, **common)
    np.testing.assert_array_equal(more.Q[:, np.searchsorted(more.steps, eight.steps)], eight.Q[:2])
    other = tl.simulate(task, start, t_eval=t, runs=2, **common | {"seed": 8})
    assert not np.array_equal(other.Q, eight.Q[:2])


@pytest.mark.parametrize("pool", ["threads", "processes"])
def test_executors_change_nothing(pool):
    task, start = tl.Task("square"), tl.Weights.gaussian(p=3, k=2, d=30, seed=0)
    common = {"learning_rate": 0.2, "t_eval": [0.1, 1.0], "runs": 4}
    alone = tl.simulate(task, start, **common)
    executor = (
        ThreadPoolExecutor(2)
        if pool == "threads"
        else ProcessPoolExecutor(2, mp_context=get_context("spawn"))
    )
    with executor:
        spread = tl.simulate(task, start, executor=executor, **common)
    np.testing.assert_array_equal(alone.Q, spread.Q)
    np.testing.assert_array_equal(alone.excess_risk, spread.excess_risk)


def test_a_lambda_cannot_be_sent_to_other_processes(monkeypatch):
    start = tl.Weights.gaussian(p=2, k=1, d=10, seed=0)
    settings = {"learning_rate": 0.1, "t_eval": [0.1], "runs": 2, "progress": False}
    own = lambda x: x**3  # noqa: E731
    for task in (tl.Task(own), tl.Task("erf", own)):
        with ThreadPoolExecutor(2) as executor:
            assert tl.simulate(task, start, executor=executor, **settings).risk.shape == (2, 1)
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
            monkeypatch.setattr(executor, "submit", lambda *_: pytest.fail("work began"))
            with pytest.raises(tl.InvalidInput, match="functions defined in a module") as caught:
                tl.simulate(task, start, executor=executor, **settings)
        assert caught.value.argument == "task"


def test_times_are_those_of_whole_steps():
    start = tl.Weights.gaussian(p=2, k=1, d=10, seed=0)
    dt = 0.1 / 20
    run = tl.simulate(tl.Task("erf"), start, learning_rate=0.1, t_eval=[0, 0.0049, 0.0051, 0.013])
    np.testing.assert_array_equal(run.steps, [0, 1, 3])  # each once
    np.testing.assert_allclose(run.t, run.steps * dt)
    assert run.Q.shape[1] == 3


@pytest.mark.parametrize(
    ("p", "k", "d", "method"),
    [
        (10, 5, 5, "direct"),
        (10, 5, 10**6, "projected"),
        (10, 5, 10**12, "projected"),
        (40, 2, 41, "direct"),
    ],
)
def test_auto_takes_the_cheaper_method_and_says_why(p, k, d, method):
    ov = tl.Weights.in_target_span(p=p, k=k, d=k).overlaps()
    run = tl.simulate(tl.Task("erf"), ov, d=d, learning_rate=0.1, t_eval=[3 * 0.1 / (p * d)])
    assert run.provenance["method"] == method
    assert "µs" in run.provenance["why"] or "below" in run.provenance["why"]
    np.testing.assert_allclose(run.P, ov.P, atol=1e-14)


def test_divergence_keeps_what_was_recorded():
    start = tl.Weights.gaussian(p=5, k=2, d=60, seed=1)
    t = np.linspace(0, 4, 50)
    with pytest.raises(tl.Divergence, match=r"step \d+, t = ") as caught:
        tl.simulate(tl.Task("square"), start, learning_rate=50.0, t_eval=t)
    error = caught.value
    assert error.time == pytest.approx(error.step * 50 / 300)
    assert 0 < error.trajectory.t.size < t.size
    assert error.trajectory.t[-1] <= error.time
    assert np.isfinite(error.trajectory.Q).all()
    # What happens after the last time asked for, in the same block, is nobody's concern.
    before = tl.simulate(tl.Task("square"), start, learning_rate=50.0, t_eval=error.trajectory.t)
    np.testing.assert_array_equal(before.Q, error.trajectory.Q)


def test_divergence_at_a_block_boundary():
    """Overflow of a recorded overlap, seen between two blocks, ends the run too."""
    task, start = tl.Task("square"), tl.Weights.gaussian(p=5, k=2, d=60, seed=1)
    plan, _ = make_plan(
        Asked(task, start, None, 50.0, np.arange(40) * 50 / 300, 0, "direct", "overlaps")
    )
    outcome = chain.run(replace(plan, block=1), 0)
    assert 0 < outcome.count < 40
    assert outcome.count <= outcome.blew_up_at < 40


def test_interruption_returns_the_finished_runs(monkeypatch):
    task, start = tl.Task("erf"), tl.Weights.gaussian(p=3, k=2, d=30, seed=0)
    common = {"learning_rate": 0.1, "t_eval": [0.1, 1.0, 30.0], "seed": 1}
    monkeypatch.setattr(chain, "_BATCH", 1)
    steps = 30.0 / (0.1 / 90)

    def interrupt_after(fraction):
        def to(self, done):
            if done > fraction * steps:
                raise KeyboardInterrupt

        return to

    monkeypatch.setattr(sgd_module.Progress, "to", interrupt_after(2.5))
    with pytest.warns(RuntimeWarning, match="interrupted: 2 run"):
        run = tl.simulate(task, start, runs=5, **common)
    assert run.Q.shape[:2] == (2, 3)
    monkeypatch.setattr(sgd_module.Progress, "to", interrupt_after(0.5))
    with pytest.warns(RuntimeWarning, match="interrupted: 1 run"):
        part = tl.simulate(task, start, runs=5, **common)
    np.testing.assert_array_equal(part.Q[0], run.Q[0, :2])


def test_checkpoints_continue_to_the_same_bits(tmp_path, monkeypatch):
    task, start = tl.Task("erf", noise=NOISE), tl.Weights.gaussian(p=3, k=2, d=50, seed=0)
    common = {"learning_rate": 0.2, "t_eval": np.linspace(0, 20, 9), "runs": 3, "seed": 2}
    whole = tl.simulate(task, start, **common)
    monkeypatch.setattr(chain, "_SAVE_EVERY", 0.0)
    monkeypatch.setattr(chain, "_BATCH", 1)
    monkeypatch.setattr(sgd_module.Progress, "to", trials.dying_at(40))
    folder = tmp_path / "state"
    with pytest.raises(MemoryError):
        tl.simulate(task, start, checkpoint=folder, **common)
    assert list(folder.glob("run-*.nc"))
    monkeypatch.undo()
    again = tl.simulate(task, start, checkpoint=folder, **common)
    np.testing.assert_array_equal(again.Q, whole.Q)
    np.testing.assert_array_equal(again.excess_risk, whole.excess_risk)
    with pytest.raises(tl.InvalidInput, match=r"learning_rate=0\.2.*learning_rate=0\.3"):
        tl.simulate(task, start, checkpoint=folder, **common | {"learning_rate": 0.3})
    (folder / "run-00001.nc").write_bytes(b"CDF\x02 cut short")
    with pytest.warns(RuntimeWarning, match=r"run-00001\.nc.*undamaged.*set aside"):
        once_more = tl.simulate(task, start, checkpoint=folder, **common)
    np.testing.assert_array_equal(once_more.Q, whole.Q)


def test_runs_side_by_side_share_the_cores(monkeypatch):
    """Each run beside others gets its part of the cores for matrix products, and no more."""
    from threadpoolctl import threadpool_info, threadpool_limits

    def limits():
        return {lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"}

    seen = []
    real = elsewhere.run

    def spying(*arguments):
        seen.append(limits())
        return real(*arguments)

    monkeypatch.setattr(elsewhere, "run", spying)
    monkeypatch.setattr("twolayer.sgd.elsewhere.os.cpu_count", lambda: 2)
    start = tl.Weights.gaussian(p=3, k=2, d=30, seed=0)
    with ThreadPoolExecutor(2) as pool, threadpool_limits(2, "blas"):
        tl.simulate(tl.Task("erf"), start, learning_rate=0.1, t_eval=[1], runs=2, executor=pool)
        elsewhere.run_on(1, *make_plan_for_one_step(start), 0, None)
        assert seen == [{1}] * 3
        assert limits() == {2}


def make_plan_for_one_step(start):
    return make_plan(
        Asked(tl.Task("erf"), start, None, 0.1, np.array([0.01]), 0, "auto", "overlaps")
    )[:1]


@pytest.mark.parametrize(
    "without",
    ["import sys; sys.modules['numba'] = None", "import os; os.environ['NUMBA_DISABLE_JIT'] = '1'"],
)
def test_without_numba_the_same_numbers(without):
    """The kernels as plain Python, in a process without numba, or with it switched off."""
    script = (
        f"{without}\n"
        + """
import numpy as np
import twolayer as tl
start = tl.Weights.gaussian(p=3, k=2, d=40, seed=0)
for method in ("direct", "projected"):
    run = tl.simulate(tl.Task("erf", noise=0.04), start, learning_rate=0.5, t_eval=[0.1, 1.0],
                      seed=3, method=method)
    print(" ".join(x.hex() for x in run.Q.ravel()))
"""
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    lines = done.stdout.strip().splitlines()
    start = tl.Weights.gaussian(p=3, k=2, d=40, seed=0)
    for method, line in zip(("direct", "projected"), lines, strict=True):
        run = tl.simulate(
            tl.Task("erf", noise=0.04),
            start,
            learning_rate=0.5,
            t_eval=[0.1, 1.0],
            seed=3,
            method=method,
        )
        plain = np.array([float.fromhex(x) for x in line.split()])
        np.testing.assert_allclose(run.Q.ravel(), plain, rtol=1e-12)


def test_importing_the_package_does_not_import_numba():
    script = "import sys, twolayer; print('numba' in sys.modules, 'xarray' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False"]


def test_norms_alone_are_those_of_the_overlaps(tmp_path):
    """`record="norms"` changes nothing but what is kept; and it is saved and loaded."""
    task, start = tl.Task("erf"), tl.Weights.gaussian(p=5, k=2, d=6, seed=0)
    arguments = {"learning_rate": 0.5, "t_eval": [0.0, 1.0, 7.0], "runs": 2, "seed": 3}
    full = tl.simulate(task, start, **arguments)
    norms = tl.simulate(task, start, record="norms", checkpoint=tmp_path / "kept", **arguments)
    np.testing.assert_array_equal(norms.Q, np.diagonal(full.Q, axis1=-2, axis2=-1))
    np.testing.assert_array_equal(norms.M, full.M)
    np.testing.assert_array_equal(norms.excess_risk, full.excess_risk)
    back = tl.Trajectory.load(norms.save(tmp_path / "norms.nc"))
    np.testing.assert_array_equal(back.Q, norms.Q)
    again = tl.simulate(task, start, record="norms", checkpoint=tmp_path / "kept", **arguments)
    np.testing.assert_array_equal(again.Q, norms.Q)
    with pytest.raises(tl.InvalidInput, match="record"):
        norms.overlaps()
    with pytest.raises(tl.InvalidInput, match="record"):
        tl.simulate(task, start, checkpoint=tmp_path / "kept", **arguments)
    with pytest.raises(tl.InvalidInput, match=r"^record: .*'overlaps', 'norms'"):
        tl.simulate(task, start, record="all", **arguments)


def test_batches_compiled_are_those_in_numpy(monkeypatch):
    """The same draws, whichever of the two moves the weights; a is trained."""
    from twolayer.kernels import sgd as kernels
    from twolayer.sgd import batches

    task, start = tl.Task("erf", noise=1e-3), tl.Weights.gaussian(p=7, k=2, d=99, seed=0)
    options = {"d": 10_000, "learning_rate": 0.5, "second_layer_rate": 0.1, "batch": 40, "seed": 0}
    options |= {"t_eval": np.array([0.5, 1.0]) * 200 * 0.5 / 7e4, "method": "projected"}
    compiled = tl.simulate(task, start.overlaps(), **options)
    monkeypatch.setattr(
        kernels, "advance_batches", lambda *room: batches.advance(task.activation, *room)
    )
    plain = tl.simulate(task, start.overlaps(), **options)
    assert np.abs(plain.M[..., -1, :, :] - start.overlaps().M).max() > 1e-5
    for name in ("Q", "M", "a", "excess_risk"):
        np.testing.assert_allclose(getattr(compiled, name), getattr(plain, name), atol=1e-11)
