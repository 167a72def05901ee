"""A result as the start of another: each run from its own last state, times absolute."""

import math

import numpy as np
import pytest
import trials

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


# --- schedules and steps --------------------------------------------------------------------

S = tl.schedules
SCHEDULES = [
    S.cosine(1.0, 0.05, t=7.0),
    S.cosine(1.0, 0.05, steps=2000),
    S.cosine(1.0, 0.05, samples=3000),
    S.piecewise({0.0: 1.0, 4.0: 0.3, 6.0: 0.8}),
    S.piecewise({0: 1.0, 500: 0.3, 1500: 0.8}, in_="steps"),
    S.warmup(1.0, 700, then=S.power(1.0, 1.0, t0=900.0, in_="steps")),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=trials.named)
def test_a_flow_in_parts_under_a_schedule_is_the_flow(schedule):
    """In three parts, by times, and by steps."""
    options = {"learning_rate": schedule, "d": 40, "batch": 1 if schedule.in_ == "t" else 2}
    whole = tl.solve(TASK, WEIGHTS.overlaps(), t_eval=LATE, **options)
    first = tl.solve(TASK, WEIGHTS.overlaps(), t_eval=EARLY[:2], **options)
    if schedule.in_ == "t":  # whose steps would be an integral that nobody makes
        with pytest.raises(tl.InvalidInput, match=r"^steps: .*does not know its steps"):
            tl.solve(TASK, first, steps=[10**4], **options)
    then = tl.solve(
        TASK, tl.solve(TASK, first, t_eval=EARLY[2:], **options), t_eval=LATE, **options
    )
    np.testing.assert_array_equal(then.t, LATE)
    np.testing.assert_allclose(then.Q, whole.Q, atol=1e-9)
    np.testing.assert_allclose(then.excess_risk, whole.excess_risk, atol=1e-9)
    steps = np.array([600, 1400, 3000])
    whole = tl.solve(TASK, WEIGHTS.overlaps(), steps=steps, **options)
    first = tl.solve(TASK, WEIGHTS.overlaps(), steps=steps[:1], **options)
    then = tl.solve(TASK, first, steps=steps, **options)
    np.testing.assert_array_equal(then.steps, steps)
    # A function of t that is asked at every step's own time, summed up from another one on.
    np.testing.assert_allclose(then.t, whole.t, rtol=1e-12)
    np.testing.assert_allclose(then.t_asked, whole.t_asked, rtol=1e-12)
    np.testing.assert_allclose(then.Q, whole.Q, atol=1e-9)


@pytest.mark.parametrize("schedule", [*SCHEDULES, falling], ids=trials.named)
@pytest.mark.parametrize("method", ["direct", "projected"])
def test_runs_in_two_parts_go_on_at_the_rate_of_the_schedule(schedule, method):
    """The second part has the steps and times that one run of both would have."""
    options = {"learning_rate": schedule, "batch": 2, "method": method}
    steps = np.array([333, 334, 400, 600, 1701])
    whole = tl.simulate(TASK, WEIGHTS, steps=steps, **options)
    first = tl.simulate(TASK, WEIGHTS, steps=[0, 333], **options)
    then = tl.simulate(TASK, first, steps=steps, **options)
    exact = schedule in SCHEDULES  # others are held for blocks, which begin anew
    for found in (then.steps, then.steps_asked):
        np.testing.assert_array_equal(found, steps)
    np.testing.assert_array_equal(then.samples, 2 * steps)
    tight = 1e-12 if exact and schedule.in_ != "t" else 2e-3
    np.testing.assert_allclose(then.t, whole.t, rtol=tight)
    np.testing.assert_allclose(then.t_asked, then.t, rtol=1e-12)
    by_time = tl.simulate(TASK, first, t_eval=then.t, **options)
    np.testing.assert_array_equal(by_time.steps, steps)
    np.testing.assert_array_equal(by_time.Q, then.Q)
    with pytest.raises(tl.InvalidInput, match=r"^steps: got 332; it must be from 333 on"):
        tl.simulate(TASK, first, steps=[332, 400], **options)


def test_what_is_too_far_is_said_from_where_the_result_ends():
    first = tl.simulate(TASK, WEIGHTS, learning_rate=0.3, t_eval=EARLY)
    short, ends = S.power(1.0, 3.0, t0=5.0, in_="steps"), r"after t = 5, where the result ends"
    with pytest.raises(tl.InvalidInput, match=rf"^t_eval: got times up to 1e\+30 {ends}; .*below"):
        tl.simulate(TASK, first, learning_rate=0.3, t_eval=[1e30])
    with pytest.raises(tl.InvalidInput, match=f"^steps: got up to .* {ends}; .*at most"):
        tl.simulate(TASK, first, learning_rate=short, steps=[10**12])
    with pytest.raises(tl.InvalidInput, match=r"^t_eval: got times up to 100; it must be below 5,"):
        tl.solve(TASK, first, learning_rate=short, t_eval=[100.0], d=40)


def test_the_steps_of_a_flow_are_those_of_its_rate():
    """At a constant rate, and under a schedule in steps, also of what went on itself."""
    d, halved = 40, S.piecewise({0: 0.4, 1000: 0.1}, in_="steps")
    first = tl.solve(TASK, WEIGHTS.overlaps(), learning_rate=0.4, t_eval=[2.0])  # 600 steps
    by_step = tl.solve(TASK, first, learning_rate=0.4, d=d, steps=[600, 900])
    np.testing.assert_allclose(by_step.t, [2.0, 3.0], rtol=1e-14)
    then = tl.solve(TASK, first, learning_rate=halved, d=d, t_eval=[3.0])
    last = tl.solve(TASK, then, learning_rate=halved, d=d, steps=[1000, 1300])
    np.testing.assert_allclose(last.t, [10 / 3, 10 / 3 + 0.25], rtol=1e-12)
    run = tl.simulate(TASK, then, learning_rate=halved, d=d, steps=[900, 1000, 1300])
    np.testing.assert_allclose(run.t, [3.0, 10 / 3, 10 / 3 + 0.25], rtol=1e-12)
    unknown = tl.solve(TASK, WEIGHTS.overlaps(), terms="gradient-flow", t_eval=[2.0])
    for solver in (tl.solve, tl.simulate):
        with pytest.raises(tl.InvalidInput, match=r"^learning_rate: .*does not know its steps"):
            solver(TASK, unknown, learning_rate=halved, d=d, t_eval=[3.0])
        with pytest.raises(tl.InvalidInput, match=r"^steps: .*does not know its steps"):
            solver(TASK, unknown, learning_rate=0.4, d=d, steps=[3000])


@pytest.mark.parametrize("schedule", [*SCHEDULES, falling], ids=trials.named)
def test_the_time_to_a_risk_of_what_went_on_is_that_of_the_whole(schedule):
    options = {"learning_rate": schedule, "d": 40}
    whole = tl.solve(TASK, WEIGHTS.overlaps(), t_eval=[5.0, 8.0], **options)
    first = tl.solve(TASK, WEIGHTS.overlaps(), t_eval=[5.0], **options)
    then = tl.solve(TASK, first, t_eval=[5.0, 8.0], **options)
    level, given = float(whole.risk.mean()), {"learning_rate": falling}
    given = given if schedule is falling else {}
    found = then.time_to(level, **given)
    assert found == pytest.approx(whole.time_to(level, **given), rel=1e-6)
    there = tl.solve(TASK, WEIGHTS.overlaps(), t_eval=[found], **options)
    assert there.risk[0] == pytest.approx(level, rel=1e-6)


def test_what_stops_at_a_risk_stops_when_it_goes_on_too():
    options = {"learning_rate": 0.3}
    first = tl.solve(TASK, WEIGHTS.overlaps(), t_eval=[0.0, 2.0], **options)
    times = np.linspace(2.0, 9.0, 8)
    whole = tl.solve(TASK, first, t_eval=times, **options)
    level = float(whole.risk[3:5].mean())
    for found in (
        tl.solve(TASK, first, t_eval=times, stop_at_risk=level, **options),
        tl.solve(TASK, WEIGHTS.overlaps(), t_eval=times, stop_at_risk=level, **options),
    ):
        np.testing.assert_array_equal(found.t, times[:5])
    particles = tl.Particles.from_weights(WEIGHTS)
    field = tl.solve_mean_field(TASK, particles, np.eye(2), d=40, t_eval=[0.0, 2.0])
    whole = tl.solve_mean_field(TASK, field, t_eval=times)
    level = float(whole.risk[3:5].mean())
    found = tl.solve_mean_field(TASK, field, t_eval=times, stop_at_risk=level)
    np.testing.assert_array_equal(found.t, times[:5])
    assert found.time_to(level) == pytest.approx(whole.time_to(level), rel=1e-6)
    assert times[3] < found.time_to(level) < times[4]


def test_results_are_starts_of_sweeps():
    first = tl.simulate(TASK, WEIGHTS, learning_rate=0.3, t_eval=EARLY, runs=2)
    rates = [0.3, S.cosine(0.3, 0.1, steps=4000)]
    found = tl.sweep(tl.simulate, TASK, first, over={"learning_rate": rates}, t_eval=LATE)
    for n, rate in enumerate(rates):
        one = tl.simulate(TASK, first, learning_rate=rate, t_eval=LATE)
        np.testing.assert_array_equal(found.Q.values[n], one.Q)
