"""A result as the start of another: each run from its own last state, times absolute."""

import math

import numpy as np
import pytest

import twolayer as tl

TASK = tl.Task("erf", noise=1e-2)
WEIGHTS = tl.Weights.gaussian(p=3, k=2, d=40, seed=0)
EARLY, LATE = np.array([0.0, 2.0, 5.0]), np.array([5.0, 6.0, 8.0])


def falling(t):
    return 0.3 / (1 + t)


@pytest.mark.parametrize("rate", [0.3, falling], ids=["constant", "schedule"])
@pytest.mark.parametrize("eta", [0.0, 0.2])
def test_a_flow_in_two_parts_is_the_flow(rate, eta):
    """A schedule and the times are those of the whole."""
    options = {"learning_rate": rate, "second_layer_rate": eta}
    first = tl.solve(TASK, WEIGHTS.overlaps(), t_eval=EARLY, **options)
    then = tl.solve(TASK, first, t_eval=LATE, **options)
    whole = tl.solve(TASK, WEIGHTS.overlaps(), t_eval=LATE, **options)
    np.testing.assert_array_equal(then.t, LATE)
    for name in ("Q", "M", "a", "excess_risk"):
        np.testing.assert_allclose(getattr(then, name), getattr(whole, name), atol=1e-9)
    assert tl.solve(TASK, then, t_eval=[9.0], **options).stage == 2


@pytest.mark.parametrize("method", ["direct", "projected"])
def test_every_run_goes_on_from_its_own_state(method):
    options = {"learning_rate": 0.3, "method": method, "seed": 3}
    first = tl.simulate(TASK, WEIGHTS, t_eval=EARLY, runs=3, **options)
    then = tl.simulate(TASK, first, t_eval=LATE, **options)
    assert then.steps[0] == first.steps[-1]
    np.testing.assert_allclose(then.t, LATE, atol=1e-3)
    np.testing.assert_allclose(then.Q[:, 0], first.Q[:, -1], atol=1e-13)
    np.testing.assert_allclose(then.M[:, 0], first.M[:, -1], atol=1e-13)
    # Its samples are new: those of the first part would repeat its steps from another start.
    again = tl.simulate(TASK, first.overlaps(run=1), d=40, t_eval=LATE - 5, runs=2, **options)
    assert np.abs(again.M[1, 1] - then.M[1, 1]).max() > 1e-6


def test_what_goes_on_has_the_law_of_the_whole():
    """Means of 400 runs each, of the risk and an overlap: false alarm 2e-4 in all."""
    options = {"learning_rate": 0.5, "runs": 400}
    first = tl.simulate(TASK, WEIGHTS, t_eval=[1.0], seed=0, **options)
    then = tl.simulate(TASK, first, learning_rate=0.5, t_eval=[3.0], seed=0)
    whole = tl.simulate(TASK, WEIGHTS, t_eval=[3.0], seed=1, **options)
    for of in (lambda run: run.risk[:, 0], lambda run: run.M[:, 0, 0, 0]):
        means = [of(run).mean() for run in (then, whole)]
        spread = math.hypot(*(of(run).std() / 20 for run in (then, whole)))
        assert abs(means[0] - means[1]) < 4 * spread


def test_another_executor_and_a_checkpoint_change_nothing(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    first = tl.simulate(TASK, WEIGHTS, learning_rate=0.3, t_eval=EARLY, runs=2)
    options = {"learning_rate": 0.3, "t_eval": LATE}
    here = tl.simulate(TASK, first, **options)
    kept = tl.simulate(TASK, first, **options, checkpoint=tmp_path)
    read = tl.simulate(TASK, first, **options, checkpoint=tmp_path)
    with ThreadPoolExecutor(2) as pool:
        there = tl.simulate(TASK, first, **options, executor=pool)
    for other in (kept, read, there):
        np.testing.assert_array_equal(other.Q, here.Q)


def test_a_mean_field_goes_on():
    particles = tl.Particles.from_weights(WEIGHTS)
    options = {"second_layer_ratio": 0.5}
    first = tl.solve_mean_field(TASK, particles, np.eye(2), d=40, t_eval=EARLY, **options)
    then = tl.solve_mean_field(TASK, first, t_eval=LATE, **options)
    whole = tl.solve_mean_field(TASK, particles, np.eye(2), d=40, t_eval=LATE, **options)
    for name in ("M", "q", "a", "excess_risk"):
        np.testing.assert_allclose(getattr(then, name), getattr(whole, name), atol=1e-6)


def test_one_task_after_another_and_what_is_forgotten():
    """Of two targets the first is learned, then the second; the first risk along both paths."""
    both = tl.Weights.gaussian(p=4, k=2, d=30, seed=0)
    one, two, times = [2.0, 0.0], [0.0, 2.0], np.linspace(0, 20, 5)
    first = tl.simulate(TASK, both, learning_rate=0.3, t_eval=times, runs=2, a_star=one)
    then = tl.simulate(TASK, first, learning_rate=0.3, t_eval=20 + times, a_star=two)
    forgotten = tl.excess_risk(TASK, then, a_star=one)
    assert forgotten.shape == (2, 5)
    for run in range(2):
        for time in range(5):
            state = then.overlaps(time, run)
            expected = tl.excess_risk(TASK, tl.Overlaps(state.Q, state.M, state.P, a_star=one))
            assert forgotten[run, time] == pytest.approx(expected, rel=1e-10)
    np.testing.assert_allclose(tl.risk(TASK, first), first.risk, rtol=1e-10)


def test_what_cannot_be_gone_on_from_is_refused():
    runs = tl.simulate(TASK, WEIGHTS, learning_rate=0.3, t_eval=EARLY, runs=2)
    norms = tl.simulate(TASK, WEIGHTS, learning_rate=0.3, t_eval=EARLY, record="norms")
    for call, match in (
        (lambda: tl.solve(TASK, runs, learning_rate=0.3, t_eval=LATE), "one of its runs"),
        (lambda: tl.simulate(TASK, runs, learning_rate=0.3, t_eval=[4.0]), "from 5 on"),
        (lambda: tl.simulate(TASK, runs, learning_rate=0.3, t_eval=LATE, runs=3), "2, those of"),
        (lambda: tl.simulate(TASK, norms, learning_rate=0.3, t_eval=LATE), "norms only"),
        (lambda: tl.excess_risk(TASK, norms), "norms only"),
        (lambda: tl.solve_mean_field(TASK, tl.Particles.from_weights(WEIGHTS), t_eval=[1.0]), "P"),
    ):
        with pytest.raises(tl.InvalidInput, match=match):
            call()
