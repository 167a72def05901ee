"""Times, steps and samples: three clocks of one run, and rows that align over all runs."""

import warnings

import numpy as np
import pytest
import xarray

import twolayer as tl

TASK, START = tl.Task("erf", noise=0.1), tl.Weights.gaussian(p=3, k=2, d=20, seed=0)
OVERLAPS, P_D = START.overlaps(), 3 * 20
RATE = {"learning_rate": 0.5}


def falling(t):
    return 0.5 / (1 + t)


# --- asked by steps -----------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("rate", [0.5, falling])
def test_steps_and_times_are_two_ways_to_ask(rate, batch):
    steps = [0, 3, 3, 100, 5000]
    how = {"learning_rate": rate, "batch": batch, "runs": 2}
    run = tl.simulate(TASK, START, steps=steps, **how)
    assert run.steps.tolist() == [0, 3, 100, 5000]
    assert run.samples.tolist() == [0, 3 * batch, 100 * batch, 5000 * batch]
    assert run.samples.dtype == run.steps.dtype == np.int64
    assert run == tl.simulate(TASK, START, t_eval=run.t_asked, **how)
    if rate == 0.5:
        np.testing.assert_allclose(run.t, run.steps * 0.5 / P_D, rtol=1e-15)


def test_recorded_bits_do_not_depend_on_the_clock():
    few = tl.simulate(TASK, START, steps=[17, 900], **RATE)
    many = tl.simulate(TASK, START, steps=range(901), **RATE)
    np.testing.assert_array_equal(few.Q[0], many.Q[0, [17, 900]])


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("terms", ["gradient-flow", "gradient-flow+noise", "full"])
def test_solve_takes_the_times_of_steps(terms, batch):
    how = {"terms": terms, "batch": batch, "rtol": 1e-6, **RATE}
    sol = tl.solve(TASK, OVERLAPS, steps=[0, 60, 60, 1200], d=20, **how)
    run = tl.simulate(TASK, START, steps=[0, 60, 1200], batch=batch, **RATE)
    np.testing.assert_array_equal(sol.t, run.t)
    np.testing.assert_array_equal(sol.steps, run.steps)
    np.testing.assert_array_equal(sol.samples, run.samples)
    finite = {"d": 20} if (terms, batch) == ("full", 1) else {}
    np.testing.assert_array_equal(sol.Q, tl.solve(TASK, OVERLAPS, t_eval=run.t, **finite, **how).Q)
    assert sol.parameters["d"] == 20
    infinite = tl.solve(TASK, OVERLAPS, t_eval=run.t, **how)
    assert (infinite.Q[-1] == sol.Q[-1]).all() == (finite == {})
    assert infinite.steps is infinite.samples is None


def test_a_schedule_has_its_own_clock():
    """Added up here step by step; of more than 10⁶ steps against the solution of dt/dn = γ/(pd)."""
    t, times = 0.0, []
    for _ in range(3001):
        times.append(t)
        t += falling(t) / P_D
    how = {"learning_rate": falling, "d": 20, "rtol": 1e-6}
    sol = tl.solve(TASK, OVERLAPS, steps=[0, 1, 50, 3000], **how)
    np.testing.assert_allclose(sol.t, np.array(times)[[0, 1, 50, 3000]], rtol=1e-13)
    n = 3_000_000
    late = tl.solve(TASK, OVERLAPS, steps=[n], terms="gradient-flow", **how | {"d": 10**5})
    assert late.t[0] == pytest.approx(np.sqrt(1 + 2 * n * 0.5 / (3 * 10**5)) - 1, rel=2e-6)


@pytest.mark.parametrize("solver", ["solve", "simulate"])
def test_exactly_one_clock_is_given(solver):
    start = OVERLAPS if solver == "solve" else START

    def call(**how):
        return getattr(tl, solver)(TASK, start, d=20, **RATE | how)

    with pytest.raises(tl.InvalidInput, match=r"^t_eval: got None; .*steps="):
        call()
    with pytest.raises(tl.InvalidInput, match=r"^steps: got \[1\]; .*t_eval is given"):
        call(t_eval=[1.0], steps=[1])
    for bad in ([1.5], [-1, 2], [3, 2], [], 3, "x", [np.nan], [[1]], [2.0**60], [True]):
        with pytest.raises(tl.InvalidInput, match=r"^steps: got"):
            call(steps=bad)
    assert call(steps=[0.0, 2.0]).steps.tolist() == [0, 2]


def test_what_else_steps_want_of_solve():
    with pytest.raises(tl.InvalidInput, match=r"^d: got None; .*steps"):
        tl.solve(TASK, OVERLAPS, steps=[1], **RATE)
    with pytest.raises(tl.InvalidInput, match=r"^learning_rate: got None; .*steps"):
        tl.solve(TASK, OVERLAPS, steps=[1], d=20, terms="gradient-flow")
    with pytest.raises(tl.InvalidInput, match=r"^d: got 20"):
        tl.solve(TASK, OVERLAPS, t_eval=[1], d=20, terms="gradient-flow")
    with pytest.raises(tl.InvalidInput, match=r"^d: got 1;"):
        tl.solve(TASK, OVERLAPS, steps=[1], d=1, terms="gradient-flow", **RATE)
    with pytest.raises(tl.InvalidInput, match=r"^steps: .*schedule"):
        tl.simulate(TASK, START, steps=[2**50], learning_rate=falling)


# --- the times asked for ------------------------------------------------------------------

FINE = [0.0, 1e-4, 2e-4, 0.1, 0.1, 1.0]


def test_every_time_asked_for_has_its_row():
    run = tl.simulate(TASK, START, t_eval=FINE, runs=2, **RATE)
    data, rows = run.to_xarray(time="asked"), [0, 0, 0, 1, 1, 2]
    np.testing.assert_array_equal(data["time"], FINE)
    np.testing.assert_array_equal(data["recorded_time"], run.t[rows])
    np.testing.assert_array_equal(data["steps"], run.steps[rows])
    np.testing.assert_array_equal(data["samples"], run.samples[rows])
    assert data["steps"].dtype == np.int64
    for name in ("Q", "M", "a", "risk", "excess_risk"):
        np.testing.assert_array_equal(data[name], getattr(run, name)[:, rows])
        assert data[name].dims == run.to_xarray()[name].dims
        assert data[name].attrs == run.to_xarray()[name].attrs
    np.testing.assert_array_equal(data["P"], run.P)
    xarray.testing.assert_identical(run.to_xarray(time="recorded"), run.to_xarray())
    assert "recorded_time" not in run.to_xarray().coords
    with pytest.raises(tl.InvalidInput, match=r"^time: got 'wanted'"):
        run.to_xarray(time="wanted")


def test_the_row_is_that_of_the_nearest_step():
    t = np.sort(np.random.default_rng(0).uniform(0, 3, 400))
    data = tl.simulate(TASK, START, t_eval=t, **RATE).to_xarray(time="asked")
    np.testing.assert_array_equal(data["steps"], np.rint(t * P_D / 0.5))
    assert np.abs(data["recorded_time"] - t).max() <= 0.5 * 0.5 / P_D * (1 + 1e-9)


def test_results_of_any_rates_runs_and_dimensions_align():
    each = [
        tl.simulate(TASK, OVERLAPS, d=d, t_eval=FINE, learning_rate=rate, runs=2)
        for rate, d in ((0.01, 200), (0.5, 20), (2.0, 33))
    ]
    assert len({run.t.size for run in each}) > 1
    both = xarray.concat(
        [run.to_xarray(time="asked") for run in each], dim="rate", combine_attrs="drop"
    )
    assert both.sizes["time"] == len(FINE)
    assert both["recorded_time"].dims == ("rate", "time")
    assert np.isfinite(both["risk"]).all()
    for n, run in enumerate(each):
        np.testing.assert_array_equal(both["risk"][n, :, -1], run.risk[:, -1])


def test_an_ode_has_the_rows_too():
    sol = tl.solve(TASK, OVERLAPS, t_eval=FINE, **RATE)
    field = tl.solve_mean_field(
        TASK, tl.Particles.from_weights(START), OVERLAPS.P, d=20, t_eval=FINE
    )
    for result in (sol, field):
        data = result.to_xarray(time="asked")
        np.testing.assert_array_equal(data["recorded_time"], FINE)
        np.testing.assert_array_equal(data["M"], result.M[[0, 1, 2, 3, 3, 4]])
        assert "steps" not in data.coords


def test_times_that_were_not_reached_are_nan():
    sol = tl.solve(TASK, OVERLAPS, t_eval=[0, 1, 1, 5, 400], stop_at_risk=0.12, **RATE)
    assert sol.t.size < 4
    data = sol.to_xarray(time="asked")
    np.testing.assert_array_equal(data["time"], [0, 1, 1, 5, 400])
    n = [0, 1, 1, 5, 400].index(sol.t[-1]) + 1
    assert np.isfinite(data["risk"][:n]).all()
    assert np.isnan(data["risk"][n:]).all()
    assert np.isnan(data["recorded_time"][-1])
    assert np.isfinite(data["P"]).all()
    try:
        with np.errstate(all="ignore"):
            tl.simulate(tl.Task("square"), START, learning_rate=30.0, t_eval=[0, 0, 1, 400, 500])
    except tl.Divergence as error:
        data = error.trajectory.to_xarray(time="asked")
    assert data["time"].size == 5
    assert data["steps"].values[-1] == 500 * P_D / 30
    assert np.isfinite(data["risk"][0, :2]).all()
    assert np.isnan(data["risk"][0, -2:]).all()


# --- in files -----------------------------------------------------------------------------


def test_files_keep_every_axis(tmp_path):
    by_time = tl.simulate(TASK, START, t_eval=FINE, batch=3, **RATE)
    by_steps = tl.solve(TASK, OVERLAPS, steps=[0, 2, 2, 2**40], d=10**13, **RATE)
    plain = tl.solve(TASK, OVERLAPS, t_eval=FINE, **RATE)
    particles = tl.Particles.from_weights(START)
    field = tl.solve_mean_field(TASK, particles, OVERLAPS.P, d=20, t_eval=FINE)
    for number, result in enumerate((by_time, by_steps, plain, field)):
        path = result.save(tmp_path / f"{number}.nc")
        back = type(result).load(path)
        assert back == result
        for name in ("t_asked", "steps_asked", "steps", "samples"):
            if hasattr(result, name):
                np.testing.assert_array_equal(getattr(back, name), getattr(result, name))
        xarray.testing.assert_identical(
            back.to_xarray(time="asked"), result.to_xarray(time="asked")
        )
        with xarray.open_dataset(path) as data, warnings.catch_warnings():
            warnings.simplefilter("error")
            assert ("samples" in data.coords) == (getattr(result, "steps", None) is not None)
            if "samples" in data.coords:
                np.testing.assert_array_equal(data["steps"], result.steps)
                np.testing.assert_array_equal(data["samples"], result.samples)
                assert data["samples"].dims == ("time",)


def test_forged_times_are_refused(tmp_path):
    from twolayer.support.netcdf import write_netcdf

    run = tl.simulate(TASK, START, t_eval=FINE, **RATE)
    file = run.save(tmp_path / "a.nc")
    for change in (
        lambda data: data.assign(t_asked=data["t_asked"] * np.nan),
        lambda data: data.assign(t_asked=-data["t_asked"]),
        lambda data: data.assign(t_asked=("two", [1.0, 2.0])),
        lambda data: data.assign(steps_asked=data["steps_asked"] + 0.5),
        lambda data: data.drop_vars("t_asked"),
    ):
        with xarray.open_dataset(file, engine="scipy", decode_cf=False) as data:
            write_netcdf(change(data.load()), tmp_path / "b.nc")
        with pytest.raises(tl.InvalidInput, match=r"b\.nc"):
            tl.Trajectory.load(tmp_path / "b.nc")
