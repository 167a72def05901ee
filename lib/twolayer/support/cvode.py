"""CVODE with GMRES as one of SciPy's steppers: implicit, for stiff equations, without a matrix.

CVODE is the integrator of SUNDIALS: backward differentiation of order 1 to 5, here with Newton's
iteration whose linear equations are solved in a Krylov space (Hindmarsh et al. 2005,
doi:10.1145/1089014.1089020).  scikit-sundae brings it; a browser has none.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.integrate import DenseOutput, OdeSolver

from twolayer.support.arrays import Array

#: Vectors of the Krylov space, each as long as the state.
_KRYLOV = 8
#: Steps below this many spacings of the time lead nowhere; CVODE would go on, and print about it.
_SHORTEST = 10
#: Of a difference that stands for a derivative.
_STEP = float(np.sqrt(np.finfo(float).eps))


class CVODE(OdeSolver):
    """Steps through dy/dt = fun(t, y) from y0 at t0, up to t_bound.

    `slope(t, y)` is a function whose derivative in y stands for that of `fun`; it may leave out
    what is costly and moves slowly, for Newton's iteration gets there all the same.
    """

    def __init__(
        self,
        fun: Callable[[float, Array], Array],
        t0: float,
        y0: Array,
        t_bound: float,
        rtol: float,
        atol: float,
        slope: Callable[[float, Array], Array] | None = None,
    ) -> None:
        from sksundae import cvode

        super().__init__(fun, t0, y0, t_bound, vectorized=False)
        self._slope, self._here = slope, y0
        self._steps = cvode.CVODE(
            self._put_derivative,
            linsolver="gmres",
            krylov_dim=_KRYLOV,
            rtol=rtol,
            atol=atol,
            jactimes=cvode.CVODEJacTimes(self._linearise, self._put_product),
        )
        self._steps.init_step(t0, y0)

    def _put_derivative(self, t: float, y: Array, out: Array) -> None:
        out[:] = self.fun(t, y)

    def _linearise(self, t: float, y: Array, derivative: Array) -> None:
        """Called before the products at one y."""
        self._here = derivative.copy() if self._slope is None else self._slope(t, y)

    def _put_product(self, t: float, y: Array, _: Array, v: Array, out: Array) -> None:
        self.njev += 1
        step = _STEP * max(1.0, np.abs(y).max()) / max(np.abs(v).max(), np.finfo(float).tiny)
        moved = (self._slope or self.fun)(t, y + step * v)
        out[:] = (moved - self._here) / step

    def _step_impl(self) -> tuple[bool, str | None]:
        before = self.t
        while self.t == before:  # once it has interpolated it returns where it stands
            found = self._steps.step(self.t_bound, "onestep", self.t_bound)
            if not found.success:
                return False, str(found.message)
            self.t, self.y = float(found.t), found.y
        if self.t - before < _SHORTEST * np.spacing(self.t) and self.t < self.t_bound:
            return False, "Required step size is less than spacing between numbers."
        return True, None

    def at(self, t: float) -> Array:
        """The state at a time of the last step."""
        return self._steps.step(t, "normal").y

    def _dense_output_impl(self) -> DenseOutput:
        return _LastStep(self)


class _LastStep(DenseOutput):
    """The interpolant of the step that was taken last; until the next."""

    def __init__(self, solver: CVODE) -> None:
        super().__init__(solver.t_old, solver.t)
        self._solver = solver

    def _call_impl(self, t: Array) -> Array:
        return np.stack([self._solver.at(one) for one in np.atleast_1d(t)], axis=-1)
