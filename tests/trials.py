"""Trials of the package itself: killed, on other executors and threads, with odd input.

The tests assert what these functions return, and the page "How far to trust this" shows it.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from twolayer.flow.solver import solve
from twolayer.problem.overlaps import Weights
from twolayer.problem.task import Task
from twolayer.results.divergence import Divergence
from twolayer.results.trajectory import Trajectory
from twolayer.sgd import checkpoint
from twolayer.sgd import run as chain
from twolayer.sgd.simulator import simulate
from twolayer.support.checks import InvalidInput
from twolayer.support.netcdf import read_netcdf

#: How another process finds this module.
HERE = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})"

#: Steps of each run that is killed, half a second or so.
_STEPS = 20_000


@dataclass(frozen=True)
class Kills:
    """What became of a simulation that was killed again and again.

    Attributes
    ----------
    moments : tuple of float
        Seconds after its start at which the process was killed.
    resumed_at : tuple of float
        Fraction of all steps that the checkpoints held after each kill.
    completed : int
        Times the simulation reached its end in spite of it.
    identical : int
        How many of these gave the bits of an undisturbed run.
    """

    moments: tuple[float, ...]
    resumed_at: tuple[float, ...]
    completed: int
    identical: int


def kill_and_resume(kills: int = 25, seed: int = 0) -> Kills:
    """Kill a simulation with a checkpoint (SIGKILL) at random moments, and start it again.

    Moments are uniform over what an undisturbed run needs.  Whenever the end is
    reached the bits are compared, and a new folder is begun.

    Parameters
    ----------
    kills : int
    seed : int
        Of the moments.

    Returns
    -------
    Kills
        Takes a second or two a kill.
    """
    with tempfile.TemporaryDirectory(prefix="twolayer-") as place:
        # A process without threads, from which children can be forked that start at once.
        script = f"{HERE}; from trials import _kill; print(_kill({kills}, {seed}, {place!r}))"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    moments, resumed, completed, identical = json.loads(done.stdout)
    return Kills(tuple(moments), tuple(resumed), completed, identical)


def _kill(kills: int, seed: int, place: str) -> str:
    """Do it, and say as JSON what a `Kills` holds."""
    context, rng = get_context("fork"), np.random.default_rng(seed)
    moments: list[float] = []
    resumed: list[float] = []
    completed = identical = 0
    reference, folder = _long_run(None), Path(place) / "state"
    _hurried(str(folder))  # all that is imported or compiled later is so now
    shutil.rmtree(folder)
    started = time.monotonic()
    _hurried(str(folder))
    longest = time.monotonic() - started
    shutil.rmtree(folder)
    while len(moments) < kills:
        process = context.Process(target=_hurried, args=(str(folder),))
        process.start()
        moment = float(rng.uniform(0, longest))
        process.join(moment)
        if process.is_alive():
            process.kill()
            process.join()
            moments.append(moment)
            resumed.append(_held(folder))
            if len(moments) < kills:
                continue
        elif process.exitcode:
            raise RuntimeError(f"a resumed simulation failed with {process.exitcode}")
        completed += 1
        identical += same_bits(_long_run(str(folder)), reference)
        shutil.rmtree(folder)
    return json.dumps([moments, resumed, completed, identical])


def same_bits(first: Trajectory, second: Trajectory) -> bool:
    """Whether two trajectories agree in every bit of t, Q, M, P and risk."""
    pairs = [(getattr(first, n), getattr(second, n)) for n in ("t", "Q", "M", "P", "excess_risk")]
    return all(a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in pairs)


def spread(runs: Mapping[str, Trajectory]) -> float:
    """Largest difference of Q and M from those of the first, relative to its largest entry."""
    first, *others = runs.values()
    out = 0.0
    for other in others:
        for name in ("Q", "M"):
            a, b = getattr(first, name), getattr(other, name)
            out = max(out, float(np.abs(a - b).max() / np.abs(a).max()))
    return out


#: What nobody would give on purpose, for every argument of every function.
ODD_VALUES: tuple[Any, ...] = (
    *(None, "x", "", "1", b"x", [], (), {}, {"a": 1}, set(), object(), len, Executor),
    *(True, False, 1j, math.nan, math.inf, -math.inf, np.float64(np.nan), np.bool_(True)),
    *(-1, 0, 1.5, -0.0, 1e308, 5e-324, 10**12, 10**400, -(10**400)),
    *([1, 2], [[1.0]], [[1, 2], [3]], ["a"], np.nan * np.ones(2), np.zeros((0, 2)), np.array(None)),
    *(np.array([[1.0]]), np.eye(3), -np.eye(2), np.array(["x"]), "\0", "é" * 300),
)


def refusals(calls: Mapping[Callable[..., Any], Mapping[str, Any]]) -> Counter[str]:
    """Try every odd value for every argument of some functions.

    Parameters
    ----------
    calls : mapping
        Function → good arguments, of which one is replaced at a time.

    Returns
    -------
    Counter
        "refused" with `InvalidInput`, "served", "diverged", or the name of any other error.
    """
    out: Counter[str] = Counter()
    for call, good in calls.items():
        for name in good:
            for value in ODD_VALUES:
                try:
                    call(**{**good, name: value})
                    out["served"] += 1
                except InvalidInput:
                    out["refused"] += 1
                except Divergence:
                    out["diverged"] += 1
                except Exception as error:
                    out[type(error).__name__] += 1
    return out


def damage(trajectory: Trajectory, every: int = 7) -> Counter[str]:
    """Save a trajectory, change one bit of the file at a time, and load it.

    Parameters
    ----------
    trajectory : Trajectory
    every : int
        Distance of the bytes that are changed.

    Returns
    -------
    Counter
        "refused", "same" if the bit made no difference, or "misread".
    """
    out: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        file = trajectory.save(Path(folder) / "run.nc")
        content = file.read_bytes()
        for at in range(0, len(content), every):
            changed = bytearray(content)
            changed[at] ^= 1 << at % 8
            file.write_bytes(changed)
            try:
                back = Trajectory.load(file)
                out["same" if same_bits(back, trajectory) else "misread"] += 1
            except InvalidInput:
                out["refused"] += 1
    return out


def on_executor(executor: Executor | None, runs: int = 3, steps: int = 20_000) -> Trajectory:
    """The same small simulation wherever it is asked for.

    Parameters
    ----------
    executor : concurrent.futures.Executor, optional
    runs, steps : int

    Returns
    -------
    Trajectory
    """
    task, start = Task("erf", noise=1e-2), Weights.gaussian(p=4, k=2, d=40, seed=1)
    t_eval = np.linspace(0, steps * 0.3 / (4 * 40), 7)
    return simulate(
        task,
        start,
        learning_rate=0.3,
        t_eval=t_eval,
        runs=runs,
        seed=5,
        executor=executor,
        progress=False,
    )


def with_threads(threads: int) -> dict[str, Trajectory]:
    """SGD with many students, and a solution of the flow, with so many BLAS threads.

    Parameters
    ----------
    threads : int
        Given to the linear algebra of a new process.

    Returns
    -------
    dict
        "sgd" and "ode".  Takes a few seconds.
    """
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    environment = os.environ | dict.fromkeys(names, str(threads))
    with tempfile.TemporaryDirectory() as folder:
        script = f"{HERE}; from trials import _threaded; _threaded({folder!r})"
        subprocess.run([sys.executable, "-c", script], env=environment, check=True)
        return {n: Trajectory.load(Path(folder) / f"{n}.nc") for n in ("sgd", "ode")}


def _threaded(folder: str) -> None:
    task, start = Task("erf", noise=1e-2), Weights.gaussian(p=200, k=2, d=400, seed=1)
    common: dict[str, Any] = {"learning_rate": 0.5, "progress": False}
    run = simulate(task, start, t_eval=np.linspace(0, 0.02, 6), seed=2, **common)
    small = Weights.gaussian(p=30, k=4, d=60, seed=1).overlaps()
    ode = solve(task, small, t_eval=[1.0, 10.0], terms="gradient-flow+noise", **common)
    run.save(Path(folder) / "sgd.nc")
    ode.save(Path(folder) / "ode.nc")


def _long_run(folder: str | None) -> Trajectory:
    task, start = Task("erf", noise=1e-2), Weights.gaussian(p=3, k=2, d=50, seed=0)
    t_eval = np.linspace(0, _STEPS * 0.2 / (3 * 50), 23)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no checkpoint may turn out to be damaged
        return simulate(
            task,
            start,
            learning_rate=0.2,
            t_eval=t_eval,
            runs=2,
            seed=2,
            progress=False,
            checkpoint=folder,
        )


def _hurried(folder: str) -> None:
    """The long run in a process of its own, which saves a hundred times a second."""
    chain._BATCH, chain._SAVE_EVERY = 1, 1e-2
    _long_run(folder)


def _held(folder: Path) -> float:
    """The fraction of all steps that the checkpoints hold."""
    done = 0.0
    for file in folder.glob("run-*.nc"):
        attributes = read_netcdf(file, checkpoint._FORMAT).attrs
        done += int(attributes["block"]) * json.loads(attributes["fingerprint"])["block"]
    return done / (2 * _STEPS)


def named(value: Any) -> str:
    """The same name of a parameter in all processes: that of a function, else its text."""
    return getattr(value, "__name__", None) or str(value)


def dying_at(call: int) -> Callable[..., None]:
    """A `Progress.to` that ends the process, so to say, when it is called for the nth time."""
    calls = itertools.count()

    def to(*_: Any) -> None:
        if next(calls) == call:
            raise MemoryError  # anything that ends the process

    return to
