r"""The last plateau of erf: what label noise leaves near perfect learning, and where it ends.

High dimension, P = I, p a multiple of the k targets.  Students sit at their targets up to small
δ_i, and S_rs = (k/p)² Σ_{i∈r, j∈s} δ_i·δ_j/d obeys

    dS/dt = −(GS + SG)/k + (γ/p) H[S]/k² + (γ/p) Δ G,      R − Δ/2 = tr(GS)/(2k²),

with G_rs = E[σ'_r σ'_s] and H[S]_rs = Σ_uv E[σ'_r σ'_s σ'_u σ'_v] S_uv at the targets' fields.
Rates are γ/p throughout, in the paper's unit of time.  Derived on the page "High dimension" of
the book, section "What is left at the end".
"""

from __future__ import annotations

import numpy as np

from twolayer.flow.jacobian import jacobian
from twolayer.problem.task import Task
from twolayer.support.arrays import Array
from twolayer.support.checks import InvalidInput, check_integer, check_positive, shown


def slope_moment(n: int) -> float:
    r"""E[σ'(λ)^n] for erf and a field λ ~ N(0, 1): (2/π)^(n/2)/√(1 + n).

    Parameters
    ----------
    n : int
        At least 0.

    Examples
    --------
    σ'(0)² = 2/π; averaged over the field it is less, since erf saturates.

    >>> round(slope_moment(2), 4), round(2 / np.pi, 4)
    (0.3676, 0.6366)
    """
    n = check_integer("n", n, 0)
    return float((2 / np.pi) ** (n / 2) / np.sqrt(1 + n))


def slope_moments(k: int, order: int) -> Array:
    """E[σ'_r σ'_s ...], with `order` factors, for k independent fields of variance one.

    Parameters
    ----------
    k : int
        Number of targets.
    order : int
        Number of factors, at least 1.

    Returns
    -------
    array, shape (k, ..., k)
        `order` axes.

    Examples
    --------
    Two factors at one target have more in common than at two:

    >>> slope_moments(2, 2).round(4)
    array([[0.3676, 0.3183],
           [0.3183, 0.3676]])
    """
    k, order = check_integer("k", k, 1), check_integer("order", order, 1)
    out = np.empty((k,) * order)
    for index in np.ndindex(out.shape):
        out[index] = np.prod([slope_moment(int(n)) for n in np.bincount(index)])
    return out


def operators(k: int) -> tuple[Array, Array, Array]:
    """G, the contraction S → −(GS + SG)/k, and the growth S → H[S]/k².

    Returns
    -------
    G : array, shape (k, k)
    contraction, growth : array, shape (k², k²)
        They act on S.ravel(), per unit of t, the growth per unit of γ/p as well.

    Examples
    --------
    One target: S contracts at the rate 2G, and its own noise makes it grow at (γ/p) H.

    >>> G, contraction, growth = operators(1)
    >>> [round(float(each[0, 0]), 4) for each in (G, contraction, growth)]
    [0.3676, -0.7351, 0.1812]
    """
    G, one = slope_moments(k, 2), np.eye(k)
    H = slope_moments(k, 4).reshape(k * k, k * k)
    return G, -(np.kron(G, one) + np.kron(one, G)) / k, H / k**2


def linear_law() -> float:
    """Excess risk over (γ/p) Δ to first order in γ and Δ: E[σ'²]/4, whatever k is.

    Examples
    --------
    >>> round(linear_law(), 4)
    0.0919
    """
    return slope_moment(2) / 4


def all_orders(k: int, rate: float) -> float:
    """Excess risk over (γ/p) Δ as Δ → 0, to all orders in γ.

    Parameters
    ----------
    k : int
        Number of targets.
    rate : float
        γ/p, below `critical_rate`.

    Raises
    ------
    InvalidInput
        If perfect learning is not stable at this rate.

    Examples
    --------
    For k = 1 it is the linear law over 1 − γ/γ_c: half way to γ_c twice as much is left.

    >>> round(all_orders(1, critical_rate(1) / 2) / linear_law(), 6)
    2.0
    """
    rate = check_positive("rate", rate)
    if rate >= (end := critical_rate(k)):
        raise InvalidInput("rate", shown(rate), f"below the critical γ/p = {end:.6g}")
    G, contraction, growth = operators(k)
    S = np.linalg.solve(contraction + rate * growth, -G.ravel())
    return float(G.ravel() @ S) / (2 * k**2)


def critical_rate(k: int) -> float:
    """γ_c/p: the smallest rate at which the linear map of S has the eigenvalue zero.

    Examples
    --------
    One target: 2G/H = π √(5/3).

    >>> round(critical_rate(1), 4), round(np.pi * (5 / 3) ** 0.5, 4)
    (4.0558, 4.0558)
    """
    _, contraction, growth = operators(k)
    return _first_zero(contraction, growth)


def critical_rate_of_flow(k: int) -> float:
    """γ_c/p once more, from the Jacobian of the full flow of p = k students at the optimum.

    The flow is Ψ^GF + γ (Ψ^Var/p), so its Jacobians at two learning rates give it at all.

    Parameters
    ----------
    k : int
        Number of targets, and of students.

    Examples
    --------
    >>> bool(np.isclose(critical_rate_of_flow(2), critical_rate(2), rtol=1e-8))
    True
    """
    optimum = np.eye(check_integer("k", k, 1))
    slopes = jacobian(Task("erf"), optimum, "full")
    still, moving = (slopes(optimum, optimum, rate) for rate in (0.0, float(k)))
    return _first_zero(still, moving - still)


def _first_zero(still: Array, slope: Array) -> float:
    """The smallest x > 0 at which still + x slope is singular; `still` is stable."""
    return float(1 / np.linalg.eigvals(np.linalg.solve(-still, slope)).real.max())
