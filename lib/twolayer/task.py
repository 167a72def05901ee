"""The learning problem: which activations, how much label noise; and its risk.

Builds on `activations` and `overlaps`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twolayer import activations
from twolayer.activations import Activation
from twolayer.errors import InvalidInput, instance, non_negative, shown
from twolayer.overlaps import Overlaps


@dataclass(frozen=True)
class Task:
    r"""A student f(x) = (1/p) Σ_i σ(w_i·x) and a target y = (1/k) Σ_r σ*(w*_r·x) + √Δ z.

    Parameters
    ----------
    activation : str or Activation
        σ of the student: "erf" for erf(x/√2), or "square" for x².
    target_activation : str or Activation, optional
        σ* of the target; the student's by default.  The closed forms need σ* = σ.
    noise : float
        Variance Δ >= 0 of the label noise.

    Raises
    ------
    InvalidInput
        If an activation is unknown, if the two differ, or if `noise` is not a
        finite number >= 0.

    References
    ----------
    Arnaboldi, Stephan, Krzakala & Loureiro (COLT 2023), arXiv:2302.05882, section 2.

    Examples
    --------
    >>> Task("erf", noise=1e-3)
    Task('erf', noise=0.001)
    """

    activation: Activation
    target_activation: Activation
    noise: float

    def __init__(
        self,
        activation: str | Activation = "erf",
        target_activation: str | Activation | None = None,
        noise: float = 0.0,
    ) -> None:
        student = activations.get(activation)
        target = (
            student
            if target_activation is None
            else activations.get(target_activation, "target_activation")
        )
        if target is not student:
            raise InvalidInput(
                "target_activation",
                shown(target_activation),
                f"the student's {student.name!r}: the closed forms need both to be the same",
            )
        object.__setattr__(self, "activation", student)
        object.__setattr__(self, "target_activation", target)
        object.__setattr__(self, "noise", non_negative("noise", noise))

    def __repr__(self) -> str:
        return f"Task({self.activation.name!r}, noise={self.noise:g})"


def coefficients(p: int, k: int) -> np.ndarray:
    """The weight c of every unit in the displacement: −1/p for students, then +1/k for targets.

    Examples
    --------
    >>> coefficients(2, 1)
    array([-0.5, -0.5,  1. ])
    """
    return np.concatenate((np.full(p, -1 / p), np.full(k, 1 / k)))


def excess_risk(task: Task, overlaps: Overlaps) -> float:
    r"""Population risk above its floor, R − Δ/2 = ½ Σ_{m,m'} c_m c_m' E[σ(λ_m) σ(λ_m')].

    Parameters
    ----------
    task : Task
    overlaps : Overlaps

    Returns
    -------
    float
        Not below zero but for rounding, about 1e-16; zero at perfect learning.
        Costs O((p + k)²).

    References
    ----------
    arXiv:2302.05882, section 2; for erf Saad & Solla, PRE 52, 4225 (1995).

    Examples
    --------
    A student that is its target has learned perfectly:

    >>> excess_risk(Task("erf"), Overlaps([[1.0]], [[1.0]], [[1.0]]))
    0.0
    """
    instance("task", task, Task)
    instance("overlaps", overlaps, Overlaps)
    return excess_risk_of(task, overlaps.Omega, overlaps.p)


def excess_risk_of(task: Task, Omega: np.ndarray, p: int) -> float:
    """`excess_risk` from Ω, students first, unchecked."""
    c = coefficients(p, len(Omega) - p)
    return float(c @ task.activation.two_point(Omega) @ c) / 2


def risk(task: Task, overlaps: Overlaps) -> float:
    """Population risk R = ½ E[(f(x) − y)²], label noise included.

    Parameters
    ----------
    task : Task
    overlaps : Overlaps

    Returns
    -------
    float
        `excess_risk` plus Δ/2.

    Examples
    --------
    >>> risk(Task("square", noise=1.0), Overlaps([[1.0]], [[1.0]], [[1.0]]))
    0.5
    """
    return excess_risk(task, overlaps) + task.noise / 2
