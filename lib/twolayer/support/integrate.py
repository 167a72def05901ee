"""Integrate an ODE through given times with SciPy's adaptive steppers, or CVODE.

What `solve` and `solve_mean_field` share: results at exactly the times asked for, an early stop, a
progress bar, Ctrl-C that keeps what was reached, and a failure that is reported.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy

from twolayer.support.arrays import Array
from twolayer.support.checks import InvalidInput, check_fits_in_memory
from twolayer.support.cvode import CVODE, HAS_CVODE
from twolayer.support.progress import LONG, Progress, warn_of_minutes
from twolayer.support.threads import apart, one_core

#: SciPy's integrators that make a Jacobian, then the one that needs none, and explicit ones.
DENSE = ("LSODA", "Radau", "BDF")
IMPLICIT = (*DENSE, "CVODE")
ODE_METHODS = (*IMPLICIT, "RK45", "DOP853", "RK23")
#: Their names, and the choice among them, for whoever checks types.
Integrator = Literal["auto", "LSODA", "Radau", "BDF", "CVODE", "RK45", "DOP853", "RK23"]

#: Before this time nothing has moved in floating point, and no integrator can choose a step.
SHORTEST = 1e-100
#: Until later times rounding alone would move what does not move.
LATEST = 1e15
#: With so many unknowns the linear algebra of a step of a dense method takes a while.
_MANY = 1000
#: A dense method may take this part of the memory, for Jacobian, factors and what is between.
_PART, _MATRICES = 1 / 4, 3
#: Accepted steps after which the pace is looked at, and derivatives that nobody will wait for.
#: Implicit steps grow with the time that has passed, where little happens.
_LOOK, _TOO_MANY, _TOO_MANY_IMPLICIT = 500, 1e8, 1e10

#: An explicit method that has not arrived after so many derivatives is on its way through a stiff
#: equation, and hands over.
_HAND_OVER = 2000
#: Until about so many units of time none is stiff enough for an implicit method to pay.
_SHORT = 30.0

#: Right-hand sides that a method is likely to need at the start, and at most.
_FEW, _MANY_TIMES = 60, 3000
#: Seconds that no compilation takes.
_COMPILING = 60.0

#: An integrator stops so many spacings of the time before a jump, and goes on at it.
_BEFORE = 64

#: States beyond this are taken for a blow-up: their products leave floating point.
_BLOW_UP = 1e100


@dataclass(frozen=True, eq=False)
class Path:
    """The times t (n,) that were reached.

    `steps` are those accepted by the integrator, which stood at `reached` in the end; `failure`
    says why it could not go on, if so; it was `interrupted` by Ctrl-C, or `stopped` by the stop
    condition; `statistics` are the methods used, nfev, njev, nlu and the run time.
    """

    t: Array
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
    methods: tuple[str, ...],
    rtol: float,
    atol: float,
    jacobian: Callable[[float, Array], Array] | None = None,
    slope: Callable[[float, Array], Array] | None = None,
    reach: Callable[[Array], int | None],
    jumps: tuple[float, ...] = (),
    foreign: bool = False,
    label: str = "solve",
    progress: bool = True,
) -> Path:
    """Integrate dy/dt = derivative(t, y) from y0 (N,) at t = 0 through times that do not decrease.

    Of two `methods` the second takes over from the first, which is explicit, if the equation turns
    out to be stiff.  `jacobian` is for dense methods, `slope` for `CVODE`.
    `reach` is called with the next states (n, N) in order, to be kept, before they count as
    reached, and says which of them to stop at, if any.  At `jumps` > 0, in their order,
    `derivative` may jump: each method begins anew there, and does not step across.  `foreign` says
    whether `derivative` calls functions of the user's, which may integrate in their turn.

    Raises `KeyboardInterrupt` if interrupted before the first time was reached, `InvalidInput` if
    the last time is, or turns out to be, so far away that nobody would see the end, if a dense
    method would want more than a quarter of the memory, or CVODE is not there.

    Examples
    --------
    >>> path = integrate(lambda t, y: -y, np.ones(1), np.array([0.0, 1.0]), methods=("DOP853",),
    ...                  rtol=1e-10, atol=1e-12, reach=lambda some: print(some.round(6)))
    [[1.]]
    [[0.367879]]
    """
    if t_eval[-1] > LATEST:
        allowed = f"at most {LATEST:.0e}: rounding alone would move the state until then"
        raise InvalidInput("t_eval", f"times up to {t_eval[-1]:.3g}", allowed)
    method, *others = methods
    if method in DENSE:
        check_fits_in_memory("method", method, _MATRICES / _PART * y0.size**2)
    elif method == "CVODE" and not HAS_CVODE:
        raise InvalidInput("method", method, "installed (pip install scikit-sundae), or another")
    started = time.perf_counter()
    solver: Any = None
    counts = dict.fromkeys(("nfev", "njev", "nlu"), 0)
    n, steps, stopped, interrupted, failure = 0, 0, False, False, None
    looked, pace = (0.0, 0), 0.0
    beside = (method == "LSODA" and foreign) or (method in DENSE and y0.size >= _MANY)
    ask: Callable[..., Any] = _call
    ends = [*(jump for jump in jumps if jump < t_eval[-1]), t_eval[-1]]
    factors = y0.size**3 / 3 if method in DENSE else 0

    def take(reached: float, interpolant: Callable[[], Callable[[Array], Array]]) -> None:
        nonlocal n, stopped
        times = t_eval[n : np.searchsorted(t_eval, reached, "right")]
        if times.size:
            last = reach(np.ascontiguousarray(interpolant()(times).T))
            stopped = last is not None
            n += times.size if last is None else last + 1

    def done() -> bool:
        return stopped or n == t_eval.size

    def asking(function: Callable[..., Array]) -> Callable[..., Array]:
        return lambda t, y: ask(function, t, y)  # old LSODA counts the arguments

    def begin(t: float, y: Array) -> None:
        nonlocal solver
        extra: dict[str, Any] = {"slope": slope} if method == "CVODE" else {}
        if method in DENSE and jacobian:
            extra["jac"] = asking(jacobian)
        make = getattr(scipy.integrate, method, CVODE)
        end = next(each for each in ends if each > t)
        end -= _BEFORE * np.spacing(end) if end < t_eval[-1] else 0.0
        solver = make(asking(derivative), t, y, end, rtol=rtol, atol=atol, **extra)

    def count() -> None:
        for name in counts:
            counts[name] += int(getattr(solver, name, 0))

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
        take(SHORTEST, lambda: lambda times: np.repeat(y0[:, None], times.size, axis=1))
        with (
            np.errstate(all="ignore"),
            warnings.catch_warnings(),
            Progress(t_eval[-1], label, progress) as bar,
            one_core(max(_product(y0), factors)),
        ):
            warnings.simplefilter("ignore")  # the integrator's own; failures are reported
            if not done():
                begin(0.0, y0)
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
                    most = _TOO_MANY_IMPLICIT if method in IMPLICIT else _TOO_MANY
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
                if solver.status == "finished" and not done():
                    count()
                    looked, pace = (solver.t, 0), 0.0
                    begin(next(each for each in ends if each > solver.t), solver.y)
                elif others and solver.nfev > _HAND_OVER and not done():
                    count()
                    method, looked, pace = others.pop(0), (solver.t, 0), 0.0
                    begin(solver.t, solver.y)
    except KeyboardInterrupt:
        if not n:
            raise
        interrupted = True
    count()
    return Path(
        t=t_eval[:n].copy(),
        steps=steps,
        reached=0.0 if solver is None else float(solver.t),
        failure=failure,
        interrupted=interrupted,
        stopped=stopped,
        statistics={"method": " then ".join(methods[: len(methods) - len(others)])}
        | counts
        | {"seconds": round(time.perf_counter() - started, 3)},
    )


def for_stiff(t_end: float) -> tuple[str, ...]:
    """The methods for many unknowns: those that cost least until that time, as far as is known."""
    if not HAS_CVODE:
        return ("DOP853",)
    return ("DOP853", "CVODE") if t_end <= _SHORT else ("CVODE",)


def warn_of_cost(derivative: Callable[[float, Array], Array], y: Array, t_end: float) -> None:
    """`CostWarning`, on the caller's caller, if right-hand sides will take minutes.

    One is tried, and another if the first may have waited for its machine code.
    """
    if t_end <= SHORTEST:
        return
    usual = min(_MANY_TIMES, round(_FEW * (1 + t_end) ** 0.4))  # as was seen until 10⁵
    each = _seconds(derivative, y)
    if each * usual > LONG and each < _COMPILING:
        each = _seconds(derivative, y)
    what = f"a right-hand side takes {each:.2g} s, and some {usual} of them are likely to be needed"
    warn_of_minutes(what, each * usual, stacklevel=4)


def _seconds(derivative: Callable[[float, Array], Array], y: Array) -> float:
    """What a call takes."""
    started = time.perf_counter()
    with np.errstate(all="ignore"), one_core(_product(y)):
        derivative(0.0, y)
    return time.perf_counter() - started


def _product(y: Array) -> float:
    """Multiplications of a matrix product in a right-hand side: unknowns are half of a matrix."""
    return float((2 * y.size) ** 1.5)


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)
