"""SGD under inputs with a spectrum: against sample-by-sample loops, in law, and against the ODE."""

import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import trials
from scipy.stats import ks_2samp

import twolayer as tl
from twolayer.kernels import groups as grouped
from twolayer.kernels import sgd as kernels
from twolayer.sgd import run as chain
from twolayer.sgd import simulator as sgd_module
from twolayer.sgd.draws import Draws
from twolayer.sgd.groups import Groups

TASK = tl.Task("erf", noise=0.05)


def gaussian(d, p=2, k=1, seed=0):
    """Students, then targets, with independent N(0, 1) entries."""
    rng = np.random.default_rng(seed)
    return tl.Weights(rng.standard_normal((p, d)), rng.standard_normal((k, d)))


def cubic(x):
    """An activation that the kernels do not know."""
    return x - x**3 / 12


def plain_sgd(task, weights, spectrum, rate, steps, seed, block, batch=1, eta=0.0):
    """Weights and second layers after every step, one sample after another."""
    d, sigma, slope = weights.d, task.activation.sigma, task.activation.derivative
    scale = np.repeat(np.sqrt(spectrum.eigenvalues), spectrum.dimensions)
    draws, W, a, target = Draws(seed, 0, block, d, 0), weights.W, weights.a, weights.W_star
    yield W, a
    for step in range(steps):
        moved, pushed = np.zeros_like(W), np.zeros_like(a)
        for sample in range(step * batch, (step + 1) * batch):
            if sample % block == 0:
                normals = draws.blocks(1)[0][0].copy()
                x = normals[:-block].reshape(block, d) * scale / np.sqrt(d)
                z = np.sqrt(task.noise) * normals[-block:]
            here = x[sample % block]
            y = weights.a_star @ task.target_activation.sigma(target @ here) / weights.k
            error = y + z[sample % block] - a @ sigma(W @ here) / weights.p
            moved += np.outer(a * slope(W @ here), here) * error * rate / weights.p / batch
            pushed += eta / (weights.p * d) * error * sigma(W @ here) / batch
        W, a = W + moved, a + pushed
        yield W, a


@pytest.mark.parametrize(
    ("name", "p", "k", "spectrum", "rate", "options"),
    [
        ("erf", 1, 1, tl.Spectrum([2.0, 0.0], [1, 1]), 0.5, {}),
        ("erf", 3, 2, tl.Spectrum.two_level(30, 9), 0.5, {}),
        ("erf", 3, 2, tl.Spectrum.two_level(30, 9), 0.5, {"batch": 3, "second_layer_rate": 0.4}),
        ("square", 2, 1, tl.Spectrum.spiked(40, 3.0, 5), 0.05, {}),
        ("relu", 4, 2, tl.Spectrum.power_law(50, 0.7, 6), 0.3, {"second_layer_rate": 0.2}),
        ("tanh", 40, 3, tl.Spectrum([0.2, 5.0, 1.2, 1.5], [20, 2, 10, 12]), 0.5, {}),
        (cubic, 2, 2, tl.Spectrum.two_level(20, 4), 0.3, {"batch": 2}),
    ],
)
def test_direct_is_sample_by_sample_sgd(name, p, k, spectrum, rate, options):
    """On the same random numbers as the textbook step: 1e-11 after 150 steps."""
    task, weights = tl.Task(name, noise=0.04), gaussian(spectrum.d, p, k, seed=1)
    record = np.array([0, 1, 2, 15, 16, 17, 63, 64, 100, 150])
    common = {"learning_rate": rate, "seed": 5, "method": "direct", **options}
    run = tl.simulate(task, weights, spectrum=spectrum, steps=record, **common)
    renamed = {"eta" if n == "second_layer_rate" else n: each for n, each in options.items()}
    size = run.provenance["block"]
    path = list(plain_sgd(task, weights, spectrum, rate, 150, 5, size, **renamed))
    for n, step in enumerate(record):
        W, a = path[step]
        ov = tl.Weights(W, weights.W_star, a).overlaps(spectrum)
        np.testing.assert_allclose(run.Q_blocks[0, n], ov.Q_blocks, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(run.M_blocks[0, n], ov.M_blocks, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(run.a[0, n], a, rtol=1e-11)
        np.testing.assert_allclose(run.Q[0, n], ov.Q, rtol=1e-11, atol=1e-12)
        assert run.excess_risk[0, n] == pytest.approx(tl.excess_risk(task, ov), abs=1e-11)
    np.testing.assert_allclose(run.P_blocks, weights.overlaps(spectrum).P_blocks, rtol=1e-13)


@pytest.mark.parametrize("method", ["direct", "projected"])
def test_one_eigenspace_is_the_isotropic_simulation_bit_for_bit(method):
    weights, one = gaussian(60, p=3, k=2), tl.Spectrum([1.0], [60])
    common = {"learning_rate": 0.5, "t_eval": [0.0, 0.1, 0.5], "runs": 2, "method": method}
    plain = tl.simulate(TASK, weights, **common)
    for start, option in ((weights, {"spectrum": one}), (weights.overlaps(one), {})):
        run = tl.simulate(TASK, start, **option, **common)
        if not option:
            plain = tl.simulate(TASK, weights.overlaps(), d=60, **common)
        for name in ("Q", "M", "P", "excess_risk"):
            np.testing.assert_array_equal(getattr(run, name), getattr(plain, name))
        np.testing.assert_array_equal(run.Q_blocks[:, :, 0], plain.Q)
    assert run.provenance["method"] == method


@pytest.mark.parametrize(
    ("name", "options"),
    [("erf", {}), ("square", {}), ("erf", {"batch": 4, "second_layer_rate": 0.2})],
    ids=["erf", "square", "batches, second layer"],
)
def test_projected_and_direct_have_the_same_law(name, options):
    """One eigenspace is small and kept whole, two are turned; finite-d effects are large.

    Two-sample Kolmogorov-Smirnov, 400 runs each, on the risk and on entries of Q^g and M^g of
    every eigenspace at two times, and on a function of the whole path.  Bonferroni over the
    twenty: a false alarm has probability 1e-4 for each case.
    """
    spectrum = tl.Spectrum([4.0, 1.05, 0.5], [4, 40, 28])
    task, weights = tl.Task(name, noise=0.04), gaussian(72, p=2, k=1, seed=2)
    statistics = []
    for method, seed in (("direct", 0), ("projected", 1)):
        run = tl.simulate(
            task,
            weights,
            spectrum=spectrum,
            learning_rate=0.1 if name == "square" else 0.8,
            t_eval=np.array([0.5, 2.0, 3.0]) / (4 if name == "square" else 1),
            runs=400,
            seed=seed,
            method=method,
            **options,
        )
        assert run.provenance["method"] == method
        path = run.Q_blocks[:, 2, :, 0, 0].sum(1) - run.Q_blocks[:, 0, :, 0, 0].sum(1)
        statistics.append(
            [run.excess_risk[:, n] for n in (0, 1)]
            + [run.Q_blocks[:, n, g, 0, 0] for n in (0, 1) for g in range(3)]
            + [run.Q_blocks[:, n, g, 0, 1] for n in (0, 1) for g in range(3)]
            + [run.M_blocks[:, 1, g, 0, 0] for g in range(3)]
            + [run.M_blocks[:, 1, 0, 1, 0], run.a[:, 1, 0] + run.Q[:, 1, 0, 0], path]
        )
    p_values = [ks_2samp(a, b).pvalue for a, b in zip(*statistics, strict=True)]
    assert len(p_values) == 20
    assert min(p_values) > 1e-4 / len(p_values)


def test_functions_of_ones_own_take_the_same_steps():
    """By NumPy what the kernels do compiled, turned eigenspaces included, from the same numbers."""
    weights, spectrum = gaussian(400, p=3, k=2), tl.Spectrum([9.1, 363.6 / 396], [4, 396])
    common = {"learning_rate": 0.5, "t_eval": [0.0, 0.05, 0.3], "runs": 2, "method": "projected"}
    ours = tl.simulate(tl.Task("tanh", noise=0.1), weights, spectrum=spectrum, **common)
    own = tl.Activation.of(np.tanh, derivative=lambda x: 1 / np.cosh(x) ** 2, name="own")
    run = tl.simulate(tl.Task(own, noise=0.1), weights, spectrum=spectrum, **common)
    np.testing.assert_allclose(run.Q_blocks, ours.Q_blocks, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(run.M_blocks, ours.M_blocks, rtol=1e-9, atol=1e-11)


def test_samples_of_turned_eigenspaces_are_those_of_the_isotropic_method():
    """`place_groups` writes what `place` does, times √s_g, one eigenspace beside another."""
    B, n, D, rng = 5, 3, 3 + 5 + 2, np.random.default_rng(0)
    drawn, below = B * n, B * (B - 1) // 2
    normals = rng.standard_normal((1, drawn + below + 2 * B + B))
    radii, out = rng.random((1, B)) + 1, np.empty((1, B * D + B))
    widths, turned, roots = np.array([8, 2]), np.array([True, False]), np.array([2.0, 3.0])
    grouped.place_groups(normals, radii, widths, turned, roots, n, B, out)
    X = out[0, : B * D].reshape(B, D)
    alone = np.empty((B, n + B))
    kernels.place(normals[0, : drawn + below], radii[0], alone, True)
    np.testing.assert_array_equal(X[:, :8], 2 * alone)
    rest = normals[0, drawn + below : drawn + below + 2 * B].reshape(B, 2)
    np.testing.assert_array_equal(X[:, 8:], 3 * rest)


@pytest.mark.parametrize("p", [4, 130])
def test_turning_back_changes_no_overlap(p):
    """By the kernel, and for many students by LAPACK."""
    spectrum, k, B = tl.Spectrum([5.0, 4996 / 5000], [1, 5000]), 2, 16
    groups = Groups(spectrum, p + k, B, (False, True))
    weights = gaussian(5001, p, k)
    students, targets = groups.coordinates(weights)
    np.testing.assert_allclose(
        groups.blocks_of(students, targets), weights.overlaps(spectrum).M_blocks, atol=1e-12
    )
    assert not students[:, -B:].any()
    students[:, -B:] = np.random.default_rng(1).standard_normal((p, B))
    before = groups.blocks_of(students, students), groups.blocks_of(students, targets)
    groups.turn_back(students, k)
    assert not students[:, -B:].any()
    np.testing.assert_allclose(groups.blocks_of(students, students), before[0], atol=1e-11)
    np.testing.assert_allclose(groups.blocks_of(students, targets), before[1], atol=1e-11)


SPECTRA = {
    "two levels": lambda d: tl.Spectrum.two_level(d, 9),
    "spikes": lambda d: tl.Spectrum.spiked(d, 20.0, spikes=d // 40),
    "power law": lambda d: tl.Spectrum.power_law(d, 0.5, 8),
}


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize(("d", "runs"), [(200, 64), (2000, 16)])
def test_direct_sgd_follows_the_ode(name, d, runs):
    """The mean risk within three standard errors of the ODE with d, at each of five times.

    With fresh seeds a case fails by chance once in fifty times.  The isotropic ODE is far away.
    """
    spectrum, weights = SPECTRA[name](d), gaussian(d)
    common = {"learning_rate": 2.0, "t_eval": [0.3, 0.7, 1.2, 2.0, 3.0]}
    options = {"runs": runs, "seed": 0, "method": "direct"}
    run = tl.simulate(TASK, weights, spectrum=spectrum, **common, **options)
    off = run.excess_risk.std(0, ddof=1) / np.sqrt(runs)
    mean, common["t_eval"] = run.excess_risk.mean(0), run.t
    ode = tl.solve(TASK, weights.overlaps(spectrum), d=d, **common)
    assert (np.abs(mean - ode.excess_risk) < 3 * off).all()
    plain = tl.solve(TASK, weights.overlaps(), **common)
    assert np.abs((mean - plain.excess_risk) / off).max() > 8


def test_projected_costs_the_same_at_any_dimension():
    """From 10⁴ to 10⁸, within a factor of three: timings on a busy machine."""
    few, seconds = gaussian(1000).overlaps(tl.Spectrum.two_level(1000, 9)), []
    for d in (10**4, 10**4, 10**8):  # the first may wait for machine code
        spectrum = tl.Spectrum.two_level(d, 9)
        start = tl.SpectralOverlaps(spectrum, few.Q_blocks, few.M_blocks, few.P_blocks)
        best = np.inf
        for _ in range(3):
            begun = time.perf_counter()
            run = tl.simulate(TASK, start, learning_rate=1.0, steps=[20_000])
            best = min(best, time.perf_counter() - begun)
        seconds.append(best)
        assert run.provenance["method"] == "projected"
    assert seconds[2] < 3 * seconds[1] + 0.05


def test_projected_sgd_follows_the_ode_in_a_high_dimension():
    """d = 10⁵: within 4 standard errors, and what a mean of twelve runs may be off by."""
    d, runs = 10**5, 12
    spectrum = tl.Spectrum.two_level(d, 4, share=0.3)
    start = gaussian(300).overlaps(tl.Spectrum.two_level(300, 4, share=0.3))
    start = tl.SpectralOverlaps(spectrum, start.Q_blocks, start.M_blocks, start.P_blocks)
    run = tl.simulate(TASK, start, learning_rate=2.0, t_eval=[0.5, 1.0], runs=runs)
    ode = tl.solve(TASK, start, learning_rate=2.0, t_eval=run.t)
    off = run.excess_risk.std(0, ddof=1) / np.sqrt(runs)
    assert (np.abs(run.excess_risk.mean(0) - ode.excess_risk) < 4 * off + 2.0 / (2 * d)).all()


@pytest.mark.parametrize("method", ["direct", "projected"])
def test_a_run_depends_on_its_seed_and_number_alone(method):
    weights, spectrum = gaussian(90, p=3, k=2), tl.Spectrum.two_level(90, 4)
    common = {"learning_rate": 0.5, "seed": 7, "method": method, "spectrum": spectrum}
    t = np.array([0.0, 0.1, 0.37, 1.0])
    two = tl.simulate(TASK, weights, t_eval=t, runs=2, **common)
    five = tl.simulate(TASK, weights, t_eval=t, runs=5, **common)
    np.testing.assert_array_equal(two.Q_blocks, five.Q_blocks[:2])
    dense = np.union1d(np.linspace(0, 1.2, 300), t)
    more = tl.simulate(TASK, weights, t_eval=dense, runs=2, **common)
    at = np.searchsorted(more.steps, two.steps)
    np.testing.assert_array_equal(more.Q_blocks[:, at], two.Q_blocks)
    np.testing.assert_array_equal(more.M_blocks[:, at], two.M_blocks)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        there = tl.simulate(TASK, weights, t_eval=t, runs=2, executor=executor, **common)
    np.testing.assert_array_equal(there.Q_blocks, two.Q_blocks)


@pytest.mark.parametrize("record", ["overlaps", "norms"])
def test_checkpoints_and_files_keep_the_blocks(tmp_path, monkeypatch, record):
    start = gaussian(200, p=3, k=2).overlaps(tl.Spectrum.two_level(200, 4))
    common = {"learning_rate": 0.5, "t_eval": np.linspace(0, 4, 5), "runs": 2, "record": record}
    common["method"] = "projected"
    whole = tl.simulate(TASK, start, **common)
    monkeypatch.setattr(chain, "_SAVE_EVERY", 0.0)
    monkeypatch.setattr(chain, "_BATCH", 1)
    monkeypatch.setattr(sgd_module.Progress, "to", trials.dying_at(60))
    with pytest.raises(MemoryError):
        tl.simulate(TASK, start, checkpoint=tmp_path / "state", **common)
    assert list((tmp_path / "state").glob("run-*.nc"))
    monkeypatch.undo()
    again = tl.simulate(TASK, start, checkpoint=tmp_path / "state", **common)
    assert again == whole
    other = tl.SpectralOverlaps(
        tl.Spectrum.two_level(200, 5), start.Q_blocks, start.M_blocks, start.P_blocks
    )
    with pytest.raises(tl.InvalidInput, match="spectrum="):
        tl.simulate(TASK, other, checkpoint=tmp_path / "state", **common)
    assert tl.SpectralTrajectory.load(whole.save(tmp_path / "runs.nc")) == whole
    dims = whole.to_xarray()["Q_blocks"].dims
    assert dims == ("run", "time", "group", "neuron", "neuron_2")[: 4 + (record == "overlaps")]


def test_runs_go_on_from_their_own_blocks():
    start, spectrum = gaussian(300), tl.Spectrum.two_level(300, 4)
    first = tl.simulate(TASK, start, spectrum=spectrum, learning_rate=1.0, t_eval=[0, 1], runs=3)
    then = tl.simulate(TASK, first, learning_rate=1.0, t_eval=[1.0, 2.0])
    np.testing.assert_allclose(then.Q_blocks[:, 0], first.Q_blocks[:, -1], rtol=1e-10, atol=1e-12)
    assert then.spectrum == spectrum
    assert (then.excess_risk[:, 1] < then.excess_risk[:, 0]).all()
    stopped = tl.simulate(
        TASK, start, spectrum=spectrum, learning_rate=1.0, t_eval=[0, 1, 2, 5, 30], stop_at_risk=0.1
    )
    assert stopped.risk[0, -1] <= 0.1 < stopped.risk[0, -2]
    data = tl.sweep(
        tl.simulate,
        TASK,
        start,
        spectrum=spectrum,
        over={"learning_rate": [0.5, 1.0]},
        t_eval=[0.0, 0.5],
    )
    assert data["Q_blocks"].sizes["group"] == 2


@pytest.mark.parametrize(
    ("start", "options", "argument"),
    [
        (gaussian(21), {"spectrum": tl.Spectrum.two_level(20, 4)}, "spectrum"),
        (gaussian(20).overlaps(), {"spectrum": tl.Spectrum.two_level(20, 4), "d": 20}, "spectrum"),
        (gaussian(20), {"spectrum": [1.0]}, "spectrum"),
        (gaussian(20).overlaps(tl.Spectrum.two_level(20, 4)), {"d": 21}, "d"),
        (
            gaussian(20).overlaps(tl.Spectrum.two_level(20, 4)),
            {"spectrum": tl.Spectrum.two_level(20, 5)},
            "spectrum",
        ),
        (gaussian(20), {"spectrum": tl.Spectrum.two_level(20, 4), "method": "projected"}, "method"),
    ],
)
def test_what_does_not_go_together_is_refused(start, options, argument):
    with pytest.raises(tl.InvalidInput) as caught:
        tl.simulate(TASK, start, learning_rate=0.1, t_eval=[0.1], **options)
    assert caught.value.argument == argument


def test_other_rules_are_refused_but_for_one_eigenspace():
    """By name, by both solvers; isotropic inputs that are called a spectrum know them all."""
    weights, one = gaussian(200, p=3, k=2), tl.Spectrum([1.0], [200])
    two, common = tl.Spectrum.two_level(200, 4), {"learning_rate": 0.5, "t_eval": [0.0, 1.0]}
    for rule in ({"weight_decay": 0.1}, {"norm": "fixed"}, {"neuron_rates": [0, 1, 1]}):
        with pytest.raises(tl.InvalidInput, match=f"^{next(iter(rule))}: .*isotropic"):
            tl.simulate(TASK, weights, spectrum=two, **common, **rule)
        with pytest.raises(tl.InvalidInput, match=f"^{next(iter(rule))}: .*isotropic"):
            tl.solve(TASK, weights.overlaps(two), **common, **rule)
        run = tl.simulate(TASK, weights, spectrum=one, **common, **rule)
        np.testing.assert_array_equal(run.Q, tl.simulate(TASK, weights, **common, **rule).Q)
        sol = tl.solve(TASK, weights.overlaps(one), **common, **rule)
        np.testing.assert_array_equal(sol.Q, tl.solve(TASK, weights.overlaps(), **common, **rule).Q)
