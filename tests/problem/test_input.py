"""Bad input raises, before any work, an error that names the argument and what it may be."""

import numpy as np
import pytest

import twolayer as tl

I2 = np.eye(2)
TASK = tl.Task("erf", noise=0.1)
WEIGHTS = tl.Weights.gaussian(p=3, k=2, d=9, seed=0)
OVERLAPS = WEIGHTS.overlaps()


def overlaps(Q=I2, M=((0.5,), (0.0,)), P=((1.0,),)):
    return tl.Overlaps(Q, M, P)


def solve(task=TASK, start=OVERLAPS, **changed):
    arguments = {"learning_rate": 0.1, "t_eval": [0.0, 1.0], "progress": False} | changed
    return tl.solve(task, start, **arguments)


def simulate(task=TASK, start=WEIGHTS, **changed):
    arguments = {"learning_rate": 0.1, "t_eval": [0.0, 1.0], "progress": False} | changed
    return tl.simulate(task, start, **arguments)


NAN = float("nan")
BAD = [
    # (call, keyword arguments, name in the message, part of what it may be)
    (tl.Task, {"activation": "erff"}, "activation", "'erf', 'square'"),
    (tl.Task, {"activation": 3}, "activation", "'erf'"),
    (tl.Task, {"target_activation": 3}, "target_activation", "'erf'"),
    (tl.Task, {"order": 3}, "order", "4"),
    (tl.Task, {"points": 1000}, "points", "power of two"),
    (tl.Task, {"target_activation": "nope"}, "target_activation", "'erf'"),
    (tl.Task, {"noise": -1e-9}, "noise", ">= 0"),
    (tl.Task, {"noise": NAN}, "noise", ">= 0"),
    (tl.Task, {"noise": "a lot"}, "noise", ">= 0"),
    (tl.Task, {"noise": True}, "noise", ">= 0"),
    (overlaps, {"Q": np.eye(3)}, "Q", r"\(2, 2\)"),
    (overlaps, {"Q": [[1, 2], [2, NAN]]}, "Q", "finite"),
    (overlaps, {"Q": [[1, 0.5], [0.4, 1]]}, "Q", "symmetric"),
    (overlaps, {"Q": -I2}, "Q, M, P", "positive semi-definite"),
    (overlaps, {"M": [[1.1], [0]]}, "Q, M, P", "positive semi-definite"),
    (overlaps, {"M": [0.5, 0]}, "M", "shape"),
    (overlaps, {"M": np.empty((2, 0))}, "M", "shape"),
    (overlaps, {"M": [["a"], ["b"]]}, "M", "real"),
    (overlaps, {"M": [[1j], [0]]}, "M", "real"),
    (overlaps, {"P": [[np.inf]]}, "P", "finite"),
    (overlaps, {"P": I2}, "P", r"\(1, 1\)"),
    (tl.Weights, {"W": I2, "W_star": np.ones((1, 3))}, "W_star", r"\(any, 2\)"),
    (tl.Weights, {"W": [1.0], "W_star": [[1.0]]}, "W", "shape"),
    (tl.Weights.gaussian, {"p": 0, "k": 1, "d": 3}, "p", ">= 1"),
    (tl.Weights.gaussian, {"p": 2, "k": 1.5, "d": 3}, "k", "integer"),
    (tl.Weights.gaussian, {"p": 2, "k": 4, "d": 3}, "d", "at least 4"),
    (tl.Weights.gaussian, {"p": 2, "k": 1, "d": 3, "seed": -1}, "seed", ">= 0"),
    (tl.Weights.in_target_span, {"p": 2, "k": 4, "d": 3}, "d", "at least 4"),
    (tl.Weights.in_target_span, {"p": 2, "k": True, "d": 3}, "k", "integer"),
    (OVERLAPS.embed, {"d": 4}, "d", "at least 5"),
    (OVERLAPS.embed, {"d": 9, "seed": "x"}, "seed", "integer"),
    (solve, {"task": "erf"}, "task", "Task"),
    (solve, {"start": WEIGHTS}, "overlaps", "Overlaps"),
    (solve, {"learning_rate": 0}, "learning_rate", "> 0"),
    (solve, {"learning_rate": -1}, "learning_rate", "> 0"),
    (solve, {"learning_rate": None}, "learning_rate", "given"),
    (solve, {"learning_rate": NAN}, "learning_rate", "finite"),
    (solve, {"terms": "everything"}, "terms", "'gradient-flow', 'gradient-flow.noise', 'full'"),
    (solve, {"terms": None}, "terms", "'full'"),
    (solve, {"method": "Euler"}, "method", "'LSODA'"),
    (solve, {"t_eval": []}, "t_eval", "shape"),
    (solve, {"t_eval": 1.0}, "t_eval", "shape"),
    (solve, {"t_eval": [1.0, 0.5]}, "t_eval", "do not decrease"),
    (solve, {"t_eval": [-1.0, 0.5]}, "t_eval", ">= 0"),
    (solve, {"t_eval": [0.0, NAN]}, "t_eval", "finite"),
    (solve, {"rtol": 0}, "rtol", "> 0"),
    (solve, {"atol": -1}, "atol", "> 0"),
    (solve, {"stop_at_risk": 0.05}, "stop_at_risk", "above Δ/2 = 0.05"),
    (simulate, {"task": None}, "task", "Task"),
    (simulate, {"start": OVERLAPS}, "d", "given with overlaps"),
    (simulate, {"start": OVERLAPS, "d": 4}, "d", "at least 5"),
    (simulate, {"start": I2}, "start", "Weights or"),
    (simulate, {"d": 10}, "d", "9, the dimension of the weights"),
    (simulate, {"learning_rate": 0}, "learning_rate", "> 0"),
    (simulate, {"learning_rate": "fast"}, "learning_rate", "> 0"),
    (simulate, {"t_eval": [1.0, 0.5]}, "t_eval", "do not decrease"),
    (simulate, {"t_eval": [1e300]}, "t_eval", "2\\^53 steps"),
    (simulate, {"runs": 0}, "runs", ">= 1"),
    (simulate, {"runs": 2.5}, "runs", "integer"),
    (simulate, {"seed": -3}, "seed", ">= 0"),
    (simulate, {"method": "fast"}, "method", "'auto', 'direct', 'projected'"),
    (simulate, {"method": "projected"}, "method", "'direct' for d <"),
    (simulate, {"executor": 2}, "executor", "Executor"),
    (simulate, {"checkpoint": 5}, "checkpoint", "folder"),
    (simulate, {"checkpoint": __file__}, "checkpoint", "folder"),
]


@pytest.mark.parametrize(
    ("call", "arguments", "name", "allowed"), BAD, ids=[f"{b[0].__name__}-{b[1]}" for b in BAD]
)
def test_bad_input(call, arguments, name, allowed, monkeypatch):
    def no_work(*_, **__):
        raise AssertionError("work began")

    monkeypatch.setattr("twolayer.sgd.simulator.run", no_work)
    monkeypatch.setattr("twolayer.flow.vector_field.flow_at_any_rate", no_work)
    with pytest.raises(ValueError, match=rf"^{name}: got .*must be .*{allowed}") as caught:
        call(**arguments)
    assert isinstance(caught.value, tl.InvalidInput)
    assert caught.value.argument == name


@pytest.mark.parametrize(
    "changed",
    [
        {"t_eval": [0.0]},
        {"t_eval": (0.0, 0.0, 1e-9)},
        {"t_eval": np.array([1], dtype=np.int32)},
        {"learning_rate": np.float32(0.1)},
        {"learning_rate": 1e-9, "t_eval": [1e-9]},
    ],
)
@pytest.mark.parametrize("call", [solve, simulate])
def test_unusual_but_good_input(call, changed):
    assert np.isfinite(call(**changed).excess_risk).all()


@pytest.mark.parametrize("name", ["erf", "square"])
@pytest.mark.parametrize(("p", "k", "d"), [(1, 1, 1), (2, 2, 2), (4, 1, 1)])
def test_smallest_cases(name, p, k, d):
    task, start = tl.Task(name), tl.Weights.gaussian(p=p, k=k, d=d, seed=0)
    assert np.isfinite(tl.solve(task, start.overlaps(), learning_rate=0.1, t_eval=[2.0]).risk).all()
    run = tl.simulate(task, start, learning_rate=0.01, t_eval=[0.5], runs=2)
    assert np.isfinite(run.risk).all()


def test_identical_neurons_at_the_optimum_stay_there():
    ov = tl.Overlaps(np.ones((3, 3)), np.ones((3, 1)), np.eye(1))
    sol = tl.solve(tl.Task("erf"), ov, learning_rate=0.5, t_eval=[100.0])
    run = tl.simulate(tl.Task("erf"), ov, d=50, learning_rate=0.5, t_eval=[10.0])
    assert abs(sol.excess_risk[-1]) < 1e-11
    assert abs(run.excess_risk[0, -1]) < 1e-12
