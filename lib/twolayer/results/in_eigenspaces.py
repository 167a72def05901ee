"""What results for inputs with a spectrum have in common: blocks by eigenspace, the spectrum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from twolayer.problem.spectrum import Spectrum

if TYPE_CHECKING:
    import xarray


class InEigenspaces:
    """Before a result of isotropic inputs among the bases of a class."""

    eigenvalues: np.ndarray | None
    dimensions: np.ndarray | None

    def __repr__(self) -> str:
        return f"Spectral{super().__repr__()[:-1]}, {self.spectrum!r})"

    @property
    def spectrum(self) -> Spectrum:
        """The spectrum of the inputs; without eigenvectors."""
        return Spectrum(self.eigenvalues, self.dimensions)

    def _with_blocks(
        self, data: xarray.Dataset, blocks: Mapping[str, tuple[Sequence[str], str]]
    ) -> xarray.Dataset:
        """The dataset, and a copy of these arrays, given by dimensions and what they are."""
        added = {
            **blocks,
            "eigenvalues": (("group",), "eigenvalues of the covariance of √d x"),
            "dimensions": (("group",), "dimensions of their eigenspaces"),
        }
        for name, (dims, text) in added.items():
            data[name] = (dims, getattr(self, name).copy(), {"units": "1", "long_name": text})
        return data.assign_coords(group=np.arange(self.eigenvalues.size))
