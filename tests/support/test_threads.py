"""Right from any number of threads, and Ctrl-C is heard: nothing is shared that must not be."""

import contextlib
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import trials
from conftest import ROOT
from scipy.integrate import odeint, solve_ivp

import twolayer as tl
from twolayer.explorer.compute import compute
from twolayer.flow import following as ode
from twolayer.sgd import run as chain
from twolayer.support import integrate as stepping
from twolayer.support.threads import _SmallWork, apart, on_all_cores, one_core
from twolayer.theory import covariance
from twolayer.theory import linear_noise as fluctuations
from twolayer.theory.exit_runs import exit_times
from twolayer.theory.exits import exit_time

TASK = tl.Task("erf", noise=1e-3)
WEIGHTS = tl.Weights.gaussian(p=3, k=2, d=20, seed=0)
START, T = WEIGHTS.overlaps(), [1.0, 10.0, 100.0]


def flow(number):
    return tl.solve(TASK, START, learning_rate=0.5 + number % 3 / 10, t_eval=T, progress=False)


def field(number):
    particles, method = tl.Particles.from_weights(WEIGHTS), ("LSODA", "DOP853", "BDF")[number % 3]
    P = START.P
    return tl.solve_mean_field(TASK, particles, P, d=20, t_eval=[5.0], method=method)


def explored(number):
    answer = compute({"p": 3, "d": 20, "t_max": 10.0, "seed": number % 3})
    return np.array([curve["excess_risk"] for curve in answer["curves"]])


@pytest.mark.parametrize("call", [flow, field, explored])
def test_from_24_threads_the_bits_are_those_of_one(call):
    numbers = lambda found: getattr(found, "excess_risk", found)  # noqa: E731
    alone = [numbers(call(number)) for number in range(3)]
    with ThreadPoolExecutor(24) as pool:
        together = list(pool.map(call, range(24)))
    for number, found in enumerate(together):
        np.testing.assert_array_equal(numbers(found), alone[number % 3])


def test_the_oldest_scipy_that_may_be_installed_has_no_lsoda_of_shared_state():
    """Before 1.17 its state is one for all threads; where it may be older there is one thread."""
    allowed = re.findall(r'"scipy>=(\d+)\.(\d+)(.*)"', (ROOT / "pyproject.toml").read_text())
    for major, minor, where in allowed:
        assert (int(major), int(minor)) >= (1, 17) or "== 'Emscripten'" in where


def by_solve(t):
    return tl.solve(TASK, START, learning_rate=0.3, t_eval=[1.0], progress=False).risk[0]


def by_mean_field(t):
    particles = tl.Particles.from_weights(WEIGHTS)
    common = {"d": 20, "t_eval": [0.1], "progress": False}
    return tl.solve_mean_field(TASK, particles, START.P, method="LSODA", **common).risk[0]


def by_scipy(t):
    at = solve_ivp(lambda s, y: -y, (0, 1), [1.0], "LSODA", rtol=1e-8).y[0, -1]
    return at + odeint(lambda y, s: -y, [1.0], [0.0, 1.0])[-1, 0]


@pytest.mark.parametrize("inner", [by_solve, by_mean_field, by_scipy])
@pytest.mark.parametrize("method", ["LSODA", "Radau", "DOP853"])
def test_a_schedule_may_integrate_in_its_turn(inner, method):
    common = {"t_eval": [0.1, 1.0], "method": method, "rtol": 1e-6, "progress": False}
    nested = tl.solve(TASK, START, learning_rate=lambda t: 0.5 + 0 * inner(t), **common)
    plain = tl.solve(TASK, START, learning_rate=lambda t: 0.5, **common)
    np.testing.assert_array_equal(nested.excess_risk, plain.excess_risk)


def test_so_may_a_schedule_of_the_fluctuations():
    one, how = tl.Overlaps([[1.0]], [[0.3]], [[1.0]]), {"d": 100, "t_eval": [0.1]}
    how["learning_rate"] = lambda t: 0.5 + 0 * by_solve(t)
    nested = fluctuations.fluctuations(TASK, one, **how)
    plain = fluctuations.fluctuations(TASK, one, **how | {"learning_rate": lambda t: 0.5})
    np.testing.assert_array_equal(nested.covariance, plain.covariance)


def test_so_may_a_schedule_within_a_schedule_and_an_activation():
    def inner(t):
        return tl.solve(TASK, START, learning_rate=lambda s: by_solve(s), t_eval=[0.1]).risk[0]

    common = {"t_eval": [0.1], "rtol": 1e-3, "atol": 1e-6, "progress": False}
    found = tl.solve(TASK, START, learning_rate=lambda t: 0.5 + 0 * inner(t), **common)
    plain = tl.solve(TASK, START, learning_rate=lambda t: 0.5, **common)
    np.testing.assert_array_equal(found.excess_risk, plain.excess_risk)

    def sigma(x):
        return np.tanh(x) + 0 * by_scipy(0.0)

    task = tl.Task(tl.Activation.of(sigma, lambda x: 1 - np.tanh(x) ** 2))
    one, plain = tl.Overlaps([[1.0]], [[0.3]], [[1.0]]), tl.Task("tanh")
    how = {"learning_rate": 0.5, "t_eval": [0.1], "rtol": 1e-4}
    found = tl.solve(task, one, **how).excess_risk
    np.testing.assert_allclose(found, tl.solve(plain, one, **how).excess_risk, rtol=1e-6)
    how = {"learning_rate": 0.1, "threshold": 0.12}
    assert exit_time(task, one, **how) == pytest.approx(exit_time(plain, one, **how), rel=1e-4)


def test_what_a_schedule_raises_is_raised():
    def broken(t):
        if t > 0:
            raise ZeroDivisionError
        return 0.5

    with pytest.raises(tl.InvalidInput, match="ZeroDivisionError at t = "):
        tl.solve(TASK, START, learning_rate=broken, t_eval=[1.0])
    assert tl.solve(TASK, START, learning_rate=0.5, t_eval=[1.0]).t.size == 1


# --- Ctrl-C -----------------------------------------------------------------------------


def press():
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


@contextlib.contextmanager
def never_ending():
    """A call that has Ctrl-C sent and does not return until the test is over."""
    over = threading.Event()

    def call(*_, **__):
        press()
        assert over.wait(60), "the main thread did not hear it"

    try:
        yield call
    finally:
        over.set()


def test_a_call_made_apart_is_left_on_ctrl_c():
    with never_ending() as call, pytest.raises(KeyboardInterrupt):
        apart(lambda _: call())


def test_what_is_asked_for_from_apart_is_interrupted_as_well():
    """And whoever asked is told, and told again."""
    told = []

    def work(ask):
        for _ in range(2):
            try:
                ask(interrupt)
            except KeyboardInterrupt:
                told.append(True)

    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apart(work)
    for _ in range(100):
        if len(told) == 2:
            break
        time.sleep(0.05)
    assert told == [True, True]


@pytest.mark.parametrize("cores", [1, 2])
def test_ctrl_c_leaves_work_spread_over_the_cores(monkeypatch, cores):
    monkeypatch.setattr("twolayer.support.threads.os.cpu_count", lambda: cores)
    with never_ending() as call, pytest.raises(KeyboardInterrupt):
        on_all_cores(call, 4, work=1e12)


def test_ctrl_c_leaves_the_linear_algebra_of_an_implicit_step(monkeypatch):
    monkeypatch.setattr(stepping, "_MANY", 1)
    with never_ending() as call:
        monkeypatch.setattr("scipy.integrate.Radau.step", call)
        with pytest.warns(RuntimeWarning, match="interrupted: the 1 times reached"):
            found = tl.solve(TASK, START, learning_rate=0.5, t_eval=[0.0, 1.0], method="Radau")
    assert found.t.tolist() == [0.0]


def test_ctrl_c_leaves_a_block_that_takes_long(monkeypatch):
    monkeypatch.setattr(chain, "_LONG", 0.0)
    with never_ending() as call:
        monkeypatch.setattr(chain.Workspace, "_step", lambda space, *how: call(*how))
        with pytest.warns(RuntimeWarning, match="interrupted: 1 run"):
            found = tl.simulate(TASK, WEIGHTS, learning_rate=0.5, t_eval=[0.0, 1.0], runs=3)
    assert found.t.tolist() == [0.0]


def test_a_long_block_beside_the_main_thread_has_the_same_bits(monkeypatch):
    how = {"learning_rate": 0.5, "t_eval": [0.1, 1.0], "runs": 2}
    plain = tl.simulate(TASK, WEIGHTS, **how)
    monkeypatch.setattr(chain, "_LONG", 0.0)
    assert trials.same_bits(tl.simulate(TASK, WEIGHTS, **how), plain)


def test_ctrl_c_leaves_a_step_of_the_fluctuations(monkeypatch):
    monkeypatch.setattr(covariance, "_LARGE", 0)
    with never_ending() as call:
        monkeypatch.setattr(covariance, "_two_steps", call)
        with pytest.raises(KeyboardInterrupt):
            fluctuations.fluctuations(TASK, START, learning_rate=0.5, d=100, t_eval=[1.0])


def test_ctrl_c_within_the_flow_ends_the_fluctuations(monkeypatch):
    def interrupted(task, start, t_eval, **how):
        return tl.solve(task, start, t_eval=t_eval[:1], **how)

    monkeypatch.setattr(fluctuations, "solve", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fluctuations.fluctuations(TASK, START, learning_rate=0.5, d=100, t_eval=[0.0, 1.0])


@pytest.mark.parametrize("when", ["before", "in"])
def test_ctrl_c_is_not_followed_by_the_errors_of_the_quadrature(monkeypatch, when):
    def interrupt(*_):
        raise KeyboardInterrupt

    calls = [ode.refined, interrupt if when == "in" else lambda *_: pytest.fail("asked for")]
    monkeypatch.setattr(ode, "refined", lambda *arguments: calls.pop(0)(*arguments))
    if when == "before":
        monkeypatch.setattr(stepping.Progress, "to", interrupt)
    with pytest.warns(RuntimeWarning, match="interrupted"):
        found = tl.solve(TASK, START, learning_rate=0.5, t_eval=[0.0, 1.0])
    assert found.t.size == (1 if when == "before" else 2)


def interrupted(begun):
    """Send Ctrl-C when `begun` is set, and as a user would again if nothing ends within 20 s.

    One that Python raises where exceptions are ignored, as in a finaliser, is lost.  Set what is
    returned at the end.
    """
    ended = threading.Event()

    def hand():
        begun.wait(60)
        press()
        while not ended.wait(20):
            press()

    threading.Thread(target=hand, daemon=True).start()
    return ended


def test_ctrl_c_ends_the_runs_in_a_pool_and_keeps_those_that_ended(monkeypatch):
    begun, real = threading.Event(), chain.run

    def run(plan, number, folder, report):
        if number == 0:
            return real(plan, number, folder, report)
        begun.set()
        while True:
            try:
                report(1.0)
            except KeyboardInterrupt:
                return real(plan, number, folder, report)
            time.sleep(0.01)

    monkeypatch.setattr("twolayer.sgd.elsewhere.run", run)
    how = {"learning_rate": 0.5, "t_eval": [0.1, 30.0]}
    ended = interrupted(begun)
    with (
        ThreadPoolExecutor(1) as pool,
        pytest.warns(RuntimeWarning, match="interrupted: 1 run"),
    ):
        found = tl.simulate(TASK, WEIGHTS, runs=4, executor=pool, **how)
    ended.set()
    monkeypatch.undo()
    assert trials.same_bits(found, tl.simulate(TASK, WEIGHTS, runs=1, **how))
    assert found.provenance["run_numbers"] == [0]


def test_ctrl_c_ends_exit_times_in_a_pool(monkeypatch):
    begun = threading.Event()
    monkeypatch.setattr(
        "twolayer.theory.exit_runs.while_there",
        lambda folder, real=exit_times.__globals__["while_there"]: (begun.set(), real(folder)),
    )
    ended = interrupted(begun)
    with ThreadPoolExecutor(2) as pool, pytest.raises(KeyboardInterrupt):
        exit_times(10**12, learning_rate=0.05, t_max=10.0, runs=64, executor=pool)
    ended.set()


def test_small_products_stay_on_one_core_until_the_last_of_them_is_done(monkeypatch):
    """Of two pieces of work that overlap, the one that ends first takes no limit away."""
    from threadpoolctl import threadpool_info, threadpool_limits

    def limits():
        return {lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"}

    # Calls that others left to end by themselves may still be under way.
    monkeypatch.setattr("twolayer.support.threads._SMALL", _SmallWork())
    with threadpool_limits(2, "blas"):
        with one_core(1e12):
            assert limits() == {2}
        first, second = one_core(1e6), one_core(1e6)
        first.__enter__()
        second.__enter__()
        assert limits() == {1}
        first.__exit__(None, None, None)
        assert limits() == {1}
        second.__exit__(None, None, None)
        assert limits() == {2}
