"""The mean field: p → ∞ as a flow of particles, or of p particles with their self terms.

A field is what particles move in: `SquareField`, `GridField`, `HermiteField` and the fields by
pairs each find its force in another way, and `make_field` chooses.  Builds on the problem and the
results.
"""

from twolayer.mean_field.field import make_field
from twolayer.mean_field.particles import Particles
from twolayer.mean_field.solver import solve_mean_field
from twolayer.mean_field.spectral import SpectralParticles

__all__ = ["Particles", "SpectralParticles", "make_field", "solve_mean_field"]
