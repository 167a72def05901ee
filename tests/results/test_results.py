"""Results that nobody changes by accident, and messages that say what is so and what to do."""

import contextlib
import copy
import fcntl
import io
import os
import pickle
import pty
import re
import struct
import subprocess
import sys
import termios
import types

import numpy as np
import pytest

import twolayer as tl
from twolayer.activations.erf import Erf
from twolayer.support import progress
from twolayer.theory import escape
from twolayer.theory.exits import exit_quantiles
from twolayer.theory.linear_noise import fluctuations

TASK, START = tl.Task("erf", noise=1e-3), tl.Weights.gaussian(p=3, k=2, d=20, seed=0)
OVERLAPS, PARTICLES = START.overlaps(), tl.Particles.from_weights(START)
HOW = {"learning_rate": 0.5, "t_eval": [0.0, 1.0]}


def results():
    yield tl.solve(TASK, OVERLAPS, **HOW)
    yield tl.simulate(TASK, START, runs=2, **HOW)
    yield tl.solve_mean_field(TASK, PARTICLES, OVERLAPS.P, d=20, t_eval=[0.0, 1.0])
    yield fluctuations(TASK, OVERLAPS, d=100, **HOW)
    yield from (START, OVERLAPS, PARTICLES)


RESULTS = {type(result).__name__ + str(n): result for n, result in enumerate(results())}


@pytest.mark.parametrize("name", RESULTS)
def test_arrays_are_read_only(name):
    result = RESULTS[name]
    arrays = {n: value for n, value in vars(result).items() if isinstance(value, np.ndarray)}
    assert arrays
    for value in arrays.values():
        with pytest.raises(ValueError, match="read-only"):
            value[..., :1] = 1.0


@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_so_are_those_of_copies_of_trajectories(again):
    for result in list(RESULTS.values())[:3]:
        with pytest.raises(ValueError, match="read-only"):
            again(result).M[0] = 1.0


@pytest.mark.parametrize("name", list(RESULTS)[:3])
def test_a_dataset_is_a_copy_that_may_be_changed(name):
    result = RESULTS[name]
    before, data = result.M.copy(), result.to_xarray()
    for variable in data.variables:
        assert not np.shares_memory(data[variable].values, getattr(result, variable, np.empty(0)))
    data["M"] -= 1.0
    data["M"][0] = 0.0
    np.testing.assert_array_equal(result.M, before)


# --- times ------------------------------------------------------------------------------


def test_times_asked_for_twice_or_finer_than_a_step_are_recorded_once():
    t = np.sort([*np.linspace(0, 0.05, 40), *[1.0] * 3])
    run = tl.simulate(TASK, START, learning_rate=0.5, t_eval=t)
    assert run.steps.dtype == np.int64
    assert (np.diff(run.steps) > 0).all()
    np.testing.assert_allclose(run.t, run.steps * 0.5 / 60)
    data = run.to_xarray()
    assert data["steps"].dims == ("time",)
    assert int(data.sel(time=1.0, method="nearest")["steps"]) == run.steps[-1] == 120
    sol = tl.solve(TASK, OVERLAPS, learning_rate=0.5, t_eval=[0.0, 1.0, 1.0])
    field = tl.solve_mean_field(TASK, PARTICLES, OVERLAPS.P, d=20, t_eval=[0.0, 1.0, 1.0])
    assert sol.t.tolist() == field.t.tolist() == [0.0, 1.0]
    assert sol.steps is None


@pytest.mark.parametrize("batch", [1, 3])
def test_steps_are_those_of_sgd_also_in_batches_and_with_a_schedule(batch, tmp_path):
    schedule = lambda t: 0.5 / (1 + t)  # noqa: E731
    run = tl.simulate(TASK, START, learning_rate=schedule, batch=batch, t_eval=[0.0, 0.5, 2.0])
    longer = tl.simulate(TASK, START, learning_rate=schedule, batch=batch, t_eval=[0.5, 2.0, 3.0])
    np.testing.assert_array_equal(run.steps[1:], longer.steps[:2])
    assert run.steps[-1] == run.provenance["steps"]
    back = tl.Trajectory.load(run.save(tmp_path / "run.nc"))
    np.testing.assert_array_equal(back.steps, run.steps)
    assert back.steps.dtype == np.int64


def test_the_time_says_what_it_is():
    plain = tl.simulate(TASK, START, **HOW).to_xarray()["time"].attrs["long_name"]
    scheduled = tl.simulate(TASK, START, learning_rate=lambda t: 0.5 / (1 + t), t_eval=[1.0])
    assert plain == "time t = steps · γ/(p d)"
    assert (
        scheduled.to_xarray()["time"].attrs["long_name"] == "time t = Σ γ(t)/(p d) over the steps"
    )


@pytest.mark.parametrize("name", ["erf", "square"])
def test_the_excess_risk_is_not_below_zero(name):
    """Where students have become their targets, in any of the three solvers."""
    task, rng = tl.Task(name), np.random.default_rng(0)
    for p in (1, 2, 3, 7):
        W = rng.normal(size=(p, 30))
        perfect = tl.Weights(W, W)
        assert 0 <= tl.excess_risk(task, perfect.overlaps()) < 1e-12
        run = tl.simulate(task, perfect, learning_rate=0.1, t_eval=[0.0, 0.1, 0.2])
        assert (run.excess_risk >= 0).all()
    P = perfect.overlaps().P
    field = tl.solve_mean_field(task, tl.Particles(P, np.zeros(p)), P, d=30, t_eval=[0.0, 0.1])
    assert (field.excess_risk >= 0).all()


def test_a_risk_that_is_truly_negative_is_seen(monkeypatch):
    monkeypatch.setattr(Erf, "two_point", lambda forms, Omega, p: -np.ones_like(Omega) * np.eye(2))
    assert tl.excess_risk(TASK, tl.Overlaps([[1.0]], [[0.5]], [[1.0]])) == -1.0


# --- messages ---------------------------------------------------------------------------


class Parameter:
    """As a tensor of PyTorch that requires a gradient: what NumPy asks of it, it refuses."""

    def __init__(self, values):
        self.values = values

    def __array__(self, *_, **__):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

    def detach(self):
        return self.values


def test_a_tensor_that_requires_a_gradient_is_told_to_detach():
    W = Parameter(np.eye(2, 5))
    for call in (
        lambda: tl.Weights(W, np.eye(1, 5)),
        lambda: tl.Overlaps(W, [[1.0]], [[1.0]]),
        lambda: tl.Particles(W, [1.0, 1.0]),
        lambda: tl.Particles([[1.0]], Parameter([1.0])),
        lambda: tl.solve(TASK, OVERLAPS, learning_rate=0.5, t_eval=Parameter([1.0])),
        lambda: tl.solve(TASK, OVERLAPS, learning_rate=0.5, t_eval=[Parameter([1.0])]),
    ):
        with pytest.raises(tl.InvalidInput, match=r"requires grad.*must be .*x\.detach\(\)"):
            call()


@pytest.mark.parametrize("d", [10, 784])
def test_unit_vectors_are_warned_of(d):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(4, d))
    unit = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    with pytest.warns(UserWarning, match=rf"rows of W are unit.*√d = {d**0.5:.4g}"):
        tl.Weights(unit, rows)
    with pytest.warns(UserWarning, match="rows of W_star are unit"):
        tl.Weights(rows, unit)
    with pytest.warns(UserWarning, match="rows of W and W_star are unit") as caught:
        tl.Weights(unit, unit)
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.filterwarnings("error")
def test_weights_of_norm_root_d_are_not():
    tl.Weights(np.eye(2), np.eye(2))
    tl.Weights.gaussian(p=4, k=2, d=100, seed=0).overlaps().embed(d=50)
    tl.Weights(0.1 * np.random.default_rng(0).normal(size=(4, 100)), 10 * np.eye(1, 100))


@pytest.mark.parametrize("shapes", [((3, 3), (2, 3), (2, 2)), ((1, 1), (2, 1), (2, 2))])
def test_a_transposed_M_is_called_that(shapes):
    p, k = shapes[0][0], shapes[2][0]
    wanted = re.escape(f"M: got shape {(k, p)}; it must be of shape {(p, k)}")
    with pytest.raises(tl.InvalidInput, match=wanted + ".*transposed"):
        tl.Overlaps(np.eye(p), np.zeros((k, p)), np.eye(k))
    with pytest.raises(tl.InvalidInput, match=rf"^m: got shape {re.escape(str((k, p)))}"):
        tl.Particles(np.zeros((k, p)), np.ones(p))


SCHEDULES = "a finite number > 0, at most 1e+15, or a function of t"
MESSAGES = [
    (lambda: tl.Task("erf", 1e-3), "target_activation: got 0.001", "or a function of an array"),
    (lambda: tl.Task("gelu"), "activation: got 'gelu'", "or a function of an array"),
    (lambda: tl.solve(TASK, OVERLAPS, learning_rate=[0.1], t_eval=[1]), "[0.1]", SCHEDULES),
    (lambda: tl.simulate(TASK, START, learning_rate="fast", t_eval=[1]), "'fast'", SCHEDULES),
    (
        lambda: tl.solve(TASK, OVERLAPS, learning_rate=1, t_eval=[]),
        "an empty array",
        "(any,), not empty",
    ),
    (lambda: tl.Overlaps([[]], [[]], [[]]), "an empty array", "not empty"),
]


@pytest.mark.parametrize(("call", "got", "allowed"), MESSAGES)
def test_messages_say_what_may_be(call, got, allowed):
    with pytest.raises(tl.InvalidInput) as caught:
        call()
    text = str(caught.value)
    assert got in text.split("; it must be")[0]
    assert allowed in text.split("; it must be")[1]


def test_where_an_array_of_numbers_will_do_so_does_one_number():
    how = {"learning_rate": 0.05}
    for call, value in (
        (lambda u: escape.spherical_exit_time(u, **how), 3.4e-4),
        (lambda u: escape.spherical_exit_time(u, threshold=0.9999, noise=9.0, **how), 0.1),
        (lambda m: escape.spherical_drift(m, **how), 0.5),
        (lambda level: exit_quantiles(100, level, spherical=True, **how), 0.5),
    ):
        one, many = call(value), call([value])
        assert np.ndim(one) == 0
        assert np.shape(many) == (1,)
        assert float(one) == many[0]


def test_a_foreign_file_is_called_that(tmp_path):
    run, file = tl.simulate(TASK, START, **HOW), tmp_path / "own.nc"
    data = run.to_xarray()
    data.drop_vars("steps").to_netcdf(file, engine="scipy")
    with pytest.raises(tl.InvalidInput, match=r"own\.nc.*not saved by `save`") as caught:
        tl.Trajectory.load(file)
    assert "checksum" not in str(caught.value).split("; it must be")[1]


def test_a_checkpoint_of_other_times_says_which_and_what_to_do(tmp_path):
    folder = tmp_path / "state"
    tl.simulate(TASK, START, learning_rate=0.5, t_eval=[0.0, 1.0], checkpoint=folder)
    had, asked = r"recorded, or after \d+ steps, where .*run-00000\.nc stands", "after 60 steps"
    with pytest.raises(tl.InvalidInput, match=f"^t_eval: got a time {asked}; .* {had}"):
        tl.simulate(TASK, START, learning_rate=0.5, t_eval=[0.0, 0.5, 1.0], checkpoint=folder)
    later = {"learning_rate": 0.5, "t_eval": [0.0, 1.0, 2.0]}
    found = tl.simulate(TASK, START, **later, checkpoint=folder)
    assert found == tl.simulate(TASK, START, **later)


# --- bars -------------------------------------------------------------------------------

#: A bar that would be drawn at once.
BAR = """
from twolayer.support import progress
progress.DELAY = 0.0
with progress.Progress(10.0, "work") as bar:
    for done in range(10):
        bar.to(done)
with progress.bar(total=3, desc="figures") as bar:
    bar.set_postfix_str("1")
    bar.update()
"""


def test_nothing_is_drawn_into_a_pipe_or_a_file(tmp_path):
    command = [sys.executable, "-W", "error", "-c", BAR]
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stdout + done.stderr == b""
    with open(tmp_path / "log", "wb") as log:
        subprocess.run(command, stderr=log, stdout=log, check=True)
    assert (tmp_path / "log").read_bytes() == b""


def test_a_terminal_has_its_bar():
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with subprocess.Popen([sys.executable, "-c", BAR], stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):  # the end of a terminal
            while part := os.read(ours, 1024):
                seen += part
    os.close(ours)
    assert process.returncode == 0
    assert b"work" in seen
    assert b"figures" in seen


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("widgets", [True, False])
def test_a_notebook_has_one_if_it_can_draw_it(monkeypatch, widgets):
    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setattr(progress, "find_spec", lambda _: widgets or None)
    made = []
    drawn = types.SimpleNamespace(tqdm=lambda **options: made.append(options))
    monkeypatch.setitem(sys.modules, "tqdm.notebook", drawn)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    bar = progress.bar(total=1)
    assert bool(made) == widgets
    assert widgets or bar.disable
