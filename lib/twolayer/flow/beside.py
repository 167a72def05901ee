r"""What the flow is if a step does more than the gradient: weight decay, and norms that are held.

With dQ and dM the drift of steps without them (the rates ρ_i of each student being in these
already), decay takes off

    λ ρ_i M_ir  and  λ (ρ_i + ρ_j) Q_ij,

and to put norms back multiplies w_i by 1 − h_i dt with h_i = (dQ_ii/dt)/(2 Q_ii), which takes off

    h_i M_ir  and  (h_i + h_j) Q_ij.
"""

from __future__ import annotations

import numpy as np

from twolayer.problem.update import UpdateRule
from twolayer.support.arrays import Array


def flow(rule: UpdateRule, dQ: Array, dM: Array, Q: Array, M: Array) -> tuple[Array, Array]:
    """The drift with the rule, of states with any leading axes, from that without it."""
    if rule.decay:
        loss = rule.decay * rule.rates
        dQ, dM = dQ - (loss[:, None] + loss) * Q, dM - loss[:, None] * M
    return held(dQ, dM, Q, M) if rule.fixed else (dQ, dM)


def held(dQ: Array, dM: Array, Q: Array, M: Array) -> tuple[Array, Array]:
    """The drift if norms are put back, of states with any leading axes; Q_ii stays to the last bit.

    Examples
    --------
    >>> held(np.array([[0.4]]), np.array([[1.0]]), np.array([[1.0]]), np.array([[0.5]]))
    (array([[0.]]), array([[0.9]]))
    """
    own = np.arange(Q.shape[-1])
    growth = dQ[..., own, own] / (2 * Q[..., own, own])
    dQ = dQ - (growth[..., :, None] + growth[..., None, :]) * Q
    dQ[..., own, own] = 0.0
    return dQ, dM - growth[..., :, None] * M


def of_a_step(rule: UpdateRule, size: float, Q: Array, push: Array) -> Array:
    """What decay adds to dQ at finite d, where a step is of the `size` γ/(p d).

    The mean of (1 − ε_i)(1 − ε_j) Q_ij, and of the gradient's step times what is left of a weight,
    beyond the first order in ε = λ ρ γ/(p d); `push` is ρ_i a_i E[σ'(λ_i) λ_j 𝓔], shape (p, p).
    """
    loss = rule.decay * rule.rates
    less = push * loss
    return size * (np.outer(loss, loss) * Q - less - less.T)


def slopes(rule: UpdateRule, J: Array, dQ: Array, Q: Array, M: Array) -> Array:
    """The Jacobian (N, N) of the flow with the rule, from J without it.

    Unknowns as in `jacobian.jacobian`; dQ is the drift of Q without the rule.
    """
    p, k = M.shape
    i, j = np.triu_indices(p)
    rows, columns = np.repeat(np.arange(p), k), np.tile(np.arange(k), p)
    loss, place = rule.decay * rule.rates, np.arange(len(J))
    J = J.copy()
    J[place, place] -= np.concatenate((loss[i] + loss[j], loss[rows]))
    if not rule.fixed:
        return J
    own, norms = np.flatnonzero(i == j), np.diagonal(Q)
    growth = np.diagonal(dQ) / (2 * norms) - loss
    moved = J[own] / (2 * norms[:, None])  # derivatives of the growth
    moved[np.arange(p), own] -= growth / norms
    J[: i.size] -= Q[i, j][:, None] * (moved[i] + moved[j])
    J[i.size :] -= M[rows, columns][:, None] * moved[rows]
    J[place, place] -= np.concatenate((growth[i] + growth[j], growth[rows]))
    J[own] = 0.0
    return J
