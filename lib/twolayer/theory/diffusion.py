r"""The covariance of one step of SGD: the noise that drives the `fluctuations`.

As d → ∞ one step moves the overlaps, over δt = γ/(p d), by

    F_M = s_i 𝓔 λ*_r,   F_Q = 𝓔 (s_i λ_j + s_j λ_i) + (γ/p) s_i s_j 𝓔²,   s_i = a_i σ'(λ_i),

whose mean is the `flow` and whose covariance is D.  It has no closed form for erf, and is
found from quasi-random points for all activations.  The samples of a batch of b are orthogonal
as d → ∞: a step is the mean of b such F, with γ/b in place of γ, and D the b-th part.
"""

from __future__ import annotations

import numpy as np

from twolayer.activations.quadrature import normal_points
from twolayer.problem.overlaps import Overlaps
from twolayer.problem.task import Task, coefficients
from twolayer.support.arrays import Array
from twolayer.support.checks import (
    check_instance,
    check_integer,
    check_learning_rate,
    check_power_of_two,
    check_seed,
)

#: The fewest and the most quasi-random points.
POINT_RANGE = 128, 2**20
#: Scramblings that tell the error of the quasi-random points.
_SCRAMBLINGS = 4
#: Variance of the normal law that the points are drawn from: D holds high powers of the
#: fields, for square up to the twelfth, to which the tails give most.
_WIDER = 1.5


def diffusion(
    task: Task,
    overlaps: Overlaps,
    *,
    learning_rate: float,
    batch: int = 1,
    points: int = 2**12,
    seed: int = 0,
) -> Array:
    """Covariance D (N, N) of one step's increment of the overlaps, over δt², as d → ∞.

    Parameters
    ----------
    task : Task
        Any activation.
    overlaps : Overlaps
        The state.
    learning_rate : float
        γ > 0.
    batch : int
        Samples that a step averages over.
    points : int
        Quasi-random points over (λ, λ*), a power of two >= 128; the label noise is
        averaged over exactly.  Costs O(points N²).
    seed : int
        Of their scrambling.

    Examples
    --------
    Nothing moves after perfect learning:

    >>> D = diffusion(Task("erf"), Overlaps([[1.0]], [[1.0]], [[1.0]]), learning_rate=0.1)
    >>> bool(np.abs(D).max() < 1e-30)
    True
    """
    check_instance("task", task, Task)
    check_instance("overlaps", overlaps, Overlaps)
    learning_rate = check_learning_rate(learning_rate)
    batch = check_integer("batch", batch, 1)
    points, seed = check_power_of_two("points", points, *POINT_RANGE), check_seed(seed)
    z = normal_points(overlaps.p + overlaps.k, points, seed)
    return diffusion_at(task, overlaps.Omega, overlaps, learning_rate, batch, z)


def diffusion_at(
    task: Task, Omega: Array, layers: Overlaps, learning_rate: float, batch: int, z: Array
) -> Array:
    """D at Ω from standard normal points z, (points, p + k); any overlaps with these `layers`."""
    p, a = layers.p, layers.a
    c, rate = coefficients(a, layers.a_star), learning_rate / batch
    weight = np.exp((1 - _WIDER) / 2 * (z**2).sum(1))[:, None]
    weight /= weight.sum()
    z = np.sqrt(_WIDER) * z
    values, vectors = np.linalg.eigh(Omega)
    # The symmetric root moves smoothly with Ω, and so does the error of the points.
    fields = z @ (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    students, targets = fields[:, :p], fields[:, p:]
    error = task.target_activation.sigma(targets) @ c[p:] + task.activation.sigma(students) @ c[:p]
    slope = a * task.activation.derivative(students)
    i, j = np.triu_indices(p)
    own = slope[:, i] * students[:, j] + slope[:, j] * students[:, i]
    cross = (slope[:, :, None] * targets[:, None, :]).reshape(len(z), -1)
    linear = np.concatenate((own, cross), axis=1)
    squared = np.zeros_like(linear)
    squared[:, : len(i)] = rate / p * slope[:, i] * slope[:, j]
    # The increment is a polynomial in the label noise √Δ ζ: a + b √Δ ζ + c Δ ζ².
    mean = linear * error[:, None] + squared * (error[:, None] ** 2 + task.noise)
    first = linear + 2 * squared * error[:, None]
    mean -= (weight * mean).sum(0)
    out = mean.T @ (weight * mean) + task.noise * first.T @ (weight * first)
    return (out + 2 * task.noise**2 * squared.T @ (weight * squared)) / batch


def sampling_error(
    task: Task,
    Omega: Array,
    layers: Overlaps,
    learning_rate: float,
    batch: int,
    points: int,
    seed: int,
) -> float:
    """Relative standard error of D, from independent scramblings of the points."""
    some = [normal_points(len(Omega), points, seed + 1 + n) for n in range(_SCRAMBLINGS)]
    found = np.array([diffusion_at(task, Omega, layers, learning_rate, batch, z) for z in some])
    size = np.linalg.norm(found.mean(0))
    return float(np.linalg.norm(found.std(0, ddof=1)) / size) if size else 0.0
