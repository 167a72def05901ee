"""The problem: a task, and the state of its networks as overlaps or as weights.

Builds on the activations.
"""

from twolayer.problem.observing import Observation, observe
from twolayer.problem.overlaps import Overlaps, Weights
from twolayer.problem.spectral_overlaps import SpectralOverlaps
from twolayer.problem.spectrum import Spectrum
from twolayer.problem.task import QuadratureWarning, Task, excess_risk, risk

__all__ = [
    "Observation",
    "Overlaps",
    "QuadratureWarning",
    "SpectralOverlaps",
    "Spectrum",
    "Task",
    "Weights",
    "excess_risk",
    "observe",
    "risk",
]
