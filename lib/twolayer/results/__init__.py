"""What a run or an integration gives: arrays over time that can be saved, read and gone on from.

Builds on the problem and on files.
"""

from twolayer.results.divergence import Divergence
from twolayer.results.mean_field_trajectory import MeanFieldTrajectory
from twolayer.results.spectral_mean_field import SpectralMeanFieldTrajectory
from twolayer.results.spectral_trajectory import SpectralTrajectory
from twolayer.results.trajectory import Trajectory

__all__ = [
    "Divergence",
    "MeanFieldTrajectory",
    "SpectralMeanFieldTrajectory",
    "SpectralTrajectory",
    "Trajectory",
]
