"""`observe`: overlaps and risk of weights that somebody else has trained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from twolayer.problem.overlaps import Overlaps, Weights
from twolayer.problem.spectral_overlaps import SpectralOverlaps
from twolayer.problem.spectrum import Spectrum
from twolayer.problem.task import Task, excess_risk


@dataclass(frozen=True, eq=False)
class Observation:
    """What `observe` sees.

    Attributes
    ----------
    overlaps : Overlaps or SpectralOverlaps
        Its `Q`, `M` and `P` are the covariance of the pre-activations.
    risk, excess_risk : float
        Of Gaussian inputs with this covariance; R, and R − Δ/2.

    Examples
    --------
    >>> import twolayer as tl
    >>> tl.observe(tl.Task("square", noise=1.0), [[1.0, 1.0]], [[1.0, 1.0]]).risk
    0.5
    """

    overlaps: Overlaps | SpectralOverlaps
    risk: float
    excess_risk: float

    @property
    def Q(self) -> np.ndarray:
        """Covariance of the students' pre-activations, (p, p)."""
        return self.overlaps.Q

    @property
    def M(self) -> np.ndarray:
        """Covariance of students' and targets' pre-activations, (p, k)."""
        return self.overlaps.M

    @property
    def P(self) -> np.ndarray:
        """Covariance of the targets' pre-activations, (k, k)."""
        return self.overlaps.P


def observe(
    task: Task,
    W: ArrayLike,
    W_star: ArrayLike,
    spectrum: Spectrum | None = None,
    *,
    a: ArrayLike | None = None,
    a_star: ArrayLike | None = None,
) -> Observation:
    """Overlaps and population risk of weights, as to be had along a training loop of one's own.

    Costs O(d (p + k)²), and the risk O((p + k)²) where there are closed forms.

    Parameters
    ----------
    task : Task
    W, W_star : array_like, shapes (p, d) and (k, d)
        Students and targets, of norm O(√d).
    spectrum : Spectrum, optional
        That of the inputs, whose eigenspaces order the coordinates (`Spectrum.turned` turns them);
        isotropic by default.
    a, a_star : array_like, shapes (p,) and (k,), optional
        Second layers; ones by default.

    Returns
    -------
    Observation
        With the risk of Gaussian inputs.  That of others, of data, is the same as far as their
        pre-activations are jointly Gaussian.

    Examples
    --------
    >>> import twolayer as tl
    >>> seen = observe(tl.Task("erf"), [[1.0, 1.0]], [[2.0, 0.0]], tl.Spectrum([1.5, 0.5], [1, 1]))
    >>> seen.M, round(seen.excess_risk, 4)
    (array([[1.5]]), 0.0807)
    """
    overlaps = Weights(W, W_star, a, a_star).overlaps(spectrum)
    above = float(excess_risk(task, overlaps))
    return Observation(overlaps, above + task.noise / 2, above)
