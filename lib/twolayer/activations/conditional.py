r"""Ψ^Var of any activations without random points: given two pre-activations, by series.

The noise-free part of Ψ^Var_ij is an expectation over all units at once,

    E[σ'(u) σ'(v) 𝓔²] = E_{u,v}[σ'(u) σ'(v) E[𝓔² | u, v]],   u = λ_i, v = λ_j.

Given u = s x and v = t (ρ x + √(1 − ρ²) y), the others are λ_m = a_m + s_m g_m: their mean a_m is
linear in (x, y), their covariance is the same for all (x, y).  With normalised Hermite polynomials
h_r, Mehler's series turns the inner expectation into one of functions of single units,

    E[𝓔² | u, v] = Σ_r Σ_mm' c_m c_m' corr(g_m, g_m')^r f_mr f_m'r,

with f_mr = E[σ(a_m + s_m g) h_r(g)], g standard normal.
A kink of σ is a step or a ramp, whose f_mr are closed (`orthants`), and for the rest Gauss points
will do.  So σ' is only ever integrated between its kinks, and the result is
continuous in Ω.  The series converges slowly only where g_m and g_m' are nearly the same; what it
leaves of the kinks' E[f_m²], which is closed, is then the same for both, and is put into one last
term.  So Ψ^Var vanishes at perfect learning, and is never negative.
"""

from __future__ import annotations

import numpy as np
import scipy

from twolayer.activations.gauss_rules import panels
from twolayer.activations.kinks import Split
from twolayer.activations.orthants import coefficients, density
from twolayer.support.arrays import Array

#: Where the normal law of u and v is cut: what is beyond has the weight 1e-14.
_FAR = 7.5
#: Standard deviations below this part of the whole are taken for it, and weights for nothing.
_LEAST = 1e-7
_NOTHING = 1e-17

#: Every activation and which units have it.
_Groups = tuple[tuple[Split, slice], ...]


def variance(student: Split, target: Split, Omega: Array, c: Array, p: int, order: int) -> Array:
    """E[σ'(λ_i) σ'(λ_j) (Σ_m c_m σ_m(λ_m))²] for students i, j < p, (p, p).

    Ω (n, n) is the covariance of p students and the targets after them; it may be singular.
    `order` is the number of terms of the series, and a third of it the number of Gauss points a
    panel, in each direction.  Costs O(p² n² order³).

    Examples
    --------
    >>> from twolayer.activations.known import get
    >>> square, Omega, c = get("square"), np.array([[1.0, 0.5], [0.5, 1.0]]), np.array([-1.0, 1.0])
    >>> found = variance(square.split, square.split, Omega, c, 1, 48)
    >>> bool(abs(found / square.forms.variance(Omega, c, 1) - 1).max() < 1e-9)
    True
    """
    far = _FAR * np.sqrt(np.diagonal(Omega).max())
    student, target = student.within(far), target.within(far)
    groups = (student, slice(0, p)), (target, slice(p, len(c)))
    out = np.empty((p, p))
    for i in range(p):
        for j in range(i, p):
            out[i, j] = out[j, i] = _entry(student, groups, Omega, c, i, j, order)
    return out


def _entry(
    student: Split, groups: _Groups, Omega: Array, c: Array, i: int, j: int, order: int
) -> float:
    """One entry: the plane of (u, v), and what is left given them."""
    size = np.sqrt(np.maximum(np.diagonal(Omega), 1e-30))
    along = Omega[i] / size[i]
    rho = np.clip(along[j] / size[j], -1.0, 1.0)
    other = np.sqrt(1 - rho**2) if i != j else 0.0
    across = (Omega[j] / size[j] - rho * along) / other if other > _LEAST else np.zeros(len(c))
    points = max(4, order // 3) if student.kinks.size or student.bends else order
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
    student: Split, s: float, t: float, rho: float, other: float, points: int
) -> tuple[Array, Array, Array]:
    """Points (x, y) and weights, with no kink of σ' between them."""
    kinks = np.array(sorted((*student.kinks, *student.bends)))
    x, w = panels(kinks / s, points, _FAR)
    if other <= _LEAST:
        return x, np.zeros_like(x), w
    y, v = panels((kinks / t - rho * x[:, None]) / other, points, _FAR)
    return np.broadcast_to(x[:, None], y.shape).ravel(), y.ravel(), (w[:, None] * v).ravel()


def _square_given(
    groups: _Groups, mean: Array, spread: Array, correlation: Array, c: Array, order: int
) -> Array:
    """E[𝓔²] for fields of these means, one column each."""
    terms = np.empty((order + 1, *mean.shape))
    for split, units in groups:
        here = mean[units], spread[units, None]
        kinked = _kink_terms(split, *here, order)
        left = _kink_square(split, *here) - (kinked**2).sum(0)
        terms[:-1, units] = kinked + _smooth_terms(split, *here, order)
        terms[-1, units] = np.sqrt(np.maximum(left, 0.0))
    terms *= c[:, None]
    powers = correlation ** np.arange(order + 1)[:, None, None]
    return (terms * (powers @ terms)).sum((0, 1))


def _smooth_terms(split: Split, mean: Array, spread: Array, order: int) -> Array:
    """E[f(mean + spread g) h_r(g)] for r < order, f the smooth part; 0 from order/2 on."""
    nodes = 4 if split.straight else order
    g, w = panels(np.empty(0), nodes)
    values = split.rest(mean[..., None] + spread[..., None] * g)
    out = np.zeros((order, *mean.shape))
    before, now = np.zeros_like(g), w
    for r in range(nodes // 2):
        out[r] = values @ now
        before, now = now, (g * now - np.sqrt(r) * before) / np.sqrt(r + 1)
    return out


def _kink_terms(split: Split, mean: Array, spread: Array, order: int) -> Array:
    """The same for the kinks, in closed form."""
    out = np.zeros((order, *mean.shape))
    for kink, jump, corner in zip(split.kinks, split.jumps, split.corners, strict=True):
        ramp, step, _ = coefficients((kink - mean) / spread, order)
        out += jump * step + corner * spread * ramp
    return out


def _kink_square(split: Split, mean: Array, spread: Array) -> Array:
    """E[f(mean + spread g)²] of the kinked part f, (units, columns)."""
    out = np.zeros_like(mean)
    kinks = tuple(zip(split.kinks, split.jumps, split.corners, strict=True))
    for a, jump_a, corner_a in kinks:
        for b, jump_b, corner_b in kinks:
            last, gap = max(a, b), abs(a - b)
            beyond = (mean - last) / spread
            above, here = scipy.special.ndtr(beyond), density(beyond)
            first = spread * (beyond * above + here)
            second = spread**2 * ((beyond**2 + 1) * above + beyond * here)
            out += corner_a * corner_b * (second + gap * first) + jump_a * jump_b * above
            out += 2 * jump_a * corner_b * (first + (last - b) * above)
    return out
