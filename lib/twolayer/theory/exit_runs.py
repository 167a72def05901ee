r"""How long SGD stays on the uninformative plateau, run by run, at any dimension.

One student and one target, square activation: (q, m) is then a Markov chain of its own, which
`kernels.escape` follows exactly at a cost that does not depend on d.  What theory says of the
same times is in `escape`.
"""

from __future__ import annotations

from concurrent.futures import Executor
from tempfile import TemporaryDirectory

import numpy as np

from twolayer.support.checks import (
    InvalidInput,
    check_executor,
    check_fits_in_memory,
    check_flag,
    check_integer,
    check_learning_rate,
    check_non_negative,
    check_positive,
    check_probability,
    check_seed,
    shown,
)
from twolayer.support.cluster import check_workers
from twolayer.support.threads import is_local, while_there

#: Runs side by side, and the steps for which numbers are drawn at once.
_LANES, _CHUNK = 8, 2048
_MAX_STEPS = 2.0**53


def exit_times(
    d: int,
    *,
    learning_rate: float,
    noise: float = 0.0,
    spherical: bool = False,
    threshold: float = 0.5,
    runs: int = 1,
    seed: int = 0,
    t_max: float = 100.0,
    executor: Executor | None = None,
) -> np.ndarray:
    """The times at which runs of SGD first have m²/q at the threshold, (runs,), in d/γ steps.

    Square activation, one student and one target (of squared norm d) alone; every run starts from
    weights w ~ N(0, I_d), on the sphere ‖w‖² = d if spherical.  Infinite for a run that did not
    get there by `t_max`, or whose norm grew beyond all bounds.  A step costs the same whatever d
    is, and a run takes of the order of d log(d)/γ of them.  The question, and spherical SGD, are
    those of arXiv:2305.18502; the chain is derived in `kernels.escape`.

    Parameters
    ----------
    d : int
        Dimension of the data, >= 4.
    learning_rate, noise : float
        γ > 0 and Δ >= 0.
    spherical : bool
        Divide w by its norm (times √d) after each step.
    threshold : float
        Of the squared cosine m²/q, above 0 and below 1.
    runs, seed : int
        Number of independent runs, of which run r depends on (seed, r) alone.
    t_max : float
        When to give up, in units of d/γ steps.
    executor : concurrent.futures.Executor, optional
        Where to run, eight runs at a time; here by default.

    Examples
    --------
    >>> t = exit_times(1000, learning_rate=0.05, spherical=True, runs=4)
    >>> t.shape, bool((t > 0).all())
    ((4,), True)
    """
    d, runs, seed = check_integer("d", d, 4), check_integer("runs", runs, 1), check_seed(seed)
    learning_rate, noise = check_learning_rate(learning_rate), check_non_negative("noise", noise)
    spherical = check_flag("spherical", spherical)
    threshold = check_probability("threshold", threshold)
    t_max = check_positive("t_max", t_max)
    check_executor(executor)
    check_workers(executor, "twolayer.theory.exit_runs")
    check_fits_in_memory("runs", runs, 10 * runs)
    limit = t_max * d / learning_rate
    if not limit < _MAX_STEPS:
        most = _MAX_STEPS * learning_rate / d
        raise InvalidInput("t_max", shown(t_max), f"below {most:.3g}, the time of 2^53 steps")
    batches = [range(first, min(first + _LANES, runs)) for first in range(0, runs, _LANES)]
    chain = (learning_rate, float(d), np.sqrt(noise), spherical, threshold)
    jobs = map if executor is None else executor.map
    with TemporaryDirectory(prefix="twolayer-") as go_on:
        seen = go_on if is_local(executor) else None
        columns = ([each] * len(batches) for each in (chain, limit, seed, seen))
        ends = list(jobs(follow, batches, *columns))
    q, m, steps = np.concatenate(ends, axis=1)
    found = (m**2 >= threshold * q) & (steps <= limit)
    return np.where(found, steps, np.inf) * (learning_rate / d)


def follow(
    numbers: range,
    chain: tuple[float, float, float, bool, float],
    limit: float,
    seed: int,
    seen: str | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """q, m and the steps taken of the runs with these numbers, each to its end.

    A run ends at the threshold, at a blow-up, or with the first chunk that passes the limit; and
    all do when the folder `seen` is gone.
    """
    from twolayer.kernels.escape import BLOW_UP, Chain, advance  # starts numba

    rules = Chain(*chain)
    d, threshold = int(rules.d), rules.threshold
    streams = [np.random.SeedSequence(seed, spawn_key=(number,)) for number in numbers]
    draws = [np.random.Generator(np.random.SFC64(stream)) for stream in streams]
    q, m = np.array([_start(each, d, rules.spherical) for each in draws]).T.copy()
    steps = np.zeros(len(q), dtype=np.int64)
    running = np.arange(len(q))
    while running.size:
        while_there(seen)
        normals, rest = numbers_of([draws[r] for r in running], d, rules.noise_level > 0)
        q_on, m_on, done = q[running], m[running], steps[running]
        advance(normals, rest, q_on, m_on, done, rules)
        q[running], m[running], steps[running] = q_on, m_on, done
        on = (m_on**2 < threshold * q_on) & (q_on < BLOW_UP) & (done < limit)
        running = running[on]
    return q, m, steps


def _start(draws: np.random.Generator, d: int, spherical: bool) -> tuple[float, float]:
    """(q, m) of w ~ N(0, I_d) and a target of norm √d."""
    along = draws.standard_normal()
    square = (along**2 + draws.chisquare(d - 1)) / d
    m = along / np.sqrt(d)
    return (1.0, m / np.sqrt(square)) if spherical else (square, m)


def numbers_of(
    draws: list[np.random.Generator], d: int, noisy: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Normals (chunk, 3, runs) and chi-squared numbers (chunk, runs) for the next steps."""
    from twolayer.kernels.escape import to_chi_squared  # starts numba
    from twolayer.kernels.normals import to_normals

    kinds = 4 if noisy else 3
    numbers = np.array([each.random(kinds * _CHUNK) for each in draws])
    to_normals(numbers)
    parts = numbers.reshape(len(draws), kinds, _CHUNK)
    normals = np.zeros((_CHUNK, 3, len(draws)))
    normals[:, : kinds - 1] = parts[:, 1:].transpose(2, 1, 0)
    rest = parts[:, 0]
    to_chi_squared(rest, np.array([each.random(_CHUNK) for each in draws]), d - 2.0)
    for r, row in enumerate(rest):
        if row.min() < 0:  # seldom at large d
            refused = np.flatnonzero(row < 0)
            row[refused] = draws[r].chisquare(d - 2, refused.size)
    return normals, np.ascontiguousarray(rest.T)
