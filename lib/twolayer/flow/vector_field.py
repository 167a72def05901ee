r"""The flow as a function of one vector of unknowns: what `solve` integrates.

The unknowns are the upper triangle of Q and M and, if it is trained, the second layer a.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from twolayer.flow.equation import flow_at_any_rate
from twolayer.flow.jacobian import jacobian
from twolayer.flow.terms import second_layer_force
from twolayer.problem.matrices import assemble
from twolayer.problem.overlaps import Overlaps
from twolayer.problem.task import Task, coefficients
from twolayer.support.differences import differences
from twolayer.support.unknowns import Unknowns


class Flow:
    """The flow of one problem, in (Q, M) or with a trained second layer in (Q, M, a).

    The Jacobian is by differences and without Ψ^Var where there are no closed forms, or a is
    trained.  Newton's iteration wants no more: Ψ^Var, the costliest by far, hardly changes its way.
    """

    def __init__(
        self,
        task: Task,
        overlaps: Overlaps,
        terms: str,
        gamma: Callable[[float], float],
        eta: float = 0.0,
        batch: int = 1,
        d: int | None = None,
    ) -> None:
        self.task, self.overlaps, self.gamma, self.eta = task, overlaps, gamma, eta
        p, P, a_star = overlaps.p, overlaps.P, overlaps.a_star
        shapes = ((p, p), (p, overlaps.k), *([(p,)] if eta else []))
        self.unknowns = Unknowns(*shapes, triangle=True)
        self.start = self.unknowns.pack(overlaps.Q, overlaps.M, *([overlaps.a] if eta else []))
        self._flow = flow_at_any_rate(task, P, terms, d, a_star=a_star, batch=batch)
        self._descent = flow_at_any_rate(task, P, "gradient-flow", a_star=a_star)
        self._slopes = jacobian(task, P, terms, overlaps.a, a_star, batch)

    def unpack(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Q, M and a of vectors."""
        found = self.unknowns.unpack(y)
        return found if self.eta else (*found, self.overlaps.a)

    def derivative(self, t: float, y: np.ndarray) -> np.ndarray:
        """The flow dy/dt."""
        return self._along(self._flow, t, y)

    def descent(self, t: float, y: np.ndarray) -> np.ndarray:
        """The flow without Ψ^Var and noise."""
        return self._along(self._descent, t, y)

    def _along(
        self, flow: Callable[..., tuple[np.ndarray, np.ndarray]], t: float, y: np.ndarray
    ) -> np.ndarray:
        (Q, M, a), rate = self.unpack(y), self.gamma(t)
        out = flow(Q, M, a, rate)
        if self.eta:
            Omega = assemble(Q, M, self.overlaps.P)
            force = second_layer_force(self.task, Omega, a, self.overlaps.a_star)
            out = (*out, self.eta / rate * force)
        return self.unknowns.pack(*out)

    def jacobian(self, t: float, y: np.ndarray) -> np.ndarray:
        """Derivatives of the flow in y, (N, N)."""
        if self.task.closed and not self.eta:
            return self._slopes(*self.unpack(y)[:2], self.gamma(t))
        if not self.eta:
            return differences(self.descent, t, y, scale=1.0)

        def each(t: float, states: np.ndarray) -> np.ndarray:
            rows = [self.descent(t, y) for y in states.reshape(-1, states.shape[-1])]
            return np.reshape(rows, states.shape)

        return differences(each, t, y, scale=1.0)


class SpanFlow:
    """Gradient flow of the weights themselves, in coordinates of the span they never leave.

    With rank r of Ω these are p r numbers, and Ω = A Aᵀ is positive semi-definite by itself:
    dA_i/dt = a_i Σ_m B_im A_m, with Stein's coefficients B.
    """

    def __init__(self, task: Task, overlaps: Overlaps) -> None:
        A, p = overlaps.factor(), overlaps.p
        self.task, self.overlaps, self.targets = task, overlaps, A[p:]
        self.unknowns = Unknowns(A[:p].shape)
        self.start = self.unknowns.pack(A[:p])
        self.c = coefficients(overlaps.a, overlaps.a_star)

    def unpack(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Q, M and a of vectors."""
        (A,) = self.unknowns.unpack(y)
        return A @ A.swapaxes(-1, -2), A @ self.targets.T, self.overlaps.a

    def derivative(self, _: float, y: np.ndarray) -> np.ndarray:
        """The flow dy/dt."""
        (students,) = self.unknowns.unpack(y)
        A = np.concatenate((students, self.targets))
        drift = self.task.forms.drift_in_span(A, self.c, len(students))
        return (self.overlaps.a[:, None] * drift).ravel()

    descent = derivative
