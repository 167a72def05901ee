"""The error of a run that blew up; it holds what was recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twolayer.results.trajectory import Trajectory


class Divergence(ArithmeticError):
    """A run left the range of finite numbers.

    Attributes
    ----------
    step : int
        The step at which it happened first: SGD steps in `simulate`, accepted
        integrator steps in `solve`.
    time : float
        The time t at which it happened first, in units of p d / γ steps.
    trajectory : Trajectory
        What was recorded.  Of `simulate` all runs: those that did not end so are whole, the
        others NaN after their last time.
    runs : tuple of int
        Which runs of `trajectory` these are; empty where there is one only, as in `solve`.

    Examples
    --------
    >>> import twolayer as tl
    >>> start = tl.Overlaps([[1.0]], [[0.1]], [[1.0]])
    >>> try:
    ...     tl.solve(tl.Task("square"), start, learning_rate=9.0, t_eval=[0.0, 100.0])
    ... except tl.Divergence as error:
    ...     print(error.time < 100, len(error.trajectory.t))
    True 1
    """

    def __init__(
        self,
        reason: str,
        step: int,
        time: float,
        trajectory: Trajectory | None,
        runs: tuple[int, ...] = (),
    ) -> None:
        self.reason, self.step, self.time, self.trajectory = reason, step, time, trajectory
        self.runs = tuple(runs)
        super().__init__(reason, step, time, trajectory, self.runs)

    def __str__(self) -> str:
        text = f"{self.reason} at step {self.step}, t = {self.time:.6g}; "
        all_runs = 1 if self.trajectory is None else len(self.trajectory.M)
        if len(self.runs) and all_runs > 1:
            some = ", ".join(map(str, self.runs[:10])) + (", ..." if len(self.runs) > 10 else "")
            text += f"in the end {len(self.runs)} of {all_runs} runs ({some}) did. All are in "
            text += ".trajectory, and the others are whole"
        else:
            kept = 0 if self.trajectory is None else self.trajectory.t.size
            text += f"the {kept} times recorded before are in .trajectory"
        return f"{text}. A smaller learning rate may keep the run finite."
