r"""The unknowns of a flow as one vector, and the flow as a function of it: what `solve` integrates.

The unknowns are the upper triangle of Q and M and, if it is trained, the second layer a.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np

from twolayer.flow.jacobian import jacobian
from twolayer.flow.terms import right_hand_side, second_layer_force
from twolayer.problem.matrices import assemble
from twolayer.problem.overlaps import Overlaps
from twolayer.problem.task import Task, coefficients
from twolayer.support.integrate import differences


class Unknowns:
    """The vector of unknowns: upper triangle of Q, then M."""

    def __init__(self, overlaps: Overlaps) -> None:
        self.p, self.k = overlaps.p, overlaps.k
        self.upper = np.triu_indices(self.p)
        self.size = len(self.upper[0])

    def pack(self, Q: np.ndarray, M: np.ndarray) -> np.ndarray:
        """One vector (..., N) from Q (..., p, p) and M (..., p, k)."""
        i, j = self.upper
        return np.concatenate((Q[..., i, j], M.reshape(*M.shape[:-2], -1)), axis=-1)

    def unpack(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Q and M of vectors."""
        i, j = self.upper
        Q = np.empty((*y.shape[:-1], self.p, self.p))
        Q[..., i, j] = Q[..., j, i] = y[..., : self.size]
        return Q, y[..., self.size :].reshape(*y.shape[:-1], self.p, self.k)


class Flow(Unknowns):
    """The unknowns of one problem, (Q, M) or with a trained second layer (Q, M, a), and their flow.

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
        super().__init__(overlaps)
        self.task, self.overlaps, self.gamma, self.eta = task, overlaps, gamma, eta
        P, a_star = overlaps.P, overlaps.a_star

        # The last one is kept: a learning rate that does not change has no other.
        @lru_cache(maxsize=1)
        def flow_at(rate: float) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
            return right_hand_side(task, P, rate, terms, d, a_star=a_star, batch=batch)

        @lru_cache(maxsize=1)
        def slopes_at(rate: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
            return jacobian(task, P, rate / batch, terms, overlaps.a, a_star)

        self._flow_at, self._slopes_at = flow_at, slopes_at
        flow_at(gamma(0.0))  # what cannot be used is found before any work
        self._descent = right_hand_side(task, P, 0.0, "gradient-flow", a_star=a_star)
        y = self.pack(overlaps.Q, overlaps.M)
        self.start = np.concatenate((y, overlaps.a)) if eta else y

    def unpack(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Q, M and a of vectors."""
        N = self.size + self.p * self.k
        Q, M = super().unpack(y[..., :N])
        return Q, M, y[..., N:] if self.eta else self.overlaps.a

    def derivative(self, t: float, y: np.ndarray) -> np.ndarray:
        """The flow dy/dt."""
        return self._along(self._flow_at(self.gamma(t)), t, y)

    def _along(
        self, rhs: Callable[..., tuple[np.ndarray, np.ndarray]], t: float, y: np.ndarray
    ) -> np.ndarray:
        Q, M, a = self.unpack(y)
        out = self.pack(*rhs(Q, M, a))
        if not self.eta:
            return out
        Omega = assemble(Q, M, self.overlaps.P)
        force = second_layer_force(self.task, Omega, a, self.overlaps.a_star)
        return np.concatenate((out, self.eta / self.gamma(t) * force))

    def jacobian(self, t: float, y: np.ndarray) -> np.ndarray:
        """Derivatives of the flow in y, (N, N)."""
        if self.task.closed and not self.eta:
            return self._slopes_at(self.gamma(t))(*self.unpack(y)[:2])
        if not self.eta:
            return differences(partial(self._along, self._descent), t, y, scale=1.0)

        def each(t: float, states: np.ndarray) -> np.ndarray:
            rows = [self._along(self._descent, t, y) for y in states.reshape(-1, states.shape[-1])]
            return np.reshape(rows, states.shape)

        return differences(each, t, y, scale=1.0)


class SpanFlow:
    """Gradient flow of the weights themselves, in coordinates of the span they never leave.

    With rank r of Ω these are p r numbers, and Ω = A Aᵀ is positive semi-definite by itself:
    dA_i/dt = a_i Σ_m B_im A_m, with Stein's coefficients B.
    """

    def __init__(self, task: Task, overlaps: Overlaps) -> None:
        A = overlaps.factor()
        self.task, self.overlaps, self.p = task, overlaps, overlaps.p
        self.targets, self.start = A[self.p :], A[: self.p].ravel()

    def unpack(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Q, M and a of vectors."""
        A = y.reshape(*y.shape[:-1], self.p, -1)
        return A @ A.swapaxes(-1, -2), A @ self.targets.T, self.overlaps.a

    def derivative(self, _: float, y: np.ndarray) -> np.ndarray:
        """The flow dy/dt."""
        A = np.concatenate((y.reshape(self.p, -1), self.targets))
        c = coefficients(self.overlaps.a, self.overlaps.a_star)
        B = self.task.forms.coefficients(A @ A.T, c, self.p)
        return (self.overlaps.a[:, None] * (B @ A)).ravel()
