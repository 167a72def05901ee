"""A run that blows up costs no other run, wherever they run; nor does one that fails."""

import pickle
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import trials

import twolayer as tl
from twolayer.explorer.compute import compute
from twolayer.support.netcdf import write_netcdf

TASK, START = tl.Task("square"), tl.Weights.gaussian(p=2, k=1, d=50, seed=1)
T = [0, 1, 10, 50]
COMMON = {"learning_rate": 0.3, "t_eval": T, "runs": 10, "progress": False}


@pytest.fixture(scope="module")
def kept():
    run = tl.simulate(TASK, START, on_divergence="keep", **COMMON)
    assert 0 < len(run.provenance["diverged"]) < 10
    return run


@pytest.fixture(scope="module")
def lost(kept):
    """Which runs blow up: a matter of rounding."""
    return tuple(kept.provenance["diverged"])


def nothing():
    return None


def threads():
    return ThreadPoolExecutor(3)


def processes():
    return ProcessPoolExecutor(2, get_context("forkserver"))


def dask():
    distributed = pytest.importorskip("distributed")
    client = distributed.Client(processes=False, n_workers=1, dashboard_address=":0")
    return client.get_executor()


@pytest.mark.parametrize("where", [nothing, threads, processes, dask])
@pytest.mark.parametrize("checkpoint", [False, True])
def test_all_runs_are_there_and_those_lost_are_named(where, checkpoint, kept, lost, tmp_path):
    executor = where()
    how = COMMON | {"executor": executor}
    how |= {"checkpoint": tmp_path / "state"} if checkpoint else {}
    for _ in range(2 if checkpoint else 1):
        with pytest.raises(tl.Divergence) as caught:
            tl.simulate(TASK, START, **how)
        error = caught.value
        assert error.runs == lost
        assert error.trajectory.excess_risk.shape == (10, len(T))
        assert trials.same_bits(error.trajectory, kept)
    if executor is not None:
        executor.shutdown()
        if where is dask:
            executor._client.close()
    for run in range(10):
        rows = (kept.Q, kept.M, kept.a, kept.excess_risk)
        reached = [
            int(np.isfinite(row[run]).all(axis=tuple(range(1, row.ndim - 1))).sum())
            for row in (r.reshape(*r.shape[:2], -1) for r in rows)
        ]
        assert len(set(reached)) == 1  # all of a time, or nothing of it
        assert (reached[0] < len(T)) == (run in lost)
        assert np.isnan(kept.excess_risk[run, reached[0] :]).all()
    alone = tl.simulate(TASK, START, on_divergence="keep", **COMMON | {"runs": 3})
    np.testing.assert_array_equal(alone.Q, kept.Q[:3])


def test_the_message_names_runs_and_remedy(lost):
    these = rf"{len(lost)} of 10 runs \({', '.join(map(str, lost))}\).*smaller learning rate"
    with pytest.raises(tl.Divergence, match=these):
        tl.simulate(TASK, START, **COMMON)


def test_a_divergence_survives_being_sent_to_another_process(lost):
    with pytest.raises(tl.Divergence) as caught:
        tl.simulate(TASK, START, **COMMON)
    back = pickle.loads(pickle.dumps(caught.value))
    assert (back.runs, back.step, back.time) == (lost, caught.value.step, caught.value.time)
    assert str(back) == str(caught.value)
    assert trials.same_bits(back.trajectory, caught.value.trajectory)
    with pytest.raises(ValueError, match="read-only"):
        back.trajectory.Q[0] = 1


def test_what_is_kept_says_so_and_is_saved_and_read(kept, lost, tmp_path):
    back = tl.Trajectory.load(kept.save(tmp_path / "kept.nc"))
    assert trials.same_bits(back, kept)
    np.testing.assert_array_equal(back.steps, kept.steps)
    with pytest.raises(tl.InvalidInput, match=f"run {lost[0]}, which had left the range"):
        kept.overlaps(run=lost[0])
    whole = next(run for run in range(10) if run not in lost)
    assert kept.overlaps(run=whole).p == kept.overlaps(time=0, run=lost[0]).p == 2
    assert kept.to_xarray()["risk"].mean("run", skipna=True).shape == (len(T),)


@pytest.mark.parametrize("which", ["whole", "lost"])
def test_nan_anywhere_else_is_no_result(kept, lost, tmp_path, which):
    """In a run that did not diverge, or before the end of one that did."""
    whole = next(run for run in range(10) if run not in lost)
    where = (whole, -1) if which == "whole" else (lost[0], 0)
    data = kept.to_xarray().reset_coords(["steps", "samples"])
    for name in ("steps", "samples"):
        data[name] = data[name].astype(float)
    data["excess_risk"][where] = np.nan
    with pytest.raises(tl.InvalidInput, match="not of finite numbers"):
        tl.Trajectory.load(write_netcdf(data, tmp_path / "odd.nc"))


def test_nothing_is_said_of_runs_that_do_not_diverge():
    run = tl.simulate(TASK, START, on_divergence="keep", **COMMON | {"learning_rate": 0.01})
    assert "diverged" not in run.provenance
    with pytest.raises(tl.InvalidInput, match=r"on_divergence: got 'drop'.*'raise', 'keep'"):
        tl.simulate(TASK, START, on_divergence="drop", **COMMON)


def test_times_that_no_run_reaches_are_left_out_of_the_error_alone():
    how = {"learning_rate": 20.0, "t_eval": np.linspace(0, 20, 50), "runs": 2}
    with pytest.raises(tl.Divergence) as caught:
        tl.simulate(TASK, START, **how)
    assert 1 <= caught.value.trajectory.t.size < 50
    assert caught.value.runs == (0, 1)
    kept = tl.simulate(TASK, START, on_divergence="keep", **how)
    assert kept.t.size > caught.value.trajectory.t.size
    assert np.isnan(kept.risk[:, -1]).all()


# --- runs that fail ----------------------------------------------------------------------


class Failing(Executor):
    """An executor on which run 2 fails."""

    def submit(self, function, *arguments):
        future = Future()
        if arguments[2] == 2:
            future.set_exception(OSError("the machine is gone"))
        else:
            future.set_result(function(*arguments))
        return future


def test_an_executor_that_fails_costs_no_run_that_has_ended(kept):
    with pytest.raises(OSError, match="the machine is gone") as caught:
        tl.simulate(TASK, START, executor=Failing(), **COMMON)
    found = caught.value.trajectory
    others = [0, 1, *range(3, 10)]
    assert found.provenance["run_numbers"] == others
    np.testing.assert_array_equal(found.Q, kept.Q[others])
    assert "9 of 10 runs had ended" in caught.value.__notes__[0]


def test_nor_does_a_function_of_the_users_that_fails():
    calls = iter(range(10**9))

    def sigma(x):
        if next(calls) > 6000:
            raise MemoryError
        return np.tanh(x)

    task = tl.Task(tl.Activation.of(sigma, lambda x: 1 - np.tanh(x) ** 2), "erf")
    with pytest.raises(MemoryError) as caught:
        tl.simulate(task, START, learning_rate=0.3, t_eval=[0.0, 5.0], runs=50)
    assert 1 <= len(caught.value.trajectory.M) < 50


def test_the_explorer_shows_the_runs_that_are_left():
    request = {"activation": "square", "p": 2, "k": 1, "d": 50, "seed": 1, "learning_rate": 0.3}
    answer = compute(request | {"t_max": 50.0, "runs": 10, "theories": ["gradient-flow"]})
    note = next(note for note in answer["notes"] if note.startswith("SGD: "))
    assert "runs left the range of finite numbers; the others are shown" in note
    assert np.isfinite(answer["sgd"]["median"]).all()
