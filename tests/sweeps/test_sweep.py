"""Sweeps: the numbers of single calls, wherever they run and however often they are killed."""

import math
import os
import signal
import subprocess
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

import twolayer as tl
from twolayer.support.lock import locked
from twolayer.support.progress import listening
from twolayer.sweeps import cell, grid
from twolayer.sweeps import sweeper as sweeps

TASK = tl.Task("erf", noise=0.1)
START = tl.Weights.gaussian(p=3, k=2, d=20, seed=0).overlaps()
T = [0.0, 0.001, 0.002, 0.1, 0.5, 0.5]  # at small d the first three are one step
OVER = {"learning_rate": [0.1, 0.5], "d": [20, 1000]}
SGD = {"over": OVER, "t_eval": T, "runs": 3, "seed": 2}


def odd(x):
    """An activation that other processes can find."""
    return x**3 / (1 + x * x)


@pytest.fixture(scope="module")
def swept():
    return tl.sweep(tl.simulate, TASK, START, **SGD)


def test_cells_of_simulate_have_the_bits_of_single_calls(swept):
    for rate in OVER["learning_rate"]:
        for d in OVER["d"]:
            one = tl.simulate(TASK, START, learning_rate=rate, d=d, t_eval=T, runs=3, seed=2)
            here = swept.sel(learning_rate=rate, d=d)
            steps = np.rint(np.array(T) / (rate / (3 * d))).astype(int)
            at = np.searchsorted(one.steps, steps)
            assert (here.steps.values == steps).all()
            assert (here.recorded_time.values == one.t[at]).all()
            for name in ("Q", "M", "risk", "excess_risk"):
                assert (here[name].values == getattr(one, name)[:, at]).all()
    assert (swept.time.values == T).all()
    assert not swept.diverged.any()


def test_cells_of_solve_have_the_bits_of_single_calls():
    noises, terms = [0, 1e-3], ["full", "gradient-flow+noise"]
    found = tl.sweep(
        tl.solve,
        lambda noise: tl.Task("erf", noise=noise),
        START,
        over={"noise": noises, "terms": terms},
        learning_rate=lambda t: 1 / (1 + t),
        t_eval=[0, 1, 1, 10],
    )
    assert found.time.values.tolist() == [0, 1, 1, 10]
    for noise in noises:
        for each in terms:
            one = tl.solve(
                tl.Task("erf", noise=noise),
                START,
                learning_rate=lambda t: 1 / (1 + t),
                terms=each,
                t_eval=[0, 1, 10],
            )
            assert (found.Q.sel(noise=noise, terms=each).values == one.Q[[0, 1, 1, 2]]).all()
    assert found.attrs["solver"] == "twolayer.solve"
    assert found.attrs["twolayer version"]


def test_cells_of_the_mean_field_and_a_name_that_is_a_variable_too():
    particles = tl.Particles.from_weights(tl.Weights.gaussian(p=3, k=2, d=5))
    P = [np.eye(2), 2 * np.eye(2)]
    over = {"P": P, "d": [5, math.inf]}
    found = tl.sweep(tl.solve_mean_field, tl.Task("square"), particles, over=over, t_eval=[0, 1])
    assert found.M.dims == ("P_swept", "d", "time", "particle", "target")
    for n in range(2):
        for d in over["d"]:
            one = tl.solve_mean_field(tl.Task("square"), particles, P[n], d=d, t_eval=[0, 1])
            here = found.sel(P_swept=n, d=d)
            assert (here.M.values == one.M).all()
            assert (here.q.values == one.q).all()


def test_the_same_in_threads_and_processes(swept):
    with ThreadPoolExecutor(2) as pool:
        assert swept.identical(tl.sweep(tl.simulate, TASK, START, executor=pool, **SGD))
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        assert swept.identical(tl.sweep(tl.simulate, TASK, START, executor=pool, **SGD))


def test_functions_that_cannot_be_sent_are_refused_before_work():
    mine, rate = tl.Task(lambda x: odd(x)), {"learning_rate": lambda t: 1.0}
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        more = {"learning_rate": 1.0, "over": {"batch": [1, 2]}, "t_eval": [1], "executor": pool}
        with pytest.raises(tl.InvalidInput, match=r"^task: .*defined in a module"):
            tl.sweep(tl.solve, mine, START, **more)
        with pytest.raises(tl.InvalidInput, match=r"^learning_rate: .*defined in a module"):
            tl.sweep(tl.solve, TASK, START, **more | rate)


def test_results_of_other_sizes_are_padded():
    found = tl.sweep(
        tl.solve,
        TASK,
        lambda p, k: tl.Weights.gaussian(p=p, k=k, d=20).overlaps(),
        over={"p": [2, 4], "k": [1, 2]},
        learning_rate=0.5,
        t_eval=[0, 1],
    )
    assert found.Q.shape == (2, 2, 2, 4, 4)
    small = found.sel(p=2, k=1)
    assert np.isfinite(small.Q.values[:, :2, :2]).all()
    assert np.isnan(small.Q.values[:, 2:]).all()
    assert np.isnan(small.M.values[..., 1:]).all()
    assert np.isfinite(found.sel(p=4, k=2).M).all()
    assert np.isfinite(found.risk).all()
    several = tl.sweep(
        tl.simulate, TASK, START, over={"runs": [1, 3]}, learning_rate=1, d=20, t_eval=[1]
    )
    assert several.risk.isnull().sum("run").values.ravel().tolist() == [2, 0]


def test_what_blows_up_is_flagged_and_costs_nothing_else():
    task, t = tl.Task("square"), [0, 1, 50]
    rates = {"learning_rate": [0.1, 3.0]}
    flow = tl.sweep(tl.solve, task, START, over=rates, t_eval=t)
    assert flow.diverged.values.tolist() == [False, True]
    assert (flow.risk.values[0] == tl.solve(task, START, learning_rate=0.1, t_eval=t).risk).all()
    assert np.isnan(flow.risk.values[1, -1])
    assert np.isfinite(flow.risk.values[1, 0])
    options = {"t_eval": [0, 1, 3], "d": 20, "runs": 6, "on_divergence": "keep"}
    single = tl.simulate(task, START, learning_rate=0.8, **options)
    del options["on_divergence"]
    sgd = tl.sweep(tl.simulate, task, START, over={"learning_rate": [0.1, 0.8]}, **options)
    lost = single.provenance["diverged"]
    assert 0 < len(lost) < 6
    assert np.flatnonzero(sgd.diverged.values[1]).tolist() == lost
    assert not sgd.diverged.values[0].any()
    np.testing.assert_array_equal(sgd.risk.values[1], single.risk)


def test_coordinates_are_values_names_or_indices():
    numbers, words = grid.labels_of([1, 2.5]), grid.labels_of(["full", "x"])
    assert numbers.tolist() == [1.0, 2.5]
    assert words.tolist() == ["full", "x"]
    assert grid.labels_of([None, 5]).tolist() == [0, 1]
    assert grid.labels_of([TASK, tl.Task("relu")]).tolist() == [0, 1]
    assert grid.labels_of([math.sin, math.cos]).tolist() == ["sin", "cos"]
    assert grid.labels_of([lambda x: x, lambda x: 2 * x]).tolist() == [0, 1]


def test_a_function_of_t_is_left_alone_and_one_of_swept_names_is_called():
    def rate_of(t):
        return 0.5

    over = {"p": [2], "g": [0.25]}
    given = {"start": lambda p: p, "learning_rate": rate_of, "batch": lambda p, g: p + g}
    one = grid.Grid(tl.simulate, over, given)
    assert one.functions == {"start": ("p",), "batch": ("p", "g")}
    assert one.arguments((0, 0)) == {"start": 2, "learning_rate": rate_of, "batch": 2.25}


COMMON = {"learning_rate": 1.0, "t_eval": [1.0]}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"over": {"rate": [1.0]}}, "^over: got 'rate', which nothing takes"),
        ({"over": {"learning_rate": [1.0]}}, "^learning_rate: .*and values in `over`"),
        ({"over": {"batch": [1, 0]}}, "^batch: got 0 in the cell batch=0; .*>= 1"),
        ({"over": {"d": [2, 100]}}, "^d: got 2 in the cell d=2; .*rank"),
        ({"over": {"noise": [0, -1]}, "task": lambda noise: tl.Task(noise=noise)}, "^noise: .*-1"),
        ({"over": {"n": [1]}, "task": lambda n: 1 / 0}, "^task: got ZeroDivisionError.*n=1"),
        ({"over": {"t_eval": [[1], [2]]}}, "^over: got 't_eval'"),
        ({"over": {"record": ["norms"]}}, "^over: got 'record'"),
        ({"over": {"batch": [1]}, "checkpoint": "x"}, "^checkpoint: .*folder="),
        ({"over": {"batch": [1]}, "on_divergence": "keep"}, "^on_divergence: .*left out"),
        ({"over": {"batch": [1]}, "steps": [3]}, "^steps: .*t_eval"),
        ({"over": {"batch": [1]}, "nonsense": 1}, "^nonsense: got an unknown name"),
        ({"over": {"batch": 1}}, "^over: got 1 for batch"),
        ({"over": {"batch": "12"}}, "^over: got '12' for batch"),
        ({"over": {"batch": range(2_000_000)}}, "^over: got 2000000 values"),
        ({"over": {"batch": range(1, 2000), "seed": range(2000)}}, "^over: .* cells"),
        ({"over": {}}, "^over: got {}"),
        ({"over": {"batch": [1]}, "executor": 3}, "^executor: "),
        ({"over": {"batch": [1]}, "folder": 3}, "^folder: "),
        ({"over": {"batch": [1]}, "learning_rate": -1}, "^learning_rate: "),
        ({"over": {"batch": [1]}, "t_eval": [-1]}, "^t_eval: "),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_input_is_refused_before_work(changed, message, monkeypatch):
    begun = []
    monkeypatch.setattr(sweeps, "_run_here", lambda *_: begun.append(1))
    options = {"task": TASK, "start": START} | COMMON | changed
    if "d" not in options["over"]:
        options["d"] = 100
    with pytest.raises(tl.InvalidInput, match=message):
        tl.sweep(tl.simulate, **options)
    assert not begun


def test_other_solvers_and_too_many_or_too_few_arguments_are_refused():
    with pytest.raises(tl.InvalidInput, match=r"^solver: .*twolayer\.simulate"):
        tl.sweep(max, over={"a": [1]}, t_eval=[1])
    with pytest.raises(tl.InvalidInput, match=r"^arguments: "):
        tl.sweep(tl.solve, TASK, START, 3, over={"batch": [1]}, **COMMON)
    with pytest.raises(tl.InvalidInput, match=r"^task: got two values"):
        tl.sweep(tl.solve, TASK, START, task=TASK, over={"batch": [1]}, **COMMON)
    with pytest.raises(tl.InvalidInput, match=r"^overlaps: got nothing"):
        tl.sweep(tl.solve, TASK, over={"batch": [1]}, **COMMON)


class Fails:
    """A learning rate that fails beyond a time, and with a batch of 2 only."""

    def __init__(self, batch):
        self.batch = batch

    def __call__(self, t):
        if t > 0.01 and self.batch == 2:
            raise RuntimeError("no more")
        return 1.0


@pytest.mark.parametrize("threads", [0, 2])
def test_errors_name_the_cell_and_lose_nothing(threads):
    pool = ThreadPoolExecutor(threads) if threads else None
    options = {"over": {"batch": [1, 2]}, "t_eval": [0, 1], "executor": pool}
    rate = lambda batch: Fails(batch)  # noqa: E731
    with pytest.raises(tl.InvalidInput, match=r"^learning_rate: .*in the cell batch=2") as caught:
        tl.sweep(tl.solve, TASK, START, learning_rate=rate, **options)
    if not threads:
        assert np.isfinite(caught.value.dataset.risk.sel(batch=1)).all()
        assert np.isnan(caught.value.dataset.risk.sel(batch=2)).all()
    if pool is not None:
        pool.shutdown()


def test_ctrl_c_keeps_what_is_done(monkeypatch, swept):
    calls = []

    def stopped(*args, **options):
        calls.append(1)
        if len(calls) == 4:  # the third cell
            raise KeyboardInterrupt
        return cell.run_cell(*args, **options)

    monkeypatch.setattr(sweeps, "_look_ahead", lambda *_: {})
    calls += [1]
    monkeypatch.setattr(sweeps, "run_cell", stopped)
    with pytest.warns(RuntimeWarning, match="interrupted: 2 of 4 cells"):
        found = tl.sweep(tl.simulate, TASK, START, **SGD)
    first, second = {"learning_rate": 0}, {"learning_rate": 1}
    assert (found.risk.isel(first) == swept.risk.isel(first)).all()
    assert np.isnan(found.risk.isel(second)).all()
    calls[:] = [1, 1, 1]
    with pytest.raises(KeyboardInterrupt):
        tl.sweep(tl.simulate, TASK, START, **SGD)


def test_ctrl_c_on_an_executor_keeps_what_is_done(monkeypatch, swept):
    real, calls = sweeps.wait, []

    def interrupted(*args, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args, **options)

    monkeypatch.setattr(sweeps, "wait", interrupted)
    with ThreadPoolExecutor(1) as pool, pytest.warns(RuntimeWarning, match="of 4 cells") as said:
        found = tl.sweep(tl.simulate, TASK, START, executor=pool, **SGD)
    assert len(said) == 1
    done = ~np.isnan(found.risk.values).any((2, 3))
    assert done.any()
    assert (found.risk.values[done] == swept.risk.values[done]).all()


def test_ctrl_c_within_a_cell_leaves_that_cell_out(swept):
    """Whatever listens ends a cell as Ctrl-C does; what the solver has of it is not a result."""

    def stop(share):
        if share > 0.6:
            raise KeyboardInterrupt

    with listening(stop), pytest.warns(RuntimeWarning, match="of 4 cells") as caught:
        found = tl.sweep(tl.simulate, TASK, START, **SGD)
    assert len(caught) == 1
    done = ~np.isnan(found.risk.values).any((2, 3))
    assert 1 <= done.sum() < 4
    assert (found.risk.values[done] == swept.risk.values[done]).all()
    assert np.isnan(found.risk.values[~done]).all()


def test_a_folder_is_gone_on_from_and_others_are_refused(tmp_path, swept, monkeypatch):
    place = tmp_path / "kept"
    assert swept.identical(tl.sweep(tl.simulate, TASK, START, folder=place, **SGD))
    os.unlink(place / "cell-000002.nc")
    ran = []
    real = sweeps.run_cell

    def counted(solver, arguments, t_eval, *rest):
        ran.append(t_eval[-1])
        return real(solver, arguments, t_eval, *rest)

    monkeypatch.setattr(sweeps, "run_cell", counted)
    assert swept.identical(tl.sweep(tl.simulate, TASK, START, folder=place, **SGD))
    assert [t for t in ran if t] == [0.5]
    for changed, said in (
        ({"seed": 3}, "seed=2; .*seed=3"),
        ({"runs": 4}, "runs=3; .*runs=4"),
        ({"t_eval": [0, 1]}, "t_eval="),
        ({"over": OVER | {"d": [20, 999]}}, r"over=.*1000.*over=.*999"),
        ({"over": OVER | {"d": [20, 100, 1000]}}, "over="),
    ):
        with pytest.raises(tl.InvalidInput, match=rf"^folder: .*of a sweep with {said}"):
            tl.sweep(tl.simulate, TASK, START, folder=place, **SGD | changed)
    with pytest.raises(tl.InvalidInput, match=r"^folder: .*task=.*noise=0\.1.*noise=0\.2"):
        tl.sweep(tl.simulate, tl.Task("erf", noise=0.2), START, folder=place, **SGD)
    flow = {"over": {"learning_rate": [0.1]}, "t_eval": [1]}
    with pytest.raises(tl.InvalidInput, match=r"^folder: .*solver=simulate.*solver=solve"):
        tl.sweep(tl.solve, TASK, START, folder=place, **flow)
    file = place / "cell-000001.nc"
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.warns(RuntimeWarning, match=r"cell-000001\.nc\.damaged, and this cell begins"):
        assert swept.identical(tl.sweep(tl.simulate, TASK, START, folder=place, **SGD))


def test_two_sweeps_do_not_share_a_folder(tmp_path):
    with (
        locked(tmp_path),
        pytest.raises(tl.InvalidInput, match=r"^folder: .*no other sweep is using"),
    ):
        tl.sweep(tl.simulate, TASK, START, folder=tmp_path, **SGD)


KILLED = """
import sys, twolayer as tl
start = tl.Weights.gaussian(p=3, k=2, d=20, seed=0).overlaps()
tl.sweep(tl.simulate, tl.Task("erf", noise=0.1), start, over={"seed": range(6)}, t_eval=[0, 10.0],
         learning_rate=0.1, d=1000, folder=sys.argv[1])
"""


def test_killed_it_goes_on_and_gives_the_same(tmp_path):
    """SIGKILL once a few cells are there."""
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path / "kept")])
    until = time.monotonic() + 100
    while len(list(tmp_path.glob("kept/cell-*.nc"))) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    there = len(list(tmp_path.glob("kept/cell-*.nc")))
    assert 2 <= there < 6
    options = {"over": {"seed": range(6)}, "t_eval": [0, 10.0], "learning_rate": 0.1, "d": 1000}
    again = tl.sweep(tl.simulate, TASK, START, folder=tmp_path / "kept", **options)
    assert again.identical(tl.sweep(tl.simulate, TASK, START, **options))


def test_no_warning_of_nothing(swept, recwarn):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tl.sweep(tl.solve, TASK, START, over={"batch": [1]}, learning_rate=1.0, t_eval=[0, 1])
