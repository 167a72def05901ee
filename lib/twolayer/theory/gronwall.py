r"""What Grönwall's lemma makes of the flow: the exponent in bounds like that of theorem 1.

Two solutions of dy/dt = f(y) that start a distance ε apart are, to first order in ε, at most
ε exp(∫ μ dt) apart, with μ(t) the largest eigenvalue of (J + Jᵀ)/2 along the path and J the
Jacobian of the flow.  Where noise feeds deviations all the time, the bound forgets none of them:
what decays later keeps its factor.
"""

from __future__ import annotations

import numpy as np

from twolayer.flow.jacobian import jacobian
from twolayer.results.spectral_trajectory import SpectralTrajectory
from twolayer.results.trajectory import Trajectory
from twolayer.support.checks import InvalidInput, check_instance, check_learning_rate, shown


def growth_exponent(trajectory: Trajectory) -> np.ndarray:
    r"""∫₀ᵗ μ ds along a solution of the ODE, μ the largest eigenvalue of (J + Jᵀ)/2.

    Parameters
    ----------
    trajectory : Trajectory
        From `solve`, with closed forms, without a trained second layer, and a learning rate
        that does not change.  Its times carry the integral, by the trapezoidal rule.

    Returns
    -------
    array, shape (T,)
        Zero at the first time.  Unknowns are the upper triangle of Q and M.

    Raises
    ------
    InvalidInput
        If the trajectory is not of that kind.

    References
    ----------
    T. H. Grönwall, Annals of Mathematics 20, 292 (1919).

    Examples
    --------
    At perfect learning nothing moves, and a small difference shrinks at a steady rate.

    >>> import twolayer as tl
    >>> best = tl.Overlaps([[1.0]], [[1.0]], [[1.0]])
    >>> still = tl.solve(tl.Task("erf"), best, learning_rate=0.1, t_eval=[0.0, 1.0, 2.0])
    >>> found = growth_exponent(still)
    >>> bool(found[0] == 0), bool(found[1] < 0), round(float(found[2] / found[1]), 6)
    (True, True, 2.0)
    """
    check_instance("trajectory", trajectory, Trajectory)
    task, told = trajectory.task, trajectory.parameters
    spectral = isinstance(trajectory, SpectralTrajectory)
    if "terms" not in told or not task.closed or told["second_layer_rate"] or spectral:
        allowed = "one of `solve` with closed forms, for isotropic inputs"
        raise InvalidInput("trajectory", shown(trajectory), allowed)
    rate = 1.0  # which gradient flow does not ask for
    if told["terms"] != "gradient-flow":
        rate = check_learning_rate(told["learning_rate"]) / told["batch"]
    layers = trajectory.a[0], trajectory.a_star
    slopes = jacobian(task, trajectory.P, told["terms"], *layers)
    states = zip(trajectory.Q, trajectory.M, strict=True)
    growth = np.array(
        [np.linalg.eigvalsh((J + J.T) / 2)[-1] for J in (slopes(*s, rate) for s in states)]
    )
    steps = np.diff(trajectory.t) * (growth[1:] + growth[:-1]) / 2
    return np.concatenate(([0.0], np.cumsum(steps)))
