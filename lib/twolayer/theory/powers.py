r"""What one step of SGD does to the overlaps, and the phase that its sizes add up to.

With h = γ/p a step changes M_ir by (h/d) σ'(λ_i) λ*_r 𝓔, and Q_ii by (h/d) A + (h²/d) B with
A = 2 σ'(λ_i) λ_i 𝓔 and B = σ'(λ_i)² 𝓔².  The means are the drifts (h/d)(Ψ^M, Ψ^GF) and
(h²/d) Ψ^Var; the deviation of the change of Q_ii from run to run is sampled.

In γ = γ₀ d^(−δ), p = p₀ d^κ each size is a power of d.  The largest drift sets the clock; there
is an ODE if the deviations of its many steps add up to less and less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from twolayer.flow.terms import psi_GF, psi_M, psi_Var
from twolayer.problem.overlaps import Overlaps
from twolayer.problem.states import no_second_layer
from twolayer.problem.task import Task
from twolayer.support.arrays import Array
from twolayer.support.checks import (
    InvalidInput,
    check_array,
    check_instance,
    check_integer,
    check_non_negative,
    check_positive,
    check_real,
    check_seed,
)


@dataclass(frozen=True, eq=False)
class OneStep:
    """Drifts and deviation of one step, at h/d = 1 and h = 1.

    Attributes
    ----------
    first : float
        Root mean square of Ψ^M and of the diagonal of Ψ^GF.
    second : float
        Root mean square of the diagonal of Ψ^Var.
    covariance : array, shape (2, 2)
        Of A and B, for the first student.

    Examples
    --------
    Ten times the rate, ten times the first-order drift and a hundred times the second:

    >>> moments = OneStep(first=1.0, second=2.0, covariance=np.eye(2))
    >>> (moments.sizes(1.0, 10.0) / moments.sizes(0.1, 10.0))[:2].round(6).tolist()
    [10.0, 100.0]
    """

    first: float
    second: float
    covariance: Array

    def sizes(self, rate_per_student: float, d: float) -> Array:
        """First- and second-order drift of a step, and its deviation, shape (3,).

        Parameters
        ----------
        rate_per_student : float
            h = γ/p.
        d : float
            Dimension.

        Examples
        --------
        >>> moments = OneStep(1.0, 2.0, np.eye(2))
        >>> moments.sizes(0.1, 10.0).round(6).tolist()
        [0.01, 0.002, 0.01005]
        """
        h, c = rate_per_student, self.covariance
        spread = np.sqrt(h**2 * c[0, 0] + 2 * h**3 * c[0, 1] + h**4 * c[1, 1])
        return np.array([h * self.first, h**2 * self.second, spread]) / d


def one_step(task: Task, overlaps: Overlaps, *, samples: int = 40_000, seed: int = 0) -> OneStep:
    """Both drifts by the equations, and the covariance of A and B by sampling.

    Parameters
    ----------
    task : Task
    overlaps : Overlaps
        Of students that are all alike: the deviation is that of the first one.
    samples : int
        Of the pre-activations and the label noise, at least 2.
    seed : int

    References
    ----------
    The step is that of arXiv:2302.05882, section 2.

    Examples
    --------
    >>> from twolayer.regimes import half_way
    >>> moments = one_step(Task("erf", noise=0.1), half_way(4, 2), samples=1000)
    >>> f"{moments.first:.3f} {moments.second:.3f}"
    '0.070 0.078'
    """
    check_instance("task", task, Task)
    no_second_layer(overlaps)
    samples, seed = check_integer("samples", samples, 2, 10**7), check_seed(seed)
    first = np.concatenate((psi_M(task, overlaps).ravel(), np.diagonal(psi_GF(task, overlaps))))
    second = np.diagonal(psi_Var(task, overlaps))
    p, factor = overlaps.p, overlaps.factor()
    rng = np.random.default_rng(seed)
    fields = rng.normal(size=(samples, factor.shape[1])) @ factor.T
    student = task.activation.sigma(fields[:, :p]).mean(1)
    error = task.target_activation.sigma(fields[:, p:]).mean(1) - student
    error += np.sqrt(task.noise) * rng.normal(size=samples)
    push = task.activation.derivative(fields[:, 0]) * error
    covariance = np.cov(2 * push * fields[:, 0], push**2)
    return OneStep(
        float(np.sqrt((first**2).mean())), float(np.sqrt((second**2).mean())), covariance
    )


def count_powers(
    small: ArrayLike, large: ArrayLike, factor: float, resolution: float = 0.0
) -> tuple[str, float, float]:
    """The phase that follows from the sizes of a step at two dimensions.

    The larger drift, of exponent −c, needs d^c steps to move Ω by order one.  On that clock the
    fluctuations have the exponent of one step's deviation plus c/2.

    Parameters
    ----------
    small, large : array_like, shape (3,)
        `OneStep.sizes` at the smaller and at the larger dimension.
    factor : float
        The larger dimension over the smaller one, > 1.
    resolution : float
        Exponents of the drifts that differ by less than half of it count as equal, and
        fluctuations must fall by a quarter of it to vanish.

    Returns
    -------
    name : str
        As of `regimes.phase`: "perfect learning", "plateau", "bad learning" or "no ODE".
    clock : float
        The exponent c.
    fluctuations : float
        Their exponent on that clock.

    References
    ----------
    Its results are set beside Veiga et al., NeurIPS 2022, in the book's figure "The plane of
    learning rate and width".

    Examples
    --------
    The first-order drift falls as d^(−3/2), the deviation as well, the second-order drift as d⁻²:

    >>> name, clock, fluctuations = count_powers([1, 1, 1], [1e-3, 1e-4, 1e-3], factor=100.0)
    >>> name, round(clock, 3), round(fluctuations, 3)
    ('perfect learning', 1.5, -0.75)
    """
    small, large = check_array("small", small, (3,)), check_array("large", large, (3,))
    for name, sizes in (("small", small), ("large", large)):
        if sizes.min() <= 0:
            raise InvalidInput(name, f"a smallest entry of {sizes.min():g}", "> 0")
    factor, resolution = (
        check_positive("factor", factor),
        check_non_negative("resolution", resolution),
    )
    if factor <= 1:
        raise InvalidInput("factor", f"{factor:g}", "above 1")
    first, second, spread = (float(e) for e in np.log(large / small) / math.log(factor))
    clock = -max(first, second)
    accumulated = spread + clock / 2
    if accumulated >= -resolution / 4:
        return "no ODE", clock, accumulated
    if abs(first - second) <= resolution / 2:
        return "plateau", clock, accumulated
    return ("perfect learning" if first > second else "bad learning"), clock, accumulated


def in_strip(kappa: float, delta: float) -> bool:
    """Whether powers allow an ODE that the theorem does not promise.

    Below the line −δ = (κ + 1)/2 of the theorem γ²/(pd) grows with d; above the line
    κ + δ = −1/2 of the powers counted γ²/(p²d) still vanishes.

    Parameters
    ----------
    kappa, delta : float
        Of γ = γ₀ d^(−δ), p = p₀ d^κ.

    Raises
    ------
    InvalidInput
        If an exponent is not finite.

    References
    ----------
    The theorem: Veiga et al., NeurIPS 2022 (arXiv:2202.00293).

    Examples
    --------
    >>> in_strip(1.0, -1.25), in_strip(1.0, -0.75), in_strip(1.0, -1.75)
    (True, False, False)
    """
    kappa, delta = check_real("kappa", kappa), check_real("delta", delta)
    return -delta >= (kappa + 1) / 2 - 1e-9 and kappa + delta > -0.5 + 1e-9
