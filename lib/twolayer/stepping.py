"""Integrate an ODE through given times with SciPy's adaptive steppers.

What `solve` and `solve_mean_field` share: results at exactly the times asked for, an
early stop, a progress bar, Ctrl-C that keeps what was reached, and a failure that is
reported instead of swallowed.  Knows nothing of overlaps; builds on `progress`.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from twolayer.progress import Progress

Array = np.ndarray

#: SciPy's integrators.
METHODS = ("LSODA", "Radau", "BDF", "RK45", "DOP853", "RK23")
IMPLICIT = ("LSODA", "Radau", "BDF")

#: Numbers in flight when a Jacobian is made by differences.
_IN_FLIGHT = 30_000

#: States beyond this are taken for a blow-up: their products leave floating point.
_BLOW_UP = 1e100


@dataclass(frozen=True, eq=False)
class Path:
    """States at the times that were reached.

    Attributes
    ----------
    t : array, shape (n,)
    y : array, shape (n, N)
    steps : int
        Accepted steps of the integrator.
    reached : float
        Where it stood at the end.
    failure : str or None
        Why it could not go on.
    interrupted, stopped : bool
        By Ctrl-C; by the stop condition.
    statistics : dict
        nfev, njev, nlu and run time.
    """

    t: Array
    y: Array
    steps: int
    reached: float
    failure: str | None
    interrupted: bool
    stopped: bool
    statistics: dict[str, Any]

    def warn_if_interrupted(self) -> None:
        """The warning that a result is shorter than asked for, on the caller's caller."""
        if self.interrupted:
            message = f"interrupted: the {self.t.size} times reached are returned"
            warnings.warn(message, RuntimeWarning, stacklevel=3)


def integrate(
    derivative: Callable[[float, Array], Array],
    y0: Array,
    t_eval: Array,
    *,
    method: str,
    rtol: float,
    atol: float,
    jacobian: Callable[[float, Array], Array] | None = None,
    stop: Callable[[Array], bool] = lambda y: False,
    label: str = "solve",
    progress: bool = True,
) -> Path:
    """Integrate from t = 0 through `t_eval`.

    Parameters
    ----------
    derivative : callable
        dy/dt of (t, y).
    y0 : array, shape (N,)
    t_eval : array, shape (T,)
        Times >= 0 that do not decrease.
    method, rtol, atol : str, float, float
        One of `METHODS`, and tolerances.
    jacobian : callable, optional
        For implicit methods; see `differences`.
    stop : callable
        Asked with the state at every time of `t_eval`; True ends the integration there.
    label : str
        Of the progress bar.
    progress : bool

    Returns
    -------
    Path

    Raises
    ------
    KeyboardInterrupt
        If interrupted before the first time was reached.

    Examples
    --------
    >>> path = integrate(lambda t, y: -y, np.ones(1), np.array([0.0, 1.0]),
    ...                  method="DOP853", rtol=1e-10, atol=1e-12)
    >>> path.y[:, 0].round(6)
    array([1.      , 0.367879])
    """
    from scipy import integrate as integrators  # a third of the package's start-up

    started = time.perf_counter()
    states: list[Array] = []
    solver: Any = None
    steps, stopped, interrupted, failure = 0, False, False, None

    def take(reached: float, interpolant: Callable[[], Callable[[float], Array]]) -> None:
        nonlocal stopped
        if t_eval[len(states)] > reached:
            return
        at = interpolant()
        while len(states) < t_eval.size and t_eval[len(states)] <= reached and not stopped:
            states.append(np.array(at(t_eval[len(states)])))
            stopped = bool(stop(states[-1]))

    def done() -> bool:
        return stopped or len(states) == t_eval.size

    try:
        with (
            np.errstate(all="ignore"),
            warnings.catch_warnings(),
            Progress(t_eval[-1], label, progress) as bar,
        ):
            warnings.simplefilter("ignore")  # the integrator's own; failures are reported
            take(0.0, lambda: lambda _: y0)
            if not done():
                extra = {"jac": jacobian} if method in IMPLICIT and jacobian else {}
                solver = getattr(integrators, method)(
                    derivative, 0.0, y0, t_eval[-1], rtol=rtol, atol=atol, **extra
                )
            while not done():
                message = solver.step()
                if solver.status == "failed":
                    failure = f"the integrator stopped ({message})"
                elif not np.abs(solver.y).max() < _BLOW_UP:
                    failure = "the overlaps left the range of finite numbers"
                if failure:
                    break
                steps += 1
                take(solver.t, solver.dense_output)
                bar.to(solver.t)
    except KeyboardInterrupt:
        if not states:
            raise
        interrupted = True
    counts = {name: int(getattr(solver, name, 0)) for name in ("nfev", "njev", "nlu")}
    n = len(states)
    return Path(
        t=t_eval[:n].copy(),
        y=np.array(states).reshape(n, y0.size),
        steps=steps,
        reached=0.0 if solver is None else float(solver.t),
        failure=failure,
        interrupted=interrupted,
        stopped=stopped,
        statistics=counts | {"seconds": round(time.perf_counter() - started, 3)},
    )


def differences(
    derivative: Callable[[float, Array], Array], t: float, y: Array, scale: float
) -> Array:
    """The Jacobian by forward differences, all perturbed states in a few array calls.

    The integrators' own differences step in proportion to |y_j|, which is nothing but
    rounding where an overlap has converged to zero; `scale` keeps the step finite there.

    Parameters
    ----------
    derivative : callable
        dy/dt of (t, y), where y may have a leading axis of many states.
    t : float
    y : array, shape (N,)
    scale : float
        The usual size of an unknown.

    Returns
    -------
    array, shape (N, N)

    Examples
    --------
    >>> differences(lambda t, y: y**2, 0.0, np.array([1.0, 0.0]), scale=1.0).round(6)
    array([[2., 0.],
           [0., 0.]])
    """
    step = np.sqrt(np.finfo(float).eps) * np.maximum(np.abs(y), scale)
    here = derivative(t, y)
    out = np.empty((y.size, y.size))
    size = max(1, _IN_FLIGHT // y.size)
    for start in range(0, y.size, size):
        some = np.arange(start, min(start + size, y.size))
        moved = np.repeat(y[None], some.size, axis=0)
        moved[np.arange(some.size), some] += step[some]
        out[:, some] = ((derivative(t, moved) - here) / step[some, None]).T
    return out
