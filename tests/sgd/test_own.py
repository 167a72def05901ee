"""Functions of one's own in the simulator: NumPy's loop, then machine code, to the same end."""

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import trials

import twolayer as tl
from twolayer.sgd import blocks
from twolayer.sgd import run as chain


def sigma(x):
    return np.tanh(x) + 0.1 * x


def slope(x):
    return 1.1 - np.tanh(x) ** 2


GIVEN = tl.Activation.of(sigma, slope)
START = tl.Weights.gaussian(p=3, k=2, d=60, seed=1)
HOW = {"learning_rate": 0.5, "progress": False, "seed": 3}


def times(samples, start=START):
    return np.array(samples) * 0.5 / (start.p * start.d)


@pytest.mark.parametrize(
    ("activation", "more"),
    [
        (GIVEN, {}),
        (tl.Activation.of(sigma), {}),
        (tl.Activation.of(lambda x: np.maximum(x, 0.1 * x)), {"second_layer_rate": 0.2}),
        (GIVEN, {"method": "direct", "batch": 4}),
        (GIVEN, {"learning_rate": lambda t: 1 / (1 + t)}),
        (GIVEN, {"weight_decay": 0.3, "neuron_rates": [1.0, 0.5, 2.0]}),
        (GIVEN, {"norm": "fixed"}),
    ],
    ids=["given", "differences", "second layer", "direct in batches", "schedule", "decay", "fixed"],
)
def test_both_loops_agree(activation, more, monkeypatch):
    task, t = tl.Task(activation, "erf", noise=0.1), times([100, 801, 1600])
    found = {}
    for samples in (0, 10**9):
        monkeypatch.setattr(blocks, "BY_NUMPY", samples)
        found[samples] = tl.simulate(task, START, t_eval=t, **HOW | more)
    by_code, by_numpy = found.values()
    np.testing.assert_allclose(by_code.Q, by_numpy.Q, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(by_code.M, by_numpy.M, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(by_code.a, by_numpy.a, rtol=1e-11, atol=1e-11)
    if activation is GIVEN:
        np.testing.assert_allclose(by_code.Q, by_numpy.Q, rtol=1e-12, atol=1e-12)


def test_many_students_and_the_loop_that_takes_over(monkeypatch):
    """As many as LAPACK turns: who is asked for which block."""
    start, seen = tl.Weights.gaussian(p=130, k=1, d=400, seed=1), []
    monkeypatch.setattr(blocks, "BY_NUMPY", 200)
    step = chain.Workspace._step

    def watched(space, count, absorb_last):
        seen.append((space.state.block, space._rules.sigma is not None))
        return step(space, count, absorb_last)

    monkeypatch.setattr(chain.Workspace, "_step", watched)
    how = HOW | {"method": "projected"}
    found = tl.simulate(tl.Task(GIVEN), start, t_eval=times([700], start), **how)
    size = found.provenance["block"]
    first = -(-200 // size)
    assert all(compiled == (block >= first) for block, compiled in seen)
    assert {compiled for _, compiled in seen} == {False, True}
    monkeypatch.setattr(blocks, "BY_NUMPY", 10**9)
    plain = tl.simulate(tl.Task(GIVEN), start, t_eval=times([700], start), **how)
    np.testing.assert_allclose(found.Q, plain.Q, rtol=1e-12, atol=1e-12)


@pytest.fixture
def early(monkeypatch):
    """Machine code from sample 112 on, the seventh block."""
    monkeypatch.setattr(blocks, "BY_NUMPY", 110)


def test_bits_do_not_depend_on_what_is_recorded(early):
    task = tl.Task(GIVEN)
    whole = tl.simulate(task, START, t_eval=times([50, 100, 112, 120, 500]), **HOW)
    for n, samples in enumerate([50, 100, 112, 120, 500]):
        alone = tl.simulate(task, START, t_eval=times([samples]), **HOW)
        assert (alone.Q[:, 0] == whole.Q[:, n]).all()


@pytest.mark.parametrize("saved", [3, 7, 20])
def test_a_run_that_is_resumed_has_the_same_bits(early, saved, tmp_path, monkeypatch):
    """Interrupted before the loop changes, where it does, and after."""
    task, t = tl.Task(GIVEN), times([500])
    whole = tl.simulate(task, START, t_eval=t, **HOW)
    monkeypatch.setattr(chain, "_BATCH", 1)  # a block at a time
    monkeypatch.setattr(chain, "_SAVE_EVERY", -1.0)
    advance = chain.Workspace.advance

    def interrupted(space, *how):
        if space.state.block == saved:
            raise KeyboardInterrupt
        return advance(space, *how)

    monkeypatch.setattr(chain.Workspace, "advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tl.simulate(task, START, t_eval=t, checkpoint=tmp_path, **HOW)
    monkeypatch.setattr(chain.Workspace, "advance", advance)
    assert list(tmp_path.glob("run-*.nc"))
    resumed = tl.simulate(task, START, t_eval=t, checkpoint=tmp_path, **HOW)
    assert trials.same_bits(whole, resumed)


def test_elsewhere_bits_are_the_same():
    """Long enough for machine code, wherever it is."""
    task = tl.Task(GIVEN)
    how = HOW | {"t_eval": times([blocks.BY_NUMPY + 500]), "runs": 2}
    here = tl.simulate(task, START, **how)
    with ThreadPoolExecutor(2) as pool:
        assert trials.same_bits(tl.simulate(task, START, executor=pool, **how), here)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert trials.same_bits(tl.simulate(task, START, executor=pool, **how), here)


def test_a_number_that_has_become_another(early, monkeypatch):
    """Between two runs: machine code is not that of the old one."""
    task, how = tl.Task(tl.Activation.of(scaled)), HOW | {"t_eval": times([500])}
    tl.simulate(task, START, **how)
    monkeypatch.setitem(globals(), "FACTOR", 2.0)
    found = tl.simulate(task, START, **how)
    monkeypatch.setattr(blocks, "BY_NUMPY", 10**9)
    plain = tl.simulate(task, START, **how)
    np.testing.assert_allclose(found.Q, plain.Q, rtol=1e-10)


FACTOR = 1.0


def scaled(x):
    return np.tanh(FACTOR * x)


def test_a_run_that_blows_up_does_so_at_the_same_sample(monkeypatch):
    task = tl.Task(tl.Activation.of(lambda x: x**5, lambda x: 5 * x**4))
    ends = []
    for samples in (0, 10**9):
        monkeypatch.setattr(blocks, "BY_NUMPY", samples)
        with pytest.raises(tl.Divergence) as error, np.errstate(all="ignore"):
            tl.simulate(task, START, t_eval=[10.0], **HOW | {"learning_rate": 5.0})
        ends.append(error.value.step)
    assert ends[0] == ends[1]
