"""Schedules: against loops, closed forms and quadrature; kept in files; exact at every step."""

import dataclasses
import pickle

import numpy as np
import pytest
import trials
from scipy.integrate import quad

import twolayer as tl
from twolayer.schedules import plain, rate_of_time, restored
from twolayer.sgd.draws import Draws
from twolayer.sgd.pace import counted, held

s = tl.schedules
ALL = [
    s.constant(0.5),
    s.cosine(2.0, 1e-3, t=7.0),
    s.cosine(0.1, 0.4, steps=300),
    s.power(1.0, 0.5, t0=10.0),
    s.power(1.0, 1.0, t0=50.0, in_="steps"),
    s.power(1.0, 2.0, t0=50.0, in_="samples"),
    s.warmup(0.8, 100, then=s.cosine(0.8, 0.1, steps=200)),
    s.warmup(0.8, 3.0, then=s.constant(0.2)),
    s.warmup(0.8, 10, first=1.5, in_="samples"),
    s.piecewise({0: 2.0, 100: 0.5, 350: 1.0}, in_="steps"),
    s.piecewise({0.0: 2.0, 1.5: 0.5}),
]
each = pytest.mark.parametrize("schedule", ALL, ids=trials.named)


@each
def test_numbers_and_arrays_agree_and_the_area_is_that_by_quadrature(schedule):
    x = np.concatenate((np.linspace(0, 500, 301), schedule.jumps))
    values = schedule(x)
    assert values.shape == x.shape
    np.testing.assert_allclose([schedule(float(each)) for each in x], values, rtol=1e-14)
    assert isinstance(schedule(1.0), float)
    for end in (0.0, 1.0, 7.0, 123.4, 500.0):
        points = [jump for jump in (*schedule.jumps, 7.0, 300.0) if jump < end] or None
        found = quad(schedule, 0, end, points=points, epsabs=1e-11, epsrel=1e-11, limit=200)[0]
        assert schedule.area(end) == pytest.approx(found, rel=1e-9, abs=1e-12)


@each
def test_it_is_plain_data_that_compares_by_its_numbers(schedule):
    assert restored(plain(schedule)) == schedule
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert hash(schedule) == hash(restored(plain(schedule)))
    name = next(f.name for f in dataclasses.fields(schedule))
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(schedule, name, "t")
    assert eval(schedule.name, vars(s).copy()) == schedule


def test_closed_forms():
    falling = s.cosine(2.0, 1e-3, steps=30_000)
    x = np.array([0, 10_000, 15_000, 30_000, 10**6])
    wanted = 1e-3 + 1.999 * (1 + np.cos(np.pi * np.minimum(x / 30_000, 1))) / 2
    np.testing.assert_allclose(falling(x), wanted, rtol=1e-15)
    rising = s.warmup(1.0, 10, then=s.piecewise({0: 1.0, 5: 0.1}, in_="steps"))
    assert rising.jumps == (10.0, 15.0)
    assert [rising(n) for n in (0, 5, 10, 14, 15)] == [0.01, 0.505, 1.0, 1.0, 0.1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: s.constant(0), "^rate: got 0"),
        (lambda: s.cosine(1.0, 0.0, steps=10), r"^last: got 0\.0"),
        (lambda: s.cosine(1.0, 0.1), "^t: got none of them"),
        (lambda: s.cosine(1.0, 0.1, t=1.0, steps=3), "^t: got t=1.0, steps=3"),
        (lambda: s.cosine(1.0, 0.1, steps=1.5), r"^steps: got 1\.5"),
        (lambda: s.power(1.0, -1.0), "^exponent: "),
        (lambda: s.power(1.0, 1.0, t0=0.0), "^t0: "),
        (lambda: s.power(1.0, 1.0, in_="epochs"), "^in_: got 'epochs'.*'samples'"),
        (lambda: s.warmup(1.0, 10, then=0.5), "^then: got 0.5"),
        (lambda: s.warmup(1.0, 10, then=s.cosine(1, 2, t=3), in_="steps"), "^then: .*in t"),
        (lambda: s.warmup(1.0, 10, first=0.0), "^first: "),
        (lambda: s.piecewise({1: 2.0}), "^pieces: .*beginning with 0"),
        (lambda: s.piecewise({0: 2.0, 5: 1.0, 3: 1.0}), "^pieces: .*order"),
        (lambda: s.piecewise({0: 2.0, 0.5: 1.0}, in_="steps"), "^pieces: .*whole steps"),
        (lambda: s.piecewise({}), "^pieces: "),
        (lambda: s.piecewise({0: -1}), "^pieces: got -1"),
    ],
    ids=trials.named,
)
def test_bad_numbers_are_refused(make, message):
    with pytest.raises(tl.InvalidInput, match=message.replace("1.0, s", r"1\.0, s")):
        make()


# --- SGD ------------------------------------------------------------------------------------

P, D = 3, 9
TASK, START = tl.Task("erf", noise=0.1), tl.Weights.gaussian(p=P, k=2, d=D, seed=1)


def loop(schedule, t_end, block, batch, seed):
    """Textbook SGD, the rate asked for at each step; W after each step, and its time."""
    draws, sigma = Draws(seed, 0, block, D, 0), TASK.activation.sigma
    W, t, out = START.W, 0.0, [(0.0, START.W)]
    samples, noises = np.empty((0, D)), np.empty(0)
    for step in range(10**6):
        while len(samples) < batch * (step + 1):
            normals = draws.blocks(1)[0][0]
            samples = np.concatenate((samples, normals[:-block].reshape(block, D) / np.sqrt(D)))
            noises = np.concatenate((noises, np.sqrt(0.1) * normals[-block:]))
        rate = schedule({"t": t, "steps": step, "samples": step * batch}[schedule.in_])
        some = slice(step * batch, (step + 1) * batch)
        x, z = samples[some], noises[some]
        fields = x @ W.T
        error = sigma(x @ START.W_star.T).mean(1) + z - sigma(fields).mean(1)
        push = error[:, None] * TASK.activation.derivative(fields)
        W = W + rate / P * push.T @ x / batch
        t += rate / (P * D)
        out.append((t, W))
        if t > t_end:
            return out


IN_STEPS = [
    s.cosine(2.0, 0.1, steps=50),
    s.cosine(0.5, 0.1, samples=100),
    s.power(1.0, 0.5, t0=200.0, in_="samples"),
    s.warmup(1.0, 37, then=s.cosine(0.8, 0.1, steps=40)),
    s.piecewise({0: 1.0, 13: 0.1, 14: 2.0, 70: 0.5}, in_="steps"),
    s.piecewise({0: 1.0, 13: 0.1, 70: 0.5}, in_="samples"),
    s.piecewise({0: 1.0, 0.5: 0.1, 0.501: 0.2, 0.502: 0.3, 0.8: 2.0}),
]


@pytest.mark.parametrize("schedule", IN_STEPS, ids=trials.named)
@pytest.mark.parametrize("batch", [1, 3, 16])
def test_sgd_is_exact_at_every_step(schedule, batch):
    """Within blocks, too: on the same random numbers, step by step."""
    times = [0.0, 0.3, 0.7, 1.0, 2.5]
    options = {"learning_rate": schedule, "batch": batch, "seed": 5, "method": "direct"}
    run = tl.simulate(TASK, START, t_eval=times, **options)
    states = loop(schedule, times[-1], run.provenance["block"], batch, 5)
    clock = np.array([t for t, _ in states])
    for n, when in enumerate(times):
        step = np.abs(clock - when).argmin()
        assert run.steps[n] == step
        assert run.t[n] == pytest.approx(clock[step], rel=1e-13, abs=1e-14)
        W = states[step][1]
        np.testing.assert_allclose(run.Q[0, n], W @ W.T / D, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("batch", [1, 40])
@pytest.mark.parametrize("method", ["direct", "projected"])
def test_compiled_and_numpy_agree(method, batch):
    """To rounding, on the same random numbers, for activations that the kernels do not know."""
    erf = tl.activations.get("erf")
    own = tl.Task(tl.Activation.of(erf.sigma, erf.derivative), noise=0.1)
    start, schedule = tl.Weights.gaussian(p=P, k=2, d=200, seed=1), s.cosine(2.0, 0.1, steps=500)
    options = {"learning_rate": schedule, "t_eval": [0.3, 1.0], "method": method, "batch": batch}
    found = [tl.simulate(task, start, **options) for task in (TASK, own)]
    np.testing.assert_allclose(found[0].Q, found[1].Q, rtol=1e-10, atol=1e-12)


def test_by_steps_it_is_the_same():
    """Steps asked for in place of times: the same runs, and the flow at the same clock."""
    for schedule in IN_STEPS:
        options = {"learning_rate": schedule, "seed": 5, "batch": 2}
        by_time = tl.simulate(TASK, START, t_eval=[0.0, 0.3, 1.0], **options)
        by_step = tl.simulate(TASK, START, steps=by_time.steps, **options)
        assert (by_time.Q == by_step.Q).all()
        assert (by_time.t == by_step.t).all()
        options = {"learning_rate": schedule, "batch": 2, "d": D}
        flow = tl.solve(TASK, START.overlaps(), steps=by_time.steps, **options)
        assert flow.t == pytest.approx(by_time.t, abs=2.0 / (P * D))  # a step
    with pytest.raises(tl.InvalidInput, match=r"^steps: .*with cosine"):
        tl.simulate(TASK, START, learning_rate=IN_STEPS[0], steps=[10**12])


def test_time_to_a_risk_goes_on_at_the_clock_of_the_schedule():
    schedule = s.cosine(2.0, 0.05, steps=3000)
    options = {"learning_rate": schedule, "d": 100}
    flow = tl.solve(TASK, START.overlaps(), t_eval=[0.0, 2.0, 5.0], **options)
    risk = (flow.risk[1] + flow.risk[2]) / 2
    there = tl.solve(TASK, START.overlaps(), t_eval=[flow.time_to(risk)], **options)
    assert there.risk[0] == pytest.approx(risk, rel=1e-6)


def test_a_constant_schedule_has_the_bits_of_the_number():
    options = {"t_eval": [0, 1], "seed": 3}
    number = tl.simulate(TASK, START, learning_rate=0.5, **options)
    same = tl.simulate(TASK, START, learning_rate=s.constant(0.5), **options)
    assert (number.Q == same.Q).all()
    one = s.piecewise({0: 0.5}, in_="steps")
    counted_ones = tl.simulate(TASK, START, learning_rate=one, **options)
    np.testing.assert_array_equal(number.Q, counted_ones.Q)


def test_recording_more_moves_nothing_and_a_checkpoint_knows_its_schedule(tmp_path):
    schedule = IN_STEPS[4]
    few = tl.simulate(TASK, START, learning_rate=schedule, t_eval=[1.0, 3.0])
    many = tl.simulate(TASK, START, learning_rate=schedule, t_eval=[0.2, 1.0, 2.0, 3.0])
    assert (few.Q[0] == many.Q[0, [1, 3]]).all()
    kept = {"t_eval": [1.0, 3.0], "checkpoint": tmp_path}
    for _ in range(2):
        again = tl.simulate(TASK, START, learning_rate=schedule, **kept)
        assert (again.Q == few.Q).all()
    other = s.piecewise({0: 1.0, 13: 0.1, 14: 2.0, 71: 0.5}, in_="steps")
    with pytest.raises(tl.InvalidInput, match=r"^checkpoint: .*schedule="):
        tl.simulate(TASK, START, learning_rate=other, **kept)


def test_held_and_counted_agree_on_times_and_steps():
    schedule = s.piecewise({0: 1.0, 13: 0.1, 5000: 0.5}, in_="steps")
    pace = counted(schedule, 900.0, 27, 1)
    gamma = schedule(np.arange(20_000.0))
    clock = np.concatenate(([0.0], np.cumsum(gamma / 27)))
    some = np.array([0, 1, 12, 13, 4095, 4096, 4097, 9000])
    np.testing.assert_allclose(pace.times(some), clock[some], rtol=1e-12)
    assert (pace.steps(clock[some]) == some).all()
    assert (pace.sizes(4090, 20) == gamma[4090:4110] / 27).all()
    jumps = tuple(clock[[13, 5000]])
    in_t = s.piecewise({0: 1.0, jumps[0]: 0.1, jumps[1]: 0.5})
    same = held(in_t, 900.0, 16, 27, 1, in_t.jumps)
    np.testing.assert_allclose(same.times(some), clock[some], rtol=1e-12)
    assert (same.steps(clock[some]) == some).all()
    assert (same.sizes(0, 9000) == gamma[:9000] / 27).all()


def test_what_steps_never_reach_is_refused():
    short = s.power(1.0, 3.0, t0=5.0, in_="steps")
    with pytest.raises(tl.InvalidInput, match=r"^t_eval: .*add up"):
        tl.solve(TASK, START.overlaps(), learning_rate=short, d=D, t_eval=[100.0])


# --- the flow -------------------------------------------------------------------------------


def test_the_clock_of_a_schedule_in_steps():
    for schedule in IN_STEPS[:-1]:
        gamma, jumps = rate_of_time(schedule, P, 50, 2, 0.1)
        unit = 2 if schedule.in_ == "samples" else 1
        for x in (0.0, 1.0, 36.5, 60.0, 199.0):
            t = schedule.area(x) / (P * 50 * unit)
            assert gamma(t) == pytest.approx(schedule(x), rel=1e-10)
        for jump, t in zip(schedule.jumps, jumps, strict=True):
            assert gamma(t) == schedule(jump)
            before = t - 64 * np.spacing(t)
            assert gamma(before) == pytest.approx(schedule(np.nextafter(jump, 0)), rel=1e-9)
    with pytest.raises(tl.InvalidInput, match=r"^d: got None.*a step is a time of γ/\(p d\)"):
        tl.solve(TASK, START.overlaps(), learning_rate=IN_STEPS[0], t_eval=[1.0])


@pytest.mark.parametrize("method", ["LSODA", "DOP853", "CVODE"])
def test_the_flow_is_that_of_its_pieces(method):
    """Each piece with its own number, begun where the last one ended."""
    if method == "CVODE":
        pytest.importorskip("sksundae")
    schedule = s.piecewise({0: 3.0, 3000: 0.2, 3003: 3.0, 9000: 0.5}, in_="steps")
    d, start = 100, START.overlaps()
    clock = np.array([schedule.area(x) for x in (0, 3000, 3003, 9000, 20_000)]) / (P * d)
    whole = tl.solve(TASK, start, learning_rate=schedule, d=d, t_eval=clock, method=method)
    here = start
    for n, rate in enumerate(schedule.rates):
        t = [clock[n + 1] - clock[n]]
        here = tl.solve(TASK, here, learning_rate=rate, d=d, t_eval=t, method=method).overlaps()
        np.testing.assert_allclose(whole.Q[n + 1], here.Q, rtol=1e-7, atol=1e-9)
    in_t = s.piecewise(dict(zip(clock[:-1], schedule.rates, strict=True)))
    same = tl.solve(TASK, start, learning_rate=in_t, d=d, t_eval=clock, method=method)
    np.testing.assert_allclose(same.Q, whole.Q, rtol=1e-7, atol=1e-9)


def test_sgd_lies_on_the_flow():
    """In a high dimension, to 1 %; with constants in place of the schedule it does not."""
    schedule, d, t = s.warmup(3.0, 3000, then=s.cosine(3.0, 0.1, steps=30_000)), 2000, [1.0, 8.0]
    options = {"learning_rate": schedule, "d": d, "t_eval": t}
    flow = tl.solve(TASK, START.overlaps(), **options)
    sgd = tl.simulate(TASK, START.overlaps(), **options, runs=4)
    assert sgd.risk.mean(0) == pytest.approx(flow.risk, rel=0.01)


def test_other_terms_and_batches_take_d_for_the_clock_only():
    start, clock = START.overlaps(), {"learning_rate": IN_STEPS[0], "t_eval": [0.5, 1.0]}
    noise = tl.solve(TASK, start, terms="gradient-flow+noise", d=50, **clock)
    gamma, _ = rate_of_time(IN_STEPS[0], P, 50, 1, 1.0)
    clock["learning_rate"] = gamma
    same = tl.solve(TASK, start, terms="gradient-flow+noise", **clock)
    np.testing.assert_allclose(noise.Q, same.Q, rtol=1e-8)
    full = tl.solve(TASK, start, learning_rate=IN_STEPS[1], d=50, batch=2, t_eval=[0.5, 1.0])
    clock["learning_rate"] = rate_of_time(IN_STEPS[1], P, 50, 2, 1.0)[0]
    same = tl.solve(TASK, start, batch=2, **clock)
    np.testing.assert_allclose(full.Q, same.Q, rtol=1e-8)
    assert full.parameters["d"] == 50


# --- files, sweeps --------------------------------------------------------------------------


@pytest.mark.parametrize("solver", [tl.solve, tl.simulate])
def test_a_file_says_the_same_schedule(solver, tmp_path):
    schedule = s.warmup(1.0, 37, then=s.piecewise({0: 0.8, 40: 0.1}, in_="steps"))
    found = solver(TASK, START.overlaps(), learning_rate=schedule, d=D, t_eval=[0.0, 1.0])
    assert found.parameters["learning_rate"] == schedule
    back = tl.Trajectory.load(found.save(tmp_path / "x.nc"))
    assert back.parameters["learning_rate"] == schedule
    assert back.parameters == found.parameters
    assert "Σ γ(t)" in back.to_xarray().time.attrs["long_name"]


def test_schedules_can_be_swept(tmp_path):
    rates = [s.constant(0.5), s.cosine(0.5, 0.1, steps=30)]
    options = {"d": D, "t_eval": [0.0, 1.0]}
    start = START.overlaps()
    found = tl.sweep(
        tl.simulate, TASK, start, over={"learning_rate": rates}, folder=tmp_path, **options
    )
    assert found.learning_rate.values.tolist() == [rate.name for rate in rates]
    one = tl.simulate(TASK, start, learning_rate=rates[1], **options)
    assert (found.Q.values[1] == one.Q).all()


def test_what_will_take_minutes_is_said_with_the_schedule(monkeypatch):
    monkeypatch.setattr("twolayer.support.progress.LONG", 0.0)
    with pytest.warns(tl.CostWarning, match=r"1 runs of \d+ steps of cosine\(0\.5, 0\.1, steps=3"):
        tl.simulate(TASK, START, learning_rate=s.cosine(0.5, 0.1, steps=30), t_eval=[1.0])
