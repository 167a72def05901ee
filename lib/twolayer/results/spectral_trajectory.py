"""What `solve` and `simulate` return for inputs with a spectrum: a trajectory with blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from twolayer.problem.spectral_overlaps import SpectralOverlaps, pooled
from twolayer.problem.spectrum import Spectrum
from twolayer.results.in_eigenspaces import InEigenspaces
from twolayer.results.trajectory import Trajectory

if TYPE_CHECKING:
    import xarray

_BLOCKS = ("Q_blocks", "M_blocks", "P_blocks")


@dataclass(frozen=True, eq=False, repr=False)
class SpectralTrajectory(InEigenspaces, Trajectory):
    """Overlaps in every eigenspace, and the risk, at recorded times.

    As a `Trajectory`, whose Q, M and P are the covariance of the pre-activations here,
    Q = Σ_g s_g Q^g and so on: what the risk depends on.

    Attributes
    ----------
    Q_blocks : array, shape ([R,] T, G, p, p)
        Overlaps Q^g = W Π_g Wᵀ/d; or ([R,] T, G, p), their diagonals, of "norms".
    M_blocks, P_blocks : array, shapes ([R,] T, G, p, k) and (G, k, k)
        Likewise; P_blocks do not move.
    eigenvalues, dimensions : array, shape (G,)
        Those of the spectrum.

    Examples
    --------
    >>> import twolayer as tl
    >>> spectrum = tl.Spectrum([1.8, 0.2], [50, 50])
    >>> ov = tl.Weights.gaussian(p=2, k=1, d=100, seed=0).overlaps(spectrum)
    >>> sol = tl.solve(tl.Task("erf"), ov, learning_rate=1.0, t_eval=[0.0, 1.0, 10.0])
    >>> sol.Q_blocks.shape, sol.Q.shape, bool(np.allclose(sol.spectrum.eigenvalues, [1.8, 0.2]))
    ((3, 2, 2, 2), (3, 2, 2), True)
    """

    FORMAT: ClassVar[str] = "twolayer trajectory with a spectrum 1"
    ARRAYS: ClassVar[tuple[str, ...]] = (*Trajectory.ARRAYS, *_BLOCKS, "eigenvalues", "dimensions")

    Q_blocks: np.ndarray | None = None
    M_blocks: np.ndarray | None = None
    P_blocks: np.ndarray | None = None
    eigenvalues: np.ndarray | None = None
    dimensions: np.ndarray | None = None

    def overlaps(self, time: int = -1, run: int = 0) -> SpectralOverlaps:
        """The state at one recorded time, as of a `Trajectory`, to start another computation."""
        here = self.at(time, run)
        Q, M = self.Q_blocks[here], self.M_blocks[here]
        return SpectralOverlaps(self.spectrum, Q, M, self.P_blocks, self.a[here], self.a_star)

    def _labelled(self) -> xarray.Dataset:
        data, run = super()._labelled(), ("run",) if self.M.ndim == 4 else ()
        time, of = (*run, "time", "group"), "overlap of {} in an eigenspace, divided by d".format
        rest = ("neuron", "neuron_2")[: self.Q_blocks.ndim - len(time)]
        blocks = {
            "Q_blocks": ((*time, *rest), of("students")),
            "M_blocks": ((*time, "neuron", "target"), of("students and targets")),
            "P_blocks": (("group", "target", "target_2"), of("targets")),
        }
        return self._with_blocks(data, blocks)

    @staticmethod
    def _fits(arrays: Mapping[str, np.ndarray]) -> bool:
        lead, (p, k) = arrays["excess_risk"].shape, arrays["M"].shape[-2:]
        groups = arrays["eigenvalues"].shape
        return (
            Trajectory._fits(arrays)
            and len(groups) == 1
            and arrays["dimensions"].shape == groups
            and arrays["Q_blocks"].shape == (*lead, *groups, *arrays["Q"].shape[len(lead) :])
            and arrays["M_blocks"].shape == (*lead, *groups, p, k)
            and arrays["P_blocks"].shape == (*groups, k, k)
        )


def trajectory_of(
    spectrum: Spectrum | None, *, Q: np.ndarray, M: np.ndarray, P: np.ndarray, **rest: Any
) -> Trajectory:
    """The trajectory of these overlaps; with a spectrum they are blocks of its eigenspaces.

    Of one eigenspace Q, M and P have no axis of blocks.
    """
    if spectrum is None:
        return Trajectory(Q=Q, M=M, P=P, **rest)
    if len(spectrum) == 1:
        whole = Q, M, P
        at = M.ndim - 2
        Q, M, P = np.expand_dims(Q, at), np.expand_dims(M, at), P[None]
    elif Q.ndim == M.ndim:
        whole = tuple(pooled(spectrum, blocks) for blocks in (Q, M, P))
    else:  # norms
        whole = spectrum.eigenvalues @ Q, pooled(spectrum, M), pooled(spectrum, P)
    return SpectralTrajectory(
        **dict(zip("QMP", whole, strict=True)),
        Q_blocks=Q,
        M_blocks=M,
        P_blocks=P,
        eigenvalues=spectrum.eigenvalues,
        dimensions=spectrum.dimensions.astype(float),  # as a file has them
        **rest,
    )
