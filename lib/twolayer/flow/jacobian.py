r"""The Jacobian of the flow, for implicit integrators: analytic, assembled in array code.

The unknowns are the upper triangle of Q, row by row, and then M.  Of the drifts Ψ^M and Ψ^GF
the derivative along one unknown fills two rows and two columns (`slopes`); of Ψ^Var all
derivatives of one entry come at once, for the price of the entry itself.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from twolayer.activations.derivatives import gain_along
from twolayer.flow.terms import TERMS
from twolayer.problem.matrices import assemble, second_layer
from twolayer.problem.task import Task, coefficients
from twolayer.support.arrays import Array

#: Numbers in flight at once.
_IN_FLIGHT = 200_000


def jacobian(
    task: Task,
    P: Array,
    terms: str,
    a: Array | None = None,
    a_star: Array | None = None,
    batch: int = 1,
    rates: Array | None = None,
) -> Callable[[Array, Array, float], Array]:
    """The function (Q, M, γ) → derivatives of (dQ/dt, dM/dt) in (Q, M).

    Parameters
    ----------
    task : Task
    P : array, shape (k, k)
    terms : str
        As for `flow.right_hand_side`.
    a, a_star : array, shape (p,) and (k,), optional
        Second layers, which do not move; ones by default.
    batch : int
        Samples a step averages over.
    rates : array, shape (p,), optional
        Multiples of γ, one for each student.

    Returns
    -------
    callable
        It returns an array of shape (N, N), N = p(p + 1)/2 + pk.  Costs O(p² (p + k)²) numbers
        and operations, with Ψ^Var of erf O(p² (p + k)³) in matrix products.  The corrections
        of order 1/d that `flow.right_hand_side` takes with d are left out.

    Examples
    --------
    One student, one target, square: dQ/dt = 4 (1 − Q) Q + 8 (M² − Q²).

    >>> J = jacobian(Task("square"), np.eye(1), "gradient-flow")
    >>> J(np.array([[2.0]]), np.array([[0.5]]), 0.1)
    array([[-44.,   8.],
           [ -3.,  -6.]])
    """
    noise_free, label_noise = TERMS[terms]
    forms, k = task.forms, len(P)
    targets = second_layer("a_star", a_star, k)

    def of(Q: Array, M: Array, learning_rate: float) -> Array:
        p = len(Q)
        students = second_layer("a", a, p)
        c, pull = coefficients(students, targets), students if rates is None else rates * students
        Omega = assemble(Q, M, P)
        i, j = np.triu_indices(p)
        pairs, n = len(i), p + k
        rows = np.concatenate((i, np.repeat(np.arange(p), k)))
        columns = np.concatenate((j, np.tile(np.arange(p, n), p)))
        N, scale = len(rows), learning_rate / batch / p * pull[i] * pull[j]
        out = np.empty((N, N))
        drift = forms.drift_slopes(Omega, c, p)
        gain = forms.gain_slopes(Q) if label_noise and task.noise else None
        size = max(1, _IN_FLIGHT // n**2)
        for start in range(0, N, size):
            some = slice(start, min(start + size, N))
            moved = pull[:, None] * drift.along(Omega, rows[some], columns[some])
            dQ = moved[:, i, j] + moved[:, j, i]
            if gain is not None:
                change = gain_along(*gain, rows[some], columns[some])
                dQ += scale * task.noise * change[:, i, j]
            out[:pairs, some] = dQ.T
            out[pairs:, some] = moved[..., p:].reshape(len(moved), -1).T
        if noise_free:
            twice = np.where(rows == columns, 1.0, 2.0)  # Ω_ab and Ω_ba are one unknown
            for start in range(0, pairs, size):
                some = slice(start, min(start + size, pairs))
                gradient = forms.variance_gradient(Omega, c, i[some], j[some])
                out[some] += scale[some, None] * twice * gradient[:, rows, columns]
        return out

    return of
