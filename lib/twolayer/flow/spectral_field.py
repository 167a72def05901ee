r"""The flow of overlaps under inputs with a spectrum: a block for every eigenspace.

Of x ~ N(0, Σ/d) with eigenvalues s_g on eigenspaces of dimension d_g the pre-activations have the
covariance Ω = Σ_g s_g Ω^g, and cov(λ^g, λ) = s_g Ω^g for the part λ^g of Π_g x in them.  With
Stein's coefficients B(Ω), second layers a aside, one step of SGD changes the means by

    dM^g/dt = s_g (B Ω^g)_targets,
    dQ^g/dt = s_g (B Ω^g + (B Ω^g)ᵀ)_students + (γ/p) E[σ'(λ_i) σ'(λ_j) 𝓔² ‖Π_g x‖²].

‖Π_g x‖² has the mean s_g d_g/d; that it depends on the pre-activations is of order 1/d, and taken
in given d: with Π_g x scaled by √u the derivative in u of the logarithm of the density is
d ‖Π_g x‖²/(2 s_g) − d_g/2 at u = 1.  So for every function f of λ

    E[f ‖Π_g x‖²] = (s_g d_g/d) E_Ω[f] + (2 s_g/d) d/du E_{Ω + (u − 1) s_g Ω^g}[f] at u = 1.

One eigenspace of eigenvalue 1 is `terms`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from twolayer.activations.derivatives import gain_along
from twolayer.activations.kinks import Slope
from twolayer.flow.terms import TERMS
from twolayer.problem.matrices import assemble
from twolayer.problem.spectral_overlaps import SpectralOverlaps, pooled
from twolayer.problem.task import Task, coefficients
from twolayer.support.arrays import Array
from twolayer.support.differences import differences
from twolayer.support.unknowns import Unknowns


class SpectralFlow:
    """The flow of one problem in all (Q^g, M^g), with a trained second layer in a, too.

    As `vector_field.Flow`, but Q and M have a leading axis of eigenspaces.  The Jacobian is that
    of the drift, by differences: Newton's iteration wants no more.
    """

    def __init__(
        self,
        task: Task,
        overlaps: SpectralOverlaps,
        terms: str,
        gamma: Callable[[float], float],
        eta: float = 0.0,
        batch: int = 1,
        d: int | None = None,
    ) -> None:
        self.task, self.overlaps, self.gamma, self.eta = task, overlaps, gamma, eta
        self.batch, self.d = batch, d
        self._noise_free, self._label_noise = TERMS[terms]
        p, k = overlaps.p, overlaps.k
        self._block = Unknowns((p, p), (p, k), triangle=True)
        self._s = overlaps.spectrum.eigenvalues
        self._cut = len(self._s) * self._block.size
        self.start = self._pack(overlaps.Q_blocks, overlaps.M_blocks, overlaps.a)

    def _pack(self, Q: Array, M: Array, a: Array) -> Array:
        blocks = self._block.pack(Q, M)
        blocks = blocks.reshape(*blocks.shape[:-2], self._cut)
        return np.concatenate((blocks, a), axis=-1) if self.eta else blocks

    def unpack(self, y: Array) -> tuple[Array, Array, Array]:
        """Q (..., G, p, p), M (..., G, p, k) and a of vectors."""
        blocks = y[..., : self._cut].reshape(*y.shape[:-1], len(self._s), -1)
        return (*self._block.unpack(blocks), y[..., self._cut :] if self.eta else self.overlaps.a)

    def derivative(self, t: float, y: Array) -> Array:
        """The flow dy/dt."""
        return self._along(t, y, self._noise_free, self._label_noise)

    def descent(self, t: float, y: Array) -> Array:
        """The flow without Ψ^Var and noise."""
        return self._along(t, y, False, False)

    def jacobian(self, t: float, y: Array) -> Array:
        """Derivatives of `descent` in y, (N, N)."""
        return differences(self.descent, t, y, scale=1.0)

    def _along(self, t: float, y: Array, noise_free: bool, label_noise: bool) -> Array:
        (Q, M, a), rate, forms = self.unpack(y), self.gamma(t), self.task.forms
        p, targets = self.overlaps.p, self.overlaps.a_star
        if y.ndim > 1 and self.eta:  # each state has coefficients of its own
            return np.stack([self._along(t, one, noise_free, label_noise) for one in y])
        blocks = assemble(Q, M, self.overlaps.P_blocks)
        Omega = pooled(self.overlaps.spectrum, blocks)
        c = coefficients(a, targets)
        B = a[:, None] * forms.coefficients(Omega, c, p)
        drift = self._s[:, None, None] * (B[..., None, :, :] @ blocks)
        dQ = drift[..., :p] + drift[..., :p].swapaxes(-1, -2)
        if noise_free or (label_noise and self.task.noise):
            squares = self._squares(Omega, c, noise_free, label_noise)
            size = rate / self.batch / p * np.multiply.outer(a, a)
            dQ += size * self.overlaps.spectrum.shares[:, None, None] * squares[..., None, :, :]
            if self.d is not None:
                s = self._s[:, None, None]
                dQ += size * 2 * s / self.d * self._slopes(Omega, c, s * blocks)
        da = self.eta / rate * forms.two_point(Omega, p)[:p] @ c if self.eta else a
        return self._pack(dQ, drift[..., p:], da)

    def _squares(self, Omega: Array, c: Array, noise_free: bool, label_noise: bool) -> Array:
        """E[σ'(λ_i) σ'(λ_j) 𝓔²], as far as it is asked for."""
        p, noise, forms = self.overlaps.p, self.task.noise, self.task.forms
        out = forms.variance(Omega, c, p) if noise_free else 0.0
        return out + noise * forms.gain(Omega[..., :p, :p]) if label_noise and noise else out

    def _moved(self, Omega: Array, c: Array, change: Array, u: float) -> Array:
        return self._squares(Omega + u * change, c, True, True)

    def _slopes(self, Omega: Array, c: Array, changes: Array) -> Array:
        """The derivatives of all of E[σ'(λ_i) σ'(λ_j) 𝓔²] along changes (G, ...) of one Ω."""
        p, forms = self.overlaps.p, self.task.forms
        if not self.task.closed:
            along = (partial(self._moved, Omega, c, change) for change in changes)
            return np.array([Slope(each, step=0.01)(0.0) for each in along])
        i, j = np.triu_indices(p)
        out = np.empty((len(changes), p, p))
        gradient = forms.variance_gradient(Omega, c, i, j)
        out[:, i, j] = out[:, j, i] = np.einsum("nab,gab->gn", gradient, changes)
        if self.task.noise:
            moved = gain_along(*forms.gain_slopes(Omega[:p, :p]), i, j)
            out += self.task.noise * np.einsum("nij,gn->gij", moved, changes[:, i, j])
        return out
