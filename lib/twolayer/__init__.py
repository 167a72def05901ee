"""One-pass SGD in two-layer networks: an exact simulator and its dimensionless ODEs.

The companion package to Arnaboldi, Stephan, Krzakala & Loureiro, *From
high-dimensional & mean-field dynamics to dimensionless ODEs* (COLT 2023,
arXiv:2302.05882).  Data flows one way:

    Task + Overlaps or Weights → solve / simulate → Trajectory
"""

from twolayer import regimes, schedules
from twolayer.activations import Activation
from twolayer.citing import citation
from twolayer.crossing import time_to
from twolayer.flow import solve
from twolayer.mean_field import Particles, SpectralParticles, solve_mean_field
from twolayer.problem import (
    Observation,
    Overlaps,
    QuadratureWarning,
    SpectralOverlaps,
    Spectrum,
    Task,
    Weights,
    excess_risk,
    observe,
    risk,
)
from twolayer.results import (
    Divergence,
    MeanFieldTrajectory,
    SpectralMeanFieldTrajectory,
    SpectralTrajectory,
    Trajectory,
)
from twolayer.sgd import simulate
from twolayer.support.checks import InvalidInput
from twolayer.support.progress import CostWarning
from twolayer.support.versions import version_of
from twolayer.sweeps import sweep
from twolayer.theory.fixed_points import fixed_point, jacobian
from twolayer.theory.plateaus import plateaus

__all__ = [
    "Activation",
    "CostWarning",
    "Divergence",
    "InvalidInput",
    "MeanFieldTrajectory",
    "Observation",
    "Overlaps",
    "Particles",
    "QuadratureWarning",
    "SpectralMeanFieldTrajectory",
    "SpectralOverlaps",
    "SpectralParticles",
    "SpectralTrajectory",
    "Spectrum",
    "Task",
    "Trajectory",
    "Weights",
    "citation",
    "excess_risk",
    "fixed_point",
    "jacobian",
    "observe",
    "plateaus",
    "regimes",
    "risk",
    "schedules",
    "simulate",
    "solve",
    "solve_mean_field",
    "sweep",
    "time_to",
]

__version__ = version_of("twolayer")


def __dir__() -> list[str]:
    return __all__
