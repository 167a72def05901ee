"""When a risk is first as low as that, against an integration and a root finding of their own."""

import math

import numpy as np
import pytest
import reference
import scipy
import trials

import twolayer as tl

TASK = tl.Task("erf", noise=0.1)
WEIGHTS = tl.Weights.gaussian(p=2, k=2, d=30, seed=0)
OVERLAPS, PARTICLES = WEIGHTS.overlaps(), tl.Particles.from_weights(WEIGHTS)
TERMS = ("gradient-flow", "gradient-flow+noise", "full")


def falling(t):
    return 1.0 / (1 + t)


def crossing(name, noise, overlaps, level, rate=lambda t: 0.5, terms="full", batch=1, t_max=30.0):
    """By loops over the paper's formulas, DOP853 at 1e-13, and the event of SciPy's solver."""
    p, k, P = overlaps.p, overlaps.k, overlaps.P

    def at(y):
        return reference.flow(name, y[: p * p].reshape(p, p), y[p * p :].reshape(p, k), P, noise)

    def slope(t, y):
        psi_M, psi_GF, psi_var, psi_noise, _ = at(y)
        more = {"gradient-flow": 0.0, "full": psi_var + psi_noise}.get(terms, psi_noise)
        dQ = psi_GF + rate(t) / (p * batch) * more
        return np.concatenate((dQ.ravel(), psi_M.ravel()))

    def reached(t, y):
        return at(y)[4] + noise / 2 - level

    reached.terminal = True
    start = np.concatenate((overlaps.Q.ravel(), overlaps.M.ravel()))
    how = {"method": "DOP853", "rtol": 1e-13, "atol": 1e-15, "events": reached}
    return scipy.integrate.solve_ivp(slope, (0, t_max), start, **how).t_events[0][0]


# --- of the ODE ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["erf", "square"])
@pytest.mark.parametrize("terms", TERMS)
def test_the_crossing_is_that_of_the_solution(name, terms, tmp_path):
    """However far apart recorded times are, and from a file as well; 1e-8 was asked for."""
    task = tl.Task(name, noise=0.1)
    how = {"learning_rate": 0.5, "terms": terms, "batch": 2}
    sol = tl.solve(task, OVERLAPS, t_eval=[0.0, 0.5, 30.0], **how)
    for share in (0.9, 0.5):
        level = share * sol.risk[0] + (1 - share) * sol.risk[-1]
        wanted = crossing(name, 0.1, OVERLAPS, level, terms=terms, batch=2)
        found = sol.time_to(level)
        assert isinstance(found, float)
        assert found == pytest.approx(wanted, rel=1e-9)
        assert found == tl.time_to(sol, level)
    assert tl.Trajectory.load(sol.save(tmp_path / "a.nc")).time_to(level) == found


def test_a_schedule_goes_on_from_its_own_time(tmp_path):
    sol = tl.solve(TASK, OVERLAPS, learning_rate=falling, t_eval=[0.0, 2.0, 30.0])
    level = (sol.risk[1] + sol.risk[2]) / 2
    wanted = crossing("erf", 0.1, OVERLAPS, level, rate=falling)
    assert sol.time_to(level, falling) == pytest.approx(wanted, rel=1e-9)
    with pytest.raises(tl.InvalidInput, match=r"^learning_rate: got None; .*'falling'"):
        sol.time_to(level)
    with pytest.raises(tl.InvalidInput, match=r"^learning_rate: got <function .*'falling'"):
        sol.time_to(level, lambda t: 1.0)
    constant = tl.solve(TASK, OVERLAPS, learning_rate=0.5, t_eval=[0.0, 30.0])
    with pytest.raises(tl.InvalidInput, match=r"^learning_rate: .*left out.*0\.5"):
        constant.time_to(level, falling)


@pytest.mark.parametrize("how", [
    {"second_layer_rate": 0.3},
    {"d": 30},
    {"terms": "gradient-flow", "method": "CVODE"},
    {"rtol": 1e-5, "atol": 1e-8},
])  # fmt: skip
def test_with_all_arguments_of_the_solver(how):
    """A solution that is asked for this time has this risk there."""
    how = {"learning_rate": 0.5} | how
    sol = tl.solve(TASK, OVERLAPS, t_eval=[0.0, 3.0, 30.0], **how)
    level = (sol.risk[1] + sol.risk[2]) / 2
    at = tl.solve(TASK, OVERLAPS, t_eval=[sol.time_to(level)], **how).risk[0]
    assert at == pytest.approx(level, rel=1e-4 if "rtol" in how else 1e-8)


@pytest.mark.parametrize("d", [30, math.inf])
@pytest.mark.parametrize("ratio", [0.0, 0.4])
def test_the_mean_field_crosses_too(d, ratio, tmp_path):
    a_star = [1.0, 0.5]
    how = {"d": d, "second_layer_ratio": ratio, "a_star": a_star, "rtol": 1e-11, "atol": 1e-14}

    def at(*times, **more):
        return tl.solve_mean_field(
            TASK, PARTICLES, OVERLAPS.P, t_eval=times, progress=False, **how | more
        )

    field = at(0.0, 1.0, 10.0)
    level = 0.4 * field.risk[1] + 0.6 * field.risk[2]
    found = field.time_to(level)
    wanted = scipy.optimize.brentq(lambda t: at(t).risk[0] - level, 1.0, 10.0, xtol=1e-12)
    assert found == pytest.approx(wanted, rel=1e-9)
    back = tl.MeanFieldTrajectory.load(field.save(tmp_path / "a.nc"))
    assert back.time_to(level) == found


def test_what_is_there_at_once_or_never():
    sol = tl.solve(TASK, OVERLAPS, learning_rate=0.5, t_eval=[1.0, 2.0, 5.0])
    assert sol.time_to(10.0) == sol.time_to(sol.risk[0]) == 1.0
    assert sol.time_to(sol.risk[1]) == pytest.approx(2.0, rel=1e-9)
    assert math.isnan(sol.time_to(0.0500001))
    just = np.nextafter(sol.risk[0], 0)
    assert 1.0 <= sol.time_to(just) < 1.0 + 1e-9
    best = tl.solve_mean_field(TASK, PARTICLES, OVERLAPS.P, d=30, t_eval=[0.0, 0.1])
    assert math.isnan(best.time_to(0.0500001))
    assert best.time_to(10.0) == 0.0


def test_the_first_of_several_crossings():
    """A risk that falls, rises and stays: by recorded times it is passed once only."""
    start = tl.Overlaps([[0.2]], [[0.1]], [[1.0]])
    sol = tl.solve(tl.Task("square"), start, learning_rate=0.12, t_eval=np.linspace(0, 10, 300))
    level = float(sol.risk.min() + 0.1 * (sol.risk[0] - sol.risk.min()))
    coarse = tl.solve(tl.Task("square"), start, learning_rate=0.12, t_eval=[0.0, 10.0])
    assert coarse.time_to(level) == pytest.approx(sol.time_to(level), rel=1e-9)


@pytest.mark.parametrize("bad", [0.0, -1.0, 0.05, 0.04, None, "x", np.nan, [0.1]])
def test_risks_that_nothing_can_reach_are_refused(bad):
    run = tl.simulate(TASK, WEIGHTS, learning_rate=0.5, t_eval=[0.0])
    sol = tl.solve(TASK, OVERLAPS, learning_rate=0.5, t_eval=[0.0])
    for result in (run, sol):
        with pytest.raises(tl.InvalidInput, match=r"^risk: got"):
            result.time_to(bad)


def test_of_what_nobody_knows_how_it_was_made():
    arrays = {"Q": np.ones((2, 1, 1)), "M": np.full((2, 1, 1), 0.5), "P": np.eye(1)}
    own = tl.Trajectory(
        t=np.array([0.0, 1.0]), excess_risk=np.array([1.0, 0.5]), task=TASK, **arrays
    )
    with pytest.raises(tl.InvalidInput, match=r"^result: .*of solve"):
        own.time_to(0.7)
    with pytest.raises(tl.InvalidInput, match=r"^result: "):
        tl.time_to(OVERLAPS, 0.7)


# --- of SGD -------------------------------------------------------------------------------

T = np.linspace(0.0, 40.0, 81)
RUNS = {"learning_rate": 1.0, "t_eval": T, "runs": 5, "seed": 1}


def first(run, level):
    """By a loop: the number of the first recorded time of each run, or None."""
    return [next((n for n, r in enumerate(risks) if r <= level), None) for risks in run.risk]


def test_runs_reach_a_risk_at_a_recorded_time():
    run = tl.simulate(TASK, WEIGHTS, **RUNS)
    level = float(np.median(run.risk.min(1)))
    wanted = [np.nan if n is None else run.t[n] for n in first(run, level)]
    found = run.time_to(level)
    assert found.shape == (5,)
    assert 0 < np.isnan(found).sum() < 5
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("how", [
    {}, {"batch": 3}, {"method": "projected"}, {"record": "norms"}, {"second_layer_rate": 0.1},
    {"on_divergence": "keep"},
])  # fmt: skip
def test_a_run_stops_at_the_risk_asked_for(how, tmp_path):
    """What is recorded until then is the same to the last bit, and then nothing is."""
    free = tl.simulate(TASK, WEIGHTS, **RUNS | how)
    level = float(np.median(free.risk.min(1)))
    run = tl.simulate(TASK, WEIGHTS, stop_at_risk=level, **RUNS | how)
    ends = first(free, level)
    assert run.provenance["stopped_at_risk"] == [i for i, n in enumerate(ends) if n is not None]
    assert "diverged" not in run.provenance
    assert run.parameters["stop_at_risk"] == level
    np.testing.assert_array_equal(run.t, free.t)
    for i, n in enumerate(ends):
        until = None if n is None else n + 1
        for name in ("Q", "M", "a", "risk"):
            mine, theirs = getattr(run, name)[i], getattr(free, name)[i]
            np.testing.assert_array_equal(mine[:until], theirs[:until])
            if until is not None:
                assert np.isnan(mine[until:]).all()
    np.testing.assert_array_equal(run.time_to(level), free.time_to(level))
    assert tl.Trajectory.load(run.save(tmp_path / "a.nc")) == run
    assert "stopped at the risk" in run.summary()
    assert run.plot()


def test_if_all_runs_stop_later_times_are_left_out():
    free = tl.simulate(TASK, WEIGHTS, **RUNS)
    level = float(free.risk.min(1).max())
    last = max(first(free, level))
    for keep in ("raise", "keep"):
        run = tl.simulate(TASK, WEIGHTS, stop_at_risk=level, on_divergence=keep, **RUNS)
        assert run.provenance["stopped_at_risk"] == [0, 1, 2, 3, 4]
        np.testing.assert_array_equal(run.t, free.t[: last + 1])
        assert np.isfinite(run.risk).any(0).all()
    data = run.to_xarray(time="asked")
    assert data.sizes["time"] == T.size
    np.testing.assert_array_equal(data["steps"], free.steps)
    there = tl.simulate(TASK, WEIGHTS, stop_at_risk=10.0, **RUNS)
    assert there.t.tolist() == [0.0]
    with pytest.raises(tl.InvalidInput, match=r"^time: .*run 1, which had .*stopped"):
        tl.simulate(TASK, WEIGHTS, stop_at_risk=level, **RUNS).overlaps(last, 1)


def test_a_run_that_blew_up_is_none_that_stopped():
    task, start = tl.Task("square"), tl.Weights.gaussian(p=1, k=1, d=10, seed=0)
    how = {"learning_rate": 0.12, "t_eval": np.linspace(0, 200, 101), "runs": 12, "seed": 0}
    with np.errstate(all="ignore"):
        run = tl.simulate(task, start, stop_at_risk=1e-6, on_divergence="keep", **how)
    diverged, stopped = run.provenance.get("diverged", []), run.provenance["stopped_at_risk"]
    assert diverged
    assert stopped
    assert not set(diverged) & set(stopped)
    assert np.isfinite(run.time_to(1e-6)[stopped]).all()
    assert np.isnan(run.time_to(1e-6)[diverged]).all()


def test_on_executors_and_from_checkpoints(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    how = RUNS | {"stop_at_risk": 0.07, "checkpoint": tmp_path / "kept"}
    plain = tl.simulate(TASK, WEIGHTS, **RUNS, stop_at_risk=0.07)
    with ThreadPoolExecutor(2) as pool:
        assert trials.same_bits(tl.simulate(TASK, WEIGHTS, executor=pool, **how), plain)
    for file in (tmp_path / "kept").glob("*.nc"):  # now it must not run again
        file.touch()
    again = tl.simulate(TASK, WEIGHTS, **how)
    assert again == plain
    for other in (None, 0.06):
        with pytest.raises(tl.InvalidInput, match=r"^checkpoint: .*stop at risk"):
            tl.simulate(TASK, WEIGHTS, **how | {"stop_at_risk": other})


def test_the_mean_field_stops_as_the_flow_does():
    t = np.linspace(0, 20, 41)
    whole = tl.solve_mean_field(TASK, PARTICLES, OVERLAPS.P, d=30, t_eval=t)
    level = float(whole.risk[7] + whole.risk[8]) / 2
    short = tl.solve_mean_field(TASK, PARTICLES, OVERLAPS.P, d=30, t_eval=t, stop_at_risk=level)
    assert short.t.size == 9
    np.testing.assert_allclose(short.risk, whole.risk[:9], rtol=1e-7)
    assert short.provenance["stopped_at_risk"] is True
    assert whole.provenance["stopped_at_risk"] is False


@pytest.mark.parametrize("bad", [0.0, 0.05, -1.0, "x", np.nan, True])
def test_where_nobody_can_stop(bad):
    with pytest.raises(tl.InvalidInput, match=r"^stop_at_risk: got"):
        tl.simulate(TASK, WEIGHTS, learning_rate=0.5, t_eval=[0.0], stop_at_risk=bad)
    with pytest.raises(tl.InvalidInput, match=r"^stop_at_risk: got"):
        tl.solve_mean_field(TASK, PARTICLES, OVERLAPS.P, d=30, t_eval=[0.0], stop_at_risk=bad)
