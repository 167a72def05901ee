"""Integrate an ODE through given times with SciPy's adaptive steppers.

What `solve` and `solve_mean_field` share: results at exactly the times asked for, an early stop, a
progress bar, Ctrl-C that keeps what was reached, and a failure that is reported.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from twolayer.support.arrays import Array
from twolayer.support.checks import InvalidInput
from twolayer.support.progress import Progress
from twolayer.support.threads import apart

#: SciPy's integrators.
ODE_METHODS = ("LSODA", "Radau", "BDF", "RK45", "DOP853", "RK23")
IMPLICIT = ("LSODA", "Radau", "BDF")

#: Numbers in flight when a Jacobian is made by differences.
_IN_FLIGHT = 30_000

#: Before this time nothing has moved in floating point, and no integrator can choose a step.
SHORTEST = 1e-100
#: Until later times rounding alone would move what does not move.
LATEST = 1e15
#: With so many unknowns the linear algebra of a step of an implicit method takes a while.
_MANY = 1000
#: Accepted steps after which the pace is looked at, and derivatives that nobody will wait for.
#: Implicit steps grow with the time that has passed, where little happens.
_LOOK, _TOO_MANY, _TOO_MANY_IMPLICIT = 500, 1e8, 1e10

#: States beyond this are taken for a blow-up: their products leave floating point.
_BLOW_UP = 1e100


@dataclass(frozen=True, eq=False)
class Path:
    """States y (n, N) at the times t (n,) that were reached.

    `steps` are those accepted by the integrator, which stood at `reached` in the end; `failure`
    says why it could not go on, if so; it was `interrupted` by Ctrl-C, or `stopped` by the stop
    condition; `statistics` are nfev, njev, nlu and the run time.
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
    foreign: bool = False,
    label: str = "solve",
    progress: bool = True,
) -> Path:
    """Integrate dy/dt = derivative(t, y) from y0 (N,) at t = 0 through times that do not decrease.

    `jacobian` is for implicit methods; see `differences`.  `stop` is asked with the state at every
    time, in order, before it counts as reached; True ends the integration there.  `foreign` says
    whether `derivative` calls functions of the user's, which may integrate in their turn.

    Raises `KeyboardInterrupt` if interrupted before the first time was reached, `InvalidInput` if
    the last time is, or turns out to be, so far away that nobody would see the end.

    Examples
    --------
    >>> path = integrate(lambda t, y: -y, np.ones(1), np.array([0.0, 1.0]),
    ...                  method="DOP853", rtol=1e-10, atol=1e-12)
    >>> path.y[:, 0].round(6)
    array([1.      , 0.367879])
    """
    if t_eval[-1] > LATEST:
        allowed = f"at most {LATEST:.0e}: rounding alone would move the state until then"
        raise InvalidInput("t_eval", f"times up to {t_eval[-1]:.3g}", allowed)
    started = time.perf_counter()
    states: list[Array] = []
    solver: Any = None
    steps, stopped, interrupted, failure = 0, False, False, None
    implicit, looked, pace = method in IMPLICIT, (0.0, 0), 0.0
    beside = (method == "LSODA" and foreign) or (implicit and y0.size >= _MANY)
    ask: Callable[..., Any] = _call

    def take(reached: float, interpolant: Callable[[], Callable[[float], Array]]) -> None:
        nonlocal stopped
        if t_eval[len(states)] > reached:
            return
        at = interpolant()
        while len(states) < t_eval.size and t_eval[len(states)] <= reached and not stopped:
            state = np.array(at(t_eval[len(states)]))
            stopped = bool(stop(state))
            states.append(state)

    def done() -> bool:
        return stopped or len(states) == t_eval.size

    def asking(function: Callable[..., Array]) -> Callable[..., Array]:
        return lambda t, y: ask(function, t, y)  # old LSODA counts the arguments

    def step_beside() -> str | None:
        nonlocal ask

        def work(there: Callable[..., Any]) -> str | None:
            nonlocal ask
            ask = there
            return solver.step()

        try:
            return apart(work)
        finally:
            ask = _call

    try:
        with (
            np.errstate(all="ignore"),
            warnings.catch_warnings(),
            Progress(t_eval[-1], label, progress) as bar,
        ):
            warnings.simplefilter("ignore")  # the integrator's own; failures are reported
            take(SHORTEST, lambda: lambda _: y0)
            if not done():
                extra = {"jac": asking(jacobian)} if implicit and jacobian else {}
                solver = getattr(scipy.integrate, method)(
                    asking(derivative), 0.0, y0, t_eval[-1], rtol=rtol, atol=atol, **extra
                )
            while not done():
                message = step_beside() if beside else solver.step()
                if solver.status == "failed":
                    failure = f"the integrator stopped ({message})"
                elif not np.abs(solver.y).max() < _BLOW_UP:
                    failure = "the overlaps left the range of finite numbers"
                if failure:
                    break
                steps += 1
                if steps % _LOOK == 0:
                    before, pace = pace, (solver.t - looked[0]) / (solver.nfev - looked[1])
                    looked, left = (solver.t, solver.nfev), t_eval[-1] - solver.t
                    most = _TOO_MANY_IMPLICIT if implicit else _TOO_MANY
                    # Steps that grow may become long enough; those that shrink end in a blow-up.
                    if left > most * pace and before < 2 * pace < 3 * before:
                        far = f"times up to {t_eval[-1]:.3g}"
                        raise InvalidInput(
                            "t_eval",
                            f"{far}, {left / pace:.0e} derivatives away by {method}",
                            f"earlier, or with a method of long steps: {', '.join(IMPLICIT)}",
                        )
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


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def differences(
    derivative: Callable[[float, Array], Array], t: float, y: Array, scale: float
) -> Array:
    """The Jacobian (N, N) by forward differences, all perturbed states in a few array calls.

    `derivative` is dy/dt of (t, y), where y may have a leading axis of many states.  The
    integrators' own differences step in proportion to |y_j|, which is nothing but rounding where
    an overlap has converged to zero; `scale`, the usual size of an unknown, keeps the step finite.

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
