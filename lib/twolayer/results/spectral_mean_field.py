"""What `solve_mean_field` returns for inputs with a spectrum: particles in every eigenspace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from twolayer.problem.spectral_overlaps import pooled
from twolayer.problem.spectrum import Spectrum
from twolayer.results.in_eigenspaces import InEigenspaces
from twolayer.results.mean_field_trajectory import MeanFieldTrajectory

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True, eq=False, repr=False)
class SpectralMeanFieldTrajectory(InEigenspaces, MeanFieldTrajectory):
    """Particles in every eigenspace, and the risk, at recorded times.

    As a `MeanFieldTrajectory`, whose M, q and P are those of the pre-activations here,
    M = Σ_g s_g M^g and so on.

    Attributes
    ----------
    M_blocks, q_blocks : array, shapes (T, p, G, k) and (T, p, G)
        Overlaps with the targets, and squared norms outside their span, in every eigenspace.
    P_blocks : array, shape (G, k, k)
        Overlaps of the targets.
    eigenvalues, dimensions : array, shape (G,)
        Those of the spectrum.

    Examples
    --------
    >>> import twolayer as tl
    >>> spectrum = tl.Spectrum([1.8, 0.2], [50, 50])
    >>> start = tl.Weights.gaussian(p=10, k=1, d=100, seed=0)
    >>> particles = tl.SpectralParticles.from_weights(start, spectrum)
    >>> mf = tl.solve_mean_field(tl.Task("erf"), particles, start.overlaps(spectrum).P_blocks,
    ...                          t_eval=[0.0, 1.0, 10.0])
    >>> mf.M_blocks.shape, mf.M.shape, bool((abs(mf.cosines) < 1).all())
    ((3, 10, 2, 1), (3, 10, 1), True)
    """

    FORMAT: ClassVar[str] = "twolayer mean field with a spectrum 1"
    ARRAYS: ClassVar[tuple[str, ...]] = (
        *MeanFieldTrajectory.ARRAYS,
        *("M_blocks", "q_blocks", "P_blocks", "eigenvalues", "dimensions"),
    )

    M_blocks: np.ndarray | None = None
    q_blocks: np.ndarray | None = None
    P_blocks: np.ndarray | None = None
    eigenvalues: np.ndarray | None = None
    dimensions: np.ndarray | None = None

    @property
    def q_total(self) -> np.ndarray:
        """Variances of the particles' pre-activations, shape (T, p)."""
        inverse = np.linalg.inv(self.P_blocks)
        inside = np.einsum("tpgr,grs,tpgs->tpg", self.M_blocks, inverse, self.M_blocks)
        return (self.q_blocks + inside) @ self.eigenvalues

    def _labelled(self) -> xarray.Dataset:
        data, of = super()._labelled(), "in an eigenspace: {}".format
        blocks = {
            "M_blocks": (("time", "particle", "group", "target"), of("overlaps with the targets")),
            "q_blocks": (("time", "particle", "group"), of("squared norms outside their span")),
            "P_blocks": (("group", "target", "target_2"), of("overlaps of the targets")),
        }
        return self._with_blocks(data, blocks)

    @staticmethod
    def _fits(arrays: Mapping[str, np.ndarray]) -> bool:
        own = len(MeanFieldTrajectory.ARRAYS) + 1
        plain = dict(list(arrays.items())[:own])
        (T, p, k), groups = arrays["M"].shape, arrays["eigenvalues"].shape
        shapes = ((T, p, *groups, k), (T, p, *groups), (*groups, k, k), groups, groups)
        blocks = list(arrays.values())[own:]
        return MeanFieldTrajectory._fits(plain) and tuple(b.shape for b in blocks) == shapes


def mean_field_of(
    spectrum: Spectrum | None, *, M: np.ndarray, q: np.ndarray, P: np.ndarray, **rest: Any
) -> MeanFieldTrajectory:
    """The trajectory of these particles; with a spectrum in blocks of its eigenspaces."""
    if spectrum is None:
        return MeanFieldTrajectory(M=M, q=q, P=P, **rest)
    s = spectrum.eigenvalues
    return SpectralMeanFieldTrajectory(
        M=np.einsum("g,...gk->...k", s, M),
        q=q @ s,
        P=pooled(spectrum, P),
        M_blocks=M,
        q_blocks=q,
        P_blocks=P,
        eigenvalues=s,
        dimensions=spectrum.dimensions.astype(float),  # as a file has them
        **rest,
    )
