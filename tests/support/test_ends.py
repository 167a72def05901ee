"""Times however small or large, and clusters that cannot work: an answer, or a refusal."""

import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from conftest import ROOT

import twolayer as tl
from companion.figures.__main__ import main
from twolayer.support import cluster
from twolayer.support import integrate as stepping
from twolayer.support.integrate import ODE_METHODS
from twolayer.theory.exits import exit_time
from twolayer.theory.linear_noise import fluctuations

TASK, START = tl.Task("erf", noise=1e-3), tl.Weights.gaussian(p=3, k=2, d=20, seed=0)
SMALL = [5e-324, 1e-310, 1e-300, 1e-200, 1e-120, 1e-60, 1e-20]
FAR = [1e16, 1e100, 1e308]


def flow(t, method="LSODA"):
    return tl.solve(TASK, START.overlaps(), learning_rate=0.5, t_eval=t, method=method)


def field(t, method="DOP853"):
    particles, P = tl.Particles.from_weights(START), START.overlaps().P
    return tl.solve_mean_field(TASK, particles, P, d=20, t_eval=t, method=method)


def sgd(t, method="auto"):
    return tl.simulate(TASK, START, learning_rate=0.5, t_eval=t, method=method)


CALLS = [(call, method) for call in (flow, field) for method in ODE_METHODS]
CALLS += [(sgd, "direct"), (sgd, "projected")]
IDS = [f"{call.__name__}-{method}" for call, method in CALLS]


@pytest.mark.parametrize("t", SMALL)
@pytest.mark.parametrize(("call", "method"), CALLS, ids=IDS)
def test_a_time_below_the_resolution_of_floating_point_is_the_start(call, method, t):
    found, start = call([t], method), call([0.0], method)
    for name in ("M", "excess_risk"):
        np.testing.assert_allclose(getattr(found, name), getattr(start, name), rtol=1e-12)


@pytest.mark.parametrize("t", FAR)
@pytest.mark.parametrize(("call", "method"), CALLS, ids=IDS)
def test_a_time_that_nobody_will_see_is_refused(call, method, t):
    with pytest.raises(
        tl.InvalidInput, match=rf"^t_eval: got times up to {t:.3g}".replace("+", "\\+")
    ):
        call([0.0, t], method)


def test_small_times_stand_beside_others():
    t = [0.0, 5e-324, 1e-200, 1e-30, 0.1]
    np.testing.assert_allclose(flow(t).risk[:4], flow([0.0]).risk[0], rtol=1e-12)
    np.testing.assert_allclose(flow(t).risk[4], flow([0.1]).risk[0], rtol=1e-9)
    assert sgd([5e-324, 1e-200, 0.5]).steps[0] == 0


@pytest.mark.parametrize("call", [flow, field])
def test_late_times_are_right_or_refused_once_they_are_seen_to_be_out_of_reach(call, monkeypatch):
    late = call([1e5], "LSODA").excess_risk[0], call([1e9], "LSODA").excess_risk[0]
    assert late[1] <= late[0] + 1e-12
    monkeypatch.setattr(stepping, "_LOOK", 50)
    with pytest.raises(tl.InvalidInput, match=r"derivatives away by DOP853.*LSODA, Radau, BDF"):
        call([1e14], "DOP853")


def test_a_flow_that_blows_up_is_not_taken_for_a_slow_one():
    with pytest.raises(tl.Divergence):
        tl.solve(tl.Task("square"), START.overlaps(), learning_rate=50.0, t_eval=[0.0, 1e9])


@pytest.mark.parametrize("t", [5e-324, 1e-200, 1e-30])
def test_so_are_the_times_of_fluctuations_and_exits(t):
    band = fluctuations(tl.Task("erf"), START.overlaps(), learning_rate=0.5, d=100, t_eval=[t])
    assert (band.risk_std < 1e-10).all()
    near = tl.Overlaps([[1.0]], [[0.01]], [[1.0]])
    assert exit_time(tl.Task("square"), near, learning_rate=0.05, t_max=t) == np.inf
    never = tl.Overlaps([[1.0]], [[0.0]], [[1.0]])
    assert exit_time(tl.Task("square"), never, learning_rate=0.05, t_max=1e308) == np.inf


# --- Dask -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scheduler():
    """The address of a cluster without workers."""
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 0, "processes": False, "dashboard_address": ":0"}
    with distributed.LocalCluster(host="tcp://127.0.0.1", **options) as local:
        yield local.scheduler_address


def refused(scheduler, match):
    from distributed import Client

    with Client(scheduler) as client:
        executor = client.get_executor()
        for call in (sgd_on, exit_times_on):
            with pytest.raises(tl.InvalidInput, match=match):
                call(executor)


def sgd_on(executor):
    return tl.simulate(TASK, START, learning_rate=0.5, t_eval=[1.0], runs=2, executor=executor)


def exit_times_on(executor):
    from twolayer.theory.exit_runs import exit_times

    return exit_times(100, learning_rate=0.05, executor=executor)


def test_a_cluster_without_workers_is_refused(scheduler, monkeypatch, capsys):
    monkeypatch.setattr(cluster, "_WORKERS", 0.3)
    refused(scheduler, "^executor: got a Dask cluster without workers.*wait_for_workers")
    assert main(["4", "--force", "--dask", scheduler, "--root", str(ROOT)]) == 1
    assert "without workers" in capsys.readouterr().err


def test_a_worker_without_the_package_is_refused_and_named(scheduler):
    """A worker on which the package cannot be imported."""
    script = (
        "import sys; sys.modules['twolayer'] = None\n"
        "import asyncio, distributed\n"
        "async def work():\n"
        f"    worker = await distributed.Worker({scheduler!r}, nthreads=1, dashboard=False)\n"
        "    await worker.finished()\n"
        "asyncio.run(work())\n"
    )
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", script], **pipes) as worker:
        try:
            from distributed import Client

            with Client(scheduler) as client:
                client.wait_for_workers(1, timeout=60)
            refused(scheduler, "^executor: got a Dask cluster with tcp://.*twolayer")
        finally:
            worker.kill()
            worker.wait()


def test_workers_of_another_version_are_refused(monkeypatch):
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 1, "processes": False, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options) as local, distributed.Client(local) as client:
        assert sgd_on(client.get_executor()).risk.shape == (2, 1)
        # The worker is a thread of this process.
        there = lambda _: threading.current_thread() is threading.main_thread()  # noqa: E731
        monkeypatch.setattr(cluster, "digest_of", there)
        with pytest.raises(tl.InvalidInput, match="another version of it"):
            cluster.check_workers(client.get_executor(), "chain")
        monkeypatch.setattr(cluster, "_ANSWER", 0.2)
        monkeypatch.setattr(cluster, "digest_of", lambda _: time.sleep(2))
        with pytest.raises(tl.InvalidInput, match="a silent worker"):
            cluster.check_workers(client.get_executor(), "chain")
