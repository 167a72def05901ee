r"""Ψ^Var of any activations without random points: given two pre-activations, by series.

The noise-free part of Ψ^Var_ij is an expectation over all units at once,

    E[σ'(u) σ'(v) 𝓔²] = E_{u,v}[σ'(u) σ'(v) E[𝓔² | u, v]],   u = λ_i, v = λ_j.

Given u = s x and v = t (ρ x + √(1 − ρ²) y), the others are λ_m = a_m + s_m g_m: their mean a_m is
linear in (x, y), their covariance is the same for all (x, y).  With normalised Hermite polynomials
h_r, Mehler's series turns the inner expectation into one of functions of single units,

    E[𝓔² | u, v] = Σ_r Σ_mm' c_m c_m' corr(g_m, g_m')^r f_mr f_m'r,   f_mr = E[σ(a_m + s_m g) h_r(g)].

At a kink σ is a multiple of max(x − κ, 0), whose f_mr are closed, and a rest without a kink, for
which Gauss points will do.  So σ' is only ever integrated between its kinks, and the result is
continuous in Ω.  The series converges slowly only where g_m and g_m' are nearly the same; what it
leaves of the kinks' E[f_m²], which is closed, is then the same for both, and is put into one last
term.  So Ψ^Var vanishes at perfect learning, and is never negative.  Builds on `rules`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from twolayer.rules import panels

if TYPE_CHECKING:
    from twolayer.activations import Activation

Array = np.ndarray

#: Where the normal law of u and v is cut: what is beyond has the weight 1e-14.
_FAR = 7.5
#: Standard deviations below this part of the whole are taken for it, and weights for nothing.
_LEAST = 1e-7
_NOTHING = 1e-17
#: On each side of a kink, to see by how much the slope jumps.
_BESIDE = 1e-9


@dataclass(frozen=True, eq=False)
class _Split:
    """An activation, its kinks, and by how much its slope jumps there."""

    activation: Activation
    kinks: Array
    jumps: Array

    def smooth(self, x: Array) -> Array:
        """What is left without the kinks."""
        value = self.activation.sigma(x)
        for kink, jump in zip(self.kinks, self.jumps, strict=True):
            value = value - jump * np.maximum(x - kink, 0.0)
        return value


#: Every activation and which units have it.
_Groups = tuple[tuple[_Split, slice], ...]


def variance(
    student: Activation, target: Activation, Omega: Array, c: Array, p: int, order: int
) -> Array:
    """E[σ'(λ_i) σ'(λ_j) (Σ_m c_m σ_m(λ_m))²] for students i, j < p.

    Parameters
    ----------
    student, target : Activation
    Omega : array, shape (n, n)
        Covariance of p students and the targets after them; may be singular.
    c : array, shape (n,)
    p : int
    order : int
        Terms of the series; a third as many Gauss points a panel, in each direction.

    Returns
    -------
    array, shape (p, p)
        Costs O(p² n² order³).

    Examples
    --------
    >>> from twolayer.activations import get
    >>> square = get("square")
    >>> Omega, c = np.array([[1.0, 0.5], [0.5, 1.0]]), np.array([-1.0, 1.0])
    >>> found, closed = variance(square, square, Omega, c, 1, 48), square.variance(Omega, c, 1)
    >>> bool(abs(found / closed - 1).max() < 1e-9)
    True
    """
    groups = (_split(student), slice(0, p)), (_split(target), slice(p, len(c)))
    out = np.empty((p, p))
    for i in range(p):
        for j in range(i, p):
            out[i, j] = out[j, i] = _entry(student, groups, Omega, c, i, j, order)
    return out


def _split(activation: Activation) -> _Split:
    """The activation as a sum of jump · max(x − kink, 0) and a rest without a kink."""
    kinks = np.array(activation.kinks)
    jumps = activation.derivative(kinks + _BESIDE) - activation.derivative(kinks - _BESIDE)
    return _Split(activation, kinks, jumps)


def _entry(
    student: Activation, groups: _Groups, Omega: Array, c: Array, i: int, j: int, order: int
) -> float:
    """One entry: the plane of (u, v), and what is left given them."""
    size = np.sqrt(np.maximum(np.diagonal(Omega), 1e-30))
    along = Omega[i] / size[i]
    rho = np.clip(along[j] / size[j], -1.0, 1.0)
    other = np.sqrt(1 - rho**2) if i != j else 0.0
    across = (Omega[j] / size[j] - rho * along) / other if other > _LEAST else np.zeros(len(c))
    points = max(4, order // 3) if student.kinks else order
    x, y, weight = _plane(student, size[i], size[j], rho, other, points)
    weight = weight * student.derivative(size[i] * x)
    weight *= student.derivative(size[j] * (rho * x + other * y))
    seen = np.abs(weight) > _NOTHING
    x, y, weight = x[seen], y[seen], weight[seen]
    rest = Omega - np.outer(along, along) - np.outer(across, across)
    spread = np.maximum(np.sqrt(np.maximum(np.diagonal(rest), 0.0)), _LEAST * size)
    correlation = np.clip(rest / np.outer(spread, spread), -1.0, 1.0)
    mean = along[:, None] * x + across[:, None] * y
    return float(_square_given(groups, mean, spread, correlation, c, order) @ weight)


def _plane(
    student: Activation, s: float, t: float, rho: float, other: float, points: int
) -> tuple[Array, Array, Array]:
    """Points (x, y) and weights, with no kink of σ' between them."""
    kinks = np.array(student.kinks)
    x, w = panels(kinks / s, points, _FAR)
    if other <= _LEAST:
        return x, np.zeros_like(x), w
    y, v = panels((kinks / t - rho * x[:, None]) / other, points, _FAR)
    return np.broadcast_to(x[:, None], y.shape).ravel(), y.ravel(), (w[:, None] * v).ravel()


def _square_given(
    groups: _Groups, mean: Array, spread: Array, correlation: Array, c: Array, order: int
) -> Array:
    """E[𝓔²] for fields of these means, one column each."""
    out, power = np.zeros(mean.shape[1]), np.ones_like(correlation)
    parts = [
        zip(
            _smooth_terms(split, mean[units], spread[units, None], order),
            _kink_terms(split, mean[units], spread[units, None], order),
            strict=True,
        )
        for split, units in groups
    ]
    left = np.concatenate(
        [_kink_square(split, mean[units], spread[units, None]) for split, units in groups]
    )
    for both in zip(*parts, strict=True):
        kinked = np.concatenate([kink for _, kink in both])
        weighted = c[:, None] * (np.concatenate([smooth for smooth, _ in both]) + kinked)
        out += (weighted * (power @ weighted)).sum(0)
        power *= correlation
        left -= kinked**2
    weighted = c[:, None] * np.sqrt(np.maximum(left, 0.0))
    return out + (weighted * (power @ weighted)).sum(0)


def _kink_square(split: _Split, mean: Array, spread: Array) -> Array:
    """E[f(mean + spread g)²] of the kinked part f, (units, columns)."""
    from scipy.special import ndtr

    out = np.zeros_like(mean)
    for a, jump_a in zip(split.kinks, split.jumps, strict=True):
        for b, jump_b in zip(split.kinks, split.jumps, strict=True):
            beyond, gap = mean - max(a, b), abs(a - b)
            below = ndtr(beyond / spread)
            density = np.exp(-((beyond / spread) ** 2) / 2) / np.sqrt(2 * np.pi)
            first = beyond * below + spread * density
            second = (beyond**2 + spread**2) * below + beyond * spread * density
            out += jump_a * jump_b * (second + gap * first)
    return out


def _smooth_terms(split: _Split, mean: Array, spread: Array, order: int) -> Iterator[Array]:
    """E[f(mean + spread g) h_r(g)] for r = 0 … order − 1, f the smooth part; 0 from order/2 on."""
    g, w = panels(np.empty(0), order)
    values = split.smooth(mean[..., None] + spread[..., None] * g)
    before, now = np.zeros_like(g), w
    for r in range(order):
        yield values @ now if 2 * r < order else np.zeros_like(mean)
        before, now = now, (g * now - np.sqrt(r) * before) / np.sqrt(r + 1)


def _kink_terms(split: _Split, mean: Array, spread: Array, order: int) -> Iterator[Array]:
    """The same for the kinks: E[max(b + s g, 0) h_r(g)] in closed form, summed over them."""
    from scipy.special import ndtr

    sizes = split.jumps * spread[..., None]  # (units, 1, kinks)
    beta = (mean[..., None] - split.kinks) / spread[..., None]
    density, below = np.exp(-(beta**2) / 2) / np.sqrt(2 * np.pi), ndtr(beta)
    yield (sizes * (beta * below + density)).sum(-1)
    yield (sizes * below).sum(-1)
    before, now = np.zeros_like(beta), density
    for r in range(2, order):
        yield (sizes * now).sum(-1) / np.sqrt(r * (r - 1))
        before, now = now, (-beta * now - np.sqrt(r - 2) * before) / np.sqrt(r - 1)
