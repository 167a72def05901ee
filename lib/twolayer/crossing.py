"""`time_to`: when a result first had a risk as low as that, on the solution and not on its grid.

Between the two recorded times that bracket the crossing the equation is integrated once more, from
the earlier of the two states and with the arguments that the result was made with.  So it stands
above the solvers; `Result.time_to`, below them, calls it, the one import upward that there is.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from twolayer.flow.solver import solve
from twolayer.mean_field.solver import particles_of, solve_mean_field
from twolayer.problem.overlaps import Overlaps
from twolayer.problem.spectral_overlaps import SpectralOverlaps
from twolayer.results.mean_field_trajectory import MeanFieldTrajectory
from twolayer.results.spectral_trajectory import SpectralTrajectory
from twolayer.results.trajectory import Trajectory, named
from twolayer.schedules import Schedule, rate_of_time
from twolayer.support.arrays import Array, set_fields
from twolayer.support.checks import InvalidInput, check_instance, check_stop, shown

#: The bracket is cut into so many parts, again and again, until it is this part of its end.
_PARTS, _NARROW = 64, 1e-7
#: By then the end has come down to nothing, however late it was.
_MOST = 60

#: Times after a recorded state → excess risks there, as far as one low enough.
Follow = Callable[[Array], Array]


def time_to(
    result: Trajectory | MeanFieldTrajectory,
    risk: float,
    learning_rate: Callable[[float], float] | None = None,
) -> float | Array:
    """The time at which the population risk R (label noise included) first is at most `risk`.

    Parameters
    ----------
    result : Trajectory or MeanFieldTrajectory
        Of `solve`, `simulate` or `solve_mean_field`, also from a file.
    risk : float
        Above Δ/2.
    learning_rate : callable, optional
        The schedule that `result` was solved with, if there was one: a result keeps its name only.

    Returns
    -------
    float, or array of shape (R,)
        In units of p d/γ steps; NaN where it is never reached.  Of runs of SGD the first recorded
        time.  Of an ODE, between the recorded times that first bracket it, the crossing itself,
        of a relative accuracy of 1e-8 where the solution has it: a shift of the risk by the
        solver's tolerance shifts it by that over the size of dR/dt.  If the risk is as low at
        the first recorded time, that.

    Raises
    ------
    InvalidInput
        If an argument cannot be used, or the result is none of these.

    Examples
    --------
    >>> import twolayer as tl
    >>> start = tl.Overlaps([[1.0]], [[0.5]], [[1.0]])
    >>> sol = tl.solve(tl.Task("erf"), start, terms="gradient-flow", t_eval=[0.0, 5.0, 50.0])
    >>> t = sol.time_to(1e-2)
    >>> there = tl.solve(tl.Task("erf"), start, terms="gradient-flow", t_eval=[t])
    >>> print(f"{t:.4f} {there.risk[-1]:.10f}")
    3.9644 0.0100000000
    """
    if not isinstance(result, MeanFieldTrajectory):
        check_instance("result", result, Trajectory, "of solve, simulate or solve_mean_field")
    risk = check_stop("risk", risk, result.task.noise)
    enough = risk - result.task.noise / 2
    known = result.parameters.get("learning_rate")
    same = learning_rate is None or (callable(learning_rate) and named(learning_rate) == known)
    if not same:
        allowed = f"left out, or the schedule that the result was made with (it has {known!r})"
        raise InvalidInput("learning_rate", shown(learning_rate), allowed)
    low = result.risk <= risk  # as recorded: a difference of the two would be rounded
    first = low.argmax(-1) if result.t.size else np.zeros(low.shape[:-1], int)
    if result.M.ndim == 4:
        return np.where(low.any(-1), result.t[first] if result.t.size else np.nan, np.nan)
    if not low.any():
        return math.nan
    n = int(first)
    if n == 0:
        return float(result.t[0])
    before = n - 1, float(result.t[n - 1])
    if isinstance(result, MeanFieldTrajectory):
        follow = _mean_field(result, before[0], risk)
    else:
        follow = _flow(result, *before, risk, learning_rate)
    length = float(result.t[n]) - before[1]
    return float(before[1] + _crossing(follow, length, result.excess_risk[n - 1], enough))


def _crossing(follow: Follow, length: float, before: float, enough: float) -> float:
    """How long after a state of excess risk `before` it is `enough`, at most `length`."""
    low, high = 0.0, length
    for _ in range(_MOST):
        times = np.linspace(low, high, _PARTS + 1)[1:]
        found = follow(times)
        if not found[-1] <= enough:
            if len(found) < len(times):
                raise KeyboardInterrupt  # which the solver answered by what it had
            return high  # where the recorded risk has it, within the tolerances
        last = len(found) - 1
        before, here = (found[last - 1] if last else before), found[last]
        low, high = (times[last - 1] if last else low), times[last]
        if high - low <= _NARROW * high:
            break
    return low + (high - low) * (before - enough) / (before - here)


def _flow(
    result: Trajectory,
    row: int,
    start: float,
    risk: float,
    schedule: Callable[[float], float] | None,
) -> Follow:
    """The flow from a recorded state on."""
    told = result.parameters
    if "terms" not in told:
        raise InvalidInput("result", shown(result), "of solve, simulate or solve_mean_field")
    terms, rate, batch = told["terms"], told["learning_rate"], told["batch"]
    if isinstance(rate, str) and schedule is None:
        allowed = f"given: the function {rate!r} it was solved with, of which it has the name only"
        raise InvalidInput("learning_rate", "None", allowed)
    given = {name: told[name] for name in ("second_layer_rate", "method", "rtol", "atol")}
    given |= {name: told[name] for name in ("weight_decay", "norm", "neuron_rates") if name in told}
    given |= {"terms": terms, "batch": batch}
    of_terms = terms == "full" and batch == 1 and told.get("norm") != "fixed"
    given["d"] = told["d"] if of_terms else None
    if isinstance(rate, Schedule):  # its clock goes on where it is
        begins, before = told.get("begins", 0.0), told.get("before") or 0.0
        last, p = float(result.t[row + 1]) - begins, result.M.shape[-2]
        since = rate_of_time(rate, p, told["d"], batch, last, begins, before)[0]
        given["learning_rate"] = lambda t: since(start - begins + t)
    else:
        given["learning_rate"] = rate if schedule is None else lambda t: schedule(start + t)
    state = _unchecked(result, row)

    def follow(times: Array) -> Array:
        return solve(
            result.task, state, t_eval=times, stop_at_risk=risk, progress=False, **given
        ).excess_risk

    return follow


def _unchecked(result: Trajectory, row: int) -> Overlaps | SpectralOverlaps:
    """A recorded state as it is: an integrator may leave Ω a little indefinite."""
    layers = {"a": result.a[row], "a_star": result.a_star}
    if isinstance(result, SpectralTrajectory):
        state, Q, M = object.__new__(SpectralOverlaps), result.Q_blocks[row], result.M_blocks[row]
        blocks = {"Q_blocks": Q, "M_blocks": M, "P_blocks": result.P_blocks}
        set_fields(state, spectrum=result.spectrum, **blocks, **layers)
        return state
    state = object.__new__(Overlaps)
    set_fields(state, Q=result.Q[row], M=result.M[row], P=result.P, **layers)
    return state


def _mean_field(result: MeanFieldTrajectory, row: int, risk: float) -> Follow:
    """The mean field from a recorded state on."""
    told = result.parameters
    if "self_term" not in told:
        raise InvalidInput("result", shown(result), "of solve, simulate or solve_mean_field")
    given = {n: told[n] for n in ("second_layer_ratio", "self_term", "nodes", "method")}
    given |= {n: told[n] for n in ("rtol", "atol")} | {"a_star": result.a_star}
    given["P"] = getattr(result, "P_blocks", result.P)
    given["d"] = math.inf if told["d"] == "inf" else told["d"]
    particles = particles_of(result, row)

    def follow(times: Array) -> Array:
        return solve_mean_field(
            result.task, particles, t_eval=times, stop_at_risk=risk, progress=False, **given
        ).excess_risk

    return follow
