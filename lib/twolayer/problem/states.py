"""What kind of state it is: under isotropic inputs, or not; without a second layer, or not."""

from __future__ import annotations

from twolayer.problem.overlaps import Overlaps
from twolayer.problem.spectral_overlaps import SpectralOverlaps
from twolayer.support.checks import InvalidInput, check_instance, shown


def isotropic(overlaps: Overlaps | SpectralOverlaps) -> Overlaps | SpectralOverlaps:
    """The same state, without blocks if there is but one: isotropic inputs."""
    if isinstance(overlaps, Overlaps) or len(overlaps.spectrum) > 1:
        return overlaps
    blocks = overlaps.Q_blocks[0], overlaps.M_blocks[0], overlaps.P_blocks[0]
    return Overlaps(*blocks, overlaps.a, overlaps.a_star)


def no_second_layer(overlaps: Overlaps) -> None:
    """Refuse what is no overlaps, or has a second layer other than ones."""
    check_instance("overlaps", overlaps, Overlaps)
    if (overlaps.a != 1).any() or (overlaps.a_star != 1).any():
        raise InvalidInput("overlaps", shown(overlaps.a), "without a second layer")
