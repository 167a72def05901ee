r"""Gaussian expectations of any student σ and any target σ*, by quadrature.

Everything but Ψ^Var is made of three moments of a student u = s g₁ and a unit
w = t (ρ g₁ + √(1 − ρ²) g₂), g standard normal and τ the activation of w:

    E[σ(u) τ(w)],   A = E[σ'(u) g₁ τ(w)],   G = E[σ'(u) τ'(w)].

For a third unit v, Stein's lemma gives, without any inverse and also where u and w are the same,

    E[σ'(u) v τ(w)] = cov(v, u) (A − ρ t G)/s + cov(v, w) G.

With normalised Hermite polynomials h_r a moment of smooth functions is Mehler's series,

    E[f(g₁) e(ρ g₁ + √(1 − ρ²) g₂)] = Σ_r ρ^r E[f h_r] E[e h_r],

so that functions are seen unit by unit and not pair by pair.  With kinks it converges slowly;
then moments are sums over Gauss points in the plane, split at the kinks.  Two ReLUs are closed.
Ψ^Var is an expectation over all units at once.  For students with kinks it is taken in two steps
(`conditional`); for smooth ones, of which there may be many, it comes from randomised quasi-Monte
Carlo (scrambled Sobol points, always the same).  Either says its own error.
Builds on `rules` and `conditional`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from twolayer import conditional
from twolayer.rules import FAR, panels

if TYPE_CHECKING:
    from twolayer.activations import Activation

Array = np.ndarray

#: Terms of the series; Gauss points of a panel in each direction, where there are kinks.
ORDER = 48
#: Points of Ψ^Var in all, a power of two, and the number of scramblings they are split into.
POINTS, SCRAMBLINGS = 2**15, 8
#: Points on the line, equally far from each other, which is spectrally accurate.
_LINE = 961
#: Function values in flight.
_CHUNK = 400_000
#: Standard deviations below this are taken for it; the moments are smooth there.
_LEAST = 1e-7


@dataclass(frozen=True, eq=False)
class Quadrature:
    """The expectations of `activations.Activation`, for a student and a target of any kind.

    Parameters
    ----------
    student, target : Activation
    order : int
        Terms of the series, or Gauss points of a panel.
    points : int
        Points of Ψ^Var for smooth students, a power of two, split into `SCRAMBLINGS` scramblings.

    Notes
    -----
    The larger the pre-activations, the steeper is σ(s x) and the more terms the series needs, for
    tanh in proportion to their variance s²: look at `error`.

    Examples
    --------
    >>> from twolayer.activations import get
    >>> erf = get("erf")
    >>> Omega, c = np.array([[1.0, 0.5], [0.5, 1.0]]), np.array([-1.0, 1.0])
    >>> by_points, closed = Quadrature(erf, erf).drift(Omega, c, 1), erf.drift(Omega, c, 1)
    >>> bool(np.abs(by_points - closed).max() < 1e-12)
    True
    """

    student: Activation
    target: Activation
    order: int = ORDER
    points: int = POINTS

    def two_point(self, Omega: Array, p: int) -> Array:
        """E[σ_a(λ_a) σ_b(λ_b)] for p students and the targets after them, (n, n)."""
        students, targets = slice(0, p), slice(p, len(Omega))
        out = np.empty(Omega.shape)
        for rows, columns, first, second in (
            (students, students, self.student, self.student),
            (students, targets, self.student, self.target),
            (targets, targets, self.target, self.target),
        ):
            out[rows, columns] = self._moments(Omega, rows, columns, first, second)[0]
        out[p:, :p] = out[:p, p:].T
        return out

    def drift(self, Omega: Array, c: Array, p: int) -> Array:
        """Σ_m c_m E[σ'(λ_j) λ_l σ_m(λ_m)], (p, n); any leading axes."""
        if Omega.ndim > 2:
            return _for_each(lambda one: self.drift(one, c, p), Omega)
        s = np.maximum(np.sqrt(np.diagonal(Omega)[:p]), _LEAST)
        A, G = self._students_with_all(Omega, p)
        own = ((c * A).sum(1) - (c * G * Omega[:p]).sum(1) / s) / s
        return own[:, None] * Omega[:p] + (c * G) @ Omega

    def gain(self, Q: Array) -> Array:
        """E[σ'(λ_i) σ'(λ_j)], (p, p); any leading axes."""
        if Q.ndim > 2:
            return _for_each(self.gain, Q)
        whole = slice(0, len(Q))
        return self._moments(Q, whole, whole, self.student, self.student)[2]

    def variance(self, Omega: Array, c: Array, p: int) -> Array:
        """E[σ'(λ_i) σ'(λ_j) (Σ_m c_m σ_m(λ_m))²], (p, p); any leading axes; continuous in Ω."""
        if Omega.ndim > 2:
            return _for_each(lambda one: self.variance(one, c, p), Omega)
        if self.student.kinks:
            return conditional.variance(self.student, self.target, Omega, c, p, self.order)
        return self._variances(Omega, c, p).mean(0)

    def gain_with_norm(self, Q: Array, d: int) -> Array:
        """E[σ'(λ_i) σ'(λ_j) ‖x‖²] in d dimensions, by differences of `gain` along Q, (p, p)."""
        along = Slope(lambda s: self.gain(s * Q))
        return self.gain(Q) + (2 / d) * along(1.0)

    def variance_with_norm(self, Omega: Array, c: Array, p: int, d: int) -> Array:
        """`variance` with ‖x‖² under the expectation, in d dimensions, (p, p).

        With kinks by differences of `variance` along Ω.
        """
        if Omega.ndim > 2:
            return _for_each(lambda one: self.variance_with_norm(one, c, p, d), Omega)
        if self.student.kinks:
            along = Slope(lambda s: self.variance(s * Omega, c, p), 0.01)
            return self.variance(Omega, c, p) + (2 / d) * along(1.0)
        return self._variances(Omega, c, p, d).mean(0)

    def variance_error(self, Omega: Array, c: Array, p: int, d: int | None = None) -> Array:
        """How far `variance` (`variance_with_norm` if d is given) may be off, (p, p).

        With kinks its change with half as many terms again, otherwise the standard error from
        the spread of the scramblings.
        """
        if self.student.kinks:
            return np.abs(self._finer().variance(Omega, c, p) - self.variance(Omega, c, p))
        return self._variances(Omega, c, p, d).std(0, ddof=1) / np.sqrt(SCRAMBLINGS)

    def error(self, Omega: Array, c: Array, p: int) -> float:
        """Change of `drift` with half as many terms again, over its largest entry."""
        here = self.drift(Omega, c, p)
        finer = self._finer().drift(Omega, c, p)
        return float(np.abs(finer - here).max() / np.abs(here).max())

    def _finer(self) -> Quadrature:
        return Quadrature(self.student, self.target, self.order + self.order // 2, self.points)

    def _students_with_all(self, Omega: Array, p: int) -> tuple[Array, Array]:
        students, targets = slice(0, p), slice(p, len(Omega))
        halves = [self._moments(Omega, students, students, self.student, self.student)]
        halves += [self._moments(Omega, students, targets, self.student, self.target)]
        return tuple(np.concatenate(both, axis=1) for both in zip(*halves, strict=True))[1:]

    def _moments(
        self, Omega: Array, rows: slice, columns: slice, first: Activation, second: Activation
    ) -> tuple[Array, Array, Array]:
        """The three moments for all pairs of these units."""
        size = np.maximum(np.sqrt(np.maximum(np.diagonal(Omega), 0.0)), _LEAST)
        s, t = np.broadcast_arrays(size[rows, None], size[columns])
        rho = np.clip(Omega[rows, columns] / (s * t), -1.0, 1.0)
        if rows == columns:  # rounding of 1 is what an arcsine would take the root of
            np.fill_diagonal(rho, 1.0)
        if not first.kinks and not second.kinks:
            return self._series(size[rows], size[columns], rho, first, second)
        if first.name == second.name == "relu":
            return relu_moments(s, t, rho)
        points = self.order * (1 + max(len(first.kinks), len(second.kinks)))
        length = max(1, _CHUNK // points**2)
        flat = [a.ravel() for a in (s, t, rho)]
        parts = [
            self._some_moments(*(a[start : start + length] for a in flat), first, second)
            for start in range(0, rho.size, length)
        ]
        return tuple(np.concatenate(p).reshape(rho.shape) for p in zip(*parts, strict=True))

    def _series(
        self, s: Array, t: Array, rho: Array, first: Activation, second: Activation
    ) -> tuple[Array, Array, Array]:
        x, H = hermite_rule(self.order)
        u, w = s[:, None] * x, t[:, None] * x
        prime = first.derivative(u)
        left = [f @ H for f in (first.sigma(u), prime * x, prime)]
        value, slope = second.sigma(w) @ H, second.derivative(w) @ H
        moments = np.zeros((3, *rho.shape))
        for r in reversed(range(self.order)):
            moments *= rho
            for moment, f, e in zip(moments, left, (value, value, slope), strict=True):
                moment += f[:, r, None] * e[:, r]
        return tuple(moments)

    def _some_moments(
        self, s: Array, t: Array, rho: Array, first: Activation, second: Activation
    ) -> tuple[Array, Array, Array]:
        g, w = panels(np.array(first.kinks) / s[:, None], self.order)  # (N, a)
        u, other = s[:, None] * g, np.sqrt(np.maximum(1 - rho**2, 0.0))
        breaks = np.array(second.kinks) / t[:, None, None] - rho[:, None, None] * g[..., None]
        with np.errstate(divide="ignore", invalid="ignore"):
            breaks = np.nan_to_num(breaks / other[:, None, None], nan=FAR)
        h, v = panels(breaks, self.order)  # (N, a, b)
        fields = t[:, None, None] * (rho[:, None, None] * g[..., None] + other[:, None, None] * h)
        value = (second.sigma(fields) * v).sum(-1)
        slope = (second.derivative(fields) * v).sum(-1)
        prime = first.derivative(u) * w
        return (
            (first.sigma(u) * w * value).sum(-1),
            (prime * g * value).sum(-1),
            (prime * slope).sum(-1),
        )

    def _variances(self, Omega: Array, c: Array, p: int, d: int | None = None) -> Array:
        values, vectors = np.linalg.eigh(Omega)
        root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
        out = np.empty((SCRAMBLINGS, p, p))
        for number in range(SCRAMBLINGS):
            normal = normal_points(len(Omega), self.points // SCRAMBLINGS, number)
            fields = normal @ root
            error = self.student.sigma(fields[:, :p]) @ c[:p]
            error += self.target.sigma(fields[:, p:]) @ c[p:]
            slopes = self.student.derivative(fields[:, :p]) * error[:, None]
            if d is None:
                out[number] = slopes.T @ slopes / len(fields)
            else:  # all of x that is seen; the mean of ‖x‖² is 1
                norm = 1 + (np.square(normal).sum(1) - len(Omega)) / d
                out[number] = (slopes.T * norm) @ slopes / len(fields)
        return out


def _for_each(of_one: Callable[[Array], Array], states: Array) -> Array:
    """A function of one matrix for many of them, with leading axes."""
    found = np.stack([of_one(one) for one in states.reshape(-1, *states.shape[-2:])])
    return found.reshape(*states.shape[:-2], *found.shape[1:])


@lru_cache(maxsize=4)
def hermite_rule(order: int) -> tuple[Array, Array]:
    """Points x, and w h_r(x) for r < order, h_r normalised and w their weights."""
    x = np.linspace(-FAR, FAR, _LINE)
    H = np.empty((order, x.size))
    H[0] = np.exp(-(x**2) / 4) / (2 * np.pi) ** 0.25  # times √φ: bounded
    if order > 1:
        H[1] = x * H[0]
    for r in range(2, order):
        H[r] = (x * H[r - 1] - np.sqrt(r - 1) * H[r - 2]) / np.sqrt(r)
    return x, (H * H[0] * (x[1] - x[0])).T.copy()


@lru_cache(maxsize=32)
def normal_points(n: int, points: int, number: int) -> Array:
    """So many scrambled Sobol points in n dimensions, as normal variables, (points, n)."""
    from scipy.special import ndtri
    from scipy.stats import qmc

    # SciPy 1.15 calls it rng and still takes this name.
    sobol = qmc.Sobol(n, scramble=True, seed=np.random.default_rng((n, number)))
    return ndtri(np.clip(sobol.random(points), 1e-16, 1 - 1e-16))


def relu_moments(s: Array, t: Array, rho: Array) -> tuple[Array, Array, Array]:
    """The three moments of two ReLUs (Cho & Saul, NeurIPS 2009: arc-cosine kernels)."""
    turned = np.arcsin(rho)
    first = (np.sqrt(np.maximum(1 - rho**2, 0.0)) + rho * (np.pi / 2 + turned)) / (2 * np.pi)
    return s * t * first, t * first, 0.25 + turned / (2 * np.pi)


@dataclass(frozen=True)
class Slope:
    """The derivative of a function by differences of fourth order, right to about 1e-12."""

    function: Callable[[Array], Array]
    step: float = 1e-3

    def __call__(self, x: Array) -> Array:
        """At x."""
        f, h, x = self.function, self.step, np.asarray(x, dtype=float)
        return (8 * (f(x + h) - f(x - h)) - (f(x + 2 * h) - f(x - 2 * h))) / (12 * h)
