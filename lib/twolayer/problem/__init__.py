"""The problem: a task, and the state of its networks as overlaps or as weights.

Builds on the activations.
"""

from twolayer.problem.overlaps import Overlaps, Weights
from twolayer.problem.task import QuadratureWarning, Task, excess_risk, risk

__all__ = ["Overlaps", "QuadratureWarning", "Task", "Weights", "excess_risk", "risk"]
