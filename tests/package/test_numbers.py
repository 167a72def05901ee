"""The same numbers from any executor, in any order, at any recording, on any threads."""

import dataclasses
import os
import signal
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import dask
import distributed
import numpy as np
import pytest
import trials
from conftest import contents

import twolayer as tl
from companion.figures import make as figures
from companion.figures.__main__ import main
from twolayer.support.checks import InvalidInput
from twolayer.support.cluster import cluster


@pytest.fixture(scope="module")
def dask_cluster(tmp_path_factory):
    """A Dask cluster of two workers on this machine."""
    place = tmp_path_factory.mktemp("dask")
    with (
        dask.config.set({"temporary-directory": str(place)}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
        ) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def here():
    return trials.on_executor(None)


def test_threads_and_processes(here):
    for workers in (1, 2, 3):
        with ThreadPoolExecutor(workers) as executor:
            assert trials.same_bits(trials.on_executor(executor), here)
    with ProcessPoolExecutor(2, get_context("spawn")) as executor:
        assert trials.same_bits(trials.on_executor(executor), here)


def test_more_runs_or_fewer(here):
    fields = {n: getattr(here, n)[:1] for n in ("Q", "M", "a", "excess_risk")}
    first = dataclasses.replace(here, **fields)
    assert trials.same_bits(trials.on_executor(None, runs=1), first)


def test_dask(here, dask_cluster):
    with cluster(dask_cluster.scheduler_address) as executor:
        assert trials.same_bits(trials.on_executor(executor), here)


def die_half_way(mark, work, plan, *arguments):
    """Work that kills its process in the middle, the first time that it is done."""

    def report(done):
        if done >= plan.samples[-1] / 2:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return work(plan, *arguments)
    work(plan, *arguments, report=report)
    raise AssertionError("it was not killed")


class Deadly(Executor):
    """One whose first work does not come back."""

    def __init__(self, inner, mark):
        self.inner, self.mark = inner, mark

    def submit(self, work, *arguments):
        return self.inner.submit(die_half_way, self.mark, work, *arguments)


def test_a_killed_dask_worker_costs_only_time(here, dask_cluster, tmp_path):
    with cluster(dask_cluster.scheduler_address) as executor:
        run = trials.on_executor(Deadly(executor, tmp_path / "mark"))
    assert trials.same_bits(run, here)
    assert (tmp_path / "mark").exists()


def test_figures_on_dask(clone, dask_cluster, capsys):
    figures.make(clone)
    whole = contents(clone)
    address = dask_cluster.scheduler_address
    assert main(["--force", "--dask", address, "--root", str(clone)]) == 0
    assert capsys.readouterr().out.strip() == "made tiny"
    assert contents(clone) == whole
    assert figures.make(clone) == []


@pytest.mark.parametrize("address", ["nowhere", "tcp://127.0.0.1:1", "", "ftp://x", 5])
def test_a_cluster_that_is_not_there(address, monkeypatch):
    monkeypatch.setattr("twolayer.support.cluster._PATIENCE", 0.5)
    with pytest.raises(InvalidInput, match="address of a Dask scheduler") as caught:
        cluster(address).__enter__()
    assert caught.value.argument == "dask"


def test_numbers_of_blas_threads():
    """Rounding depends on how a product is split; 1e-12 is what the book states."""
    of = {n: trials.with_threads(n) for n in (1, 2, 4)}
    for name in ("sgd", "ode"):
        assert trials.spread({n: of[n][name] for n in of}) < 1e-12


@pytest.mark.parametrize("method", ["direct", "projected"])
def test_recording_more_often_changes_nothing(method):
    task, start = tl.Task("erf", noise=0.1), tl.Weights.gaussian(p=3, k=2, d=40, seed=0)
    rng = np.random.default_rng(0)
    few = np.sort(rng.uniform(0, 3, 5))
    common = {"learning_rate": 0.5, "seed": 1, "runs": 2, "method": method}
    base = tl.simulate(task, start, t_eval=few, **common)
    for extra in (1, 30, 300):
        many = np.sort(np.concatenate((few, rng.uniform(0, 3, extra))))
        run = tl.simulate(task, start, t_eval=many, **common)
        at = np.searchsorted(run.steps, base.steps)
        np.testing.assert_array_equal(run.Q[:, at], base.Q)
        np.testing.assert_array_equal(run.M[:, at], base.M)
        np.testing.assert_array_equal(run.excess_risk[:, at], base.excess_risk)
