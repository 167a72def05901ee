r"""The Jacobian of the whole flow, Ψ^Var included, where it has no closed form: by differences.

They are taken where Ω stays semi-definite: elsewhere quadrature has nothing to average over, and
what it gives has a corner at the edge, where students are that lie in the span of the targets.
With unit vectors e of the units,

    e_a e_bᵀ + e_b e_aᵀ = (e_a + e_b)(e_a + e_b)ᵀ − e_a e_aᵀ − e_b e_bᵀ,

so that the derivative in every overlap comes from matrices that may be added to any Ω.
"""

from __future__ import annotations

import numpy as np

from twolayer.problem.overlaps import Overlaps
from twolayer.problem.task import Task, coefficients
from twolayer.support.arrays import Array
from twolayer.support.unknowns import Unknowns

#: What is added to Ω, relative to its largest entry: the settling of a series, 1e-8 of it, is then
#: a part in ten thousand, and so is the curvature.
_STEP = 1e-4


def whole_jacobian(task: Task, Omega: Array, layers: Overlaps, rate: float) -> Array:
    """Derivatives of (dQ/dt, dM/dt), terms "full", in (Q, M), to about three digits.

    Parameters
    ----------
    task : Task
        Without closed forms.
    Omega : array, shape (p + k, p + k)
        The state.
    layers : Overlaps
        Any, with the second layers.
    rate : float
        γ/b for batches of b.

    Returns
    -------
    array, shape (N, N)
        N = p(p + 1)/2 + pk; costs N + k + 1 right-hand sides.

    Examples
    --------
    One student, one target, He_2 = x² − 1: the same gradient flow as in `jacobian`.

    >>> start = Overlaps([[2.0]], [[0.5]], [[1.0]])
    >>> whole_jacobian(Task("he2"), start.Omega, start, 1e-9).round(1) + 0.0
    array([[-44.,   8.],
           [ -3.,  -6.]])
    """
    p, n, a, forms = layers.p, len(Omega), layers.a, task.forms
    c, state = coefficients(a, layers.a_star), Unknowns((p, p), (p, n - p), triangle=True)

    def flow(more: Array) -> Array:
        """At Ω + more moreᵀ."""
        here = Omega + np.outer(more, more)
        drift = a[:, None] * forms.drift(here, c, p)
        own = drift[:, :p]
        spread = forms.variance_beside(Omega, c, p, more) + task.noise * forms.gain(here[:p, :p])
        return state.pack(own + own.T + rate / p * np.outer(a, a) * spread, drift[:, p:])

    here, step = flow(np.zeros(n)), _STEP * np.diagonal(Omega).max()
    units = np.sqrt(step) * np.eye(n)
    alone = [(flow(unit) - here) / step for unit in units]
    pairs = [(i, j) for i in range(p) for j in range(i, p)]
    pairs += [(i, r) for i in range(p) for r in range(p, n)]
    columns = [
        alone[i] if i == j else (flow(units[i] + units[j]) - here) / step - alone[i] - alone[j]
        for i, j in pairs
    ]
    return np.array(columns).T
