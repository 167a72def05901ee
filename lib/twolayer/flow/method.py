"""Which integrator `solve` takes, and of what: by the number of unknowns, measured.

The flow is stiff, late ever more so, and a step of an implicit method is the only one that grows
with the time that has passed.  What it costs is linear algebra: by the Jacobian as a matrix N³,
and N² of memory; in a Krylov space a few right-hand sides, but of Python's calls.
"""

from __future__ import annotations

from dataclasses import dataclass

from twolayer.problem.overlaps import Overlaps
from twolayer.problem.spectral_overlaps import SpectralOverlaps
from twolayer.support.integrate import DENSE, HAS_CVODE, for_stiff

#: Unknowns up to which a Jacobian costs less than what a Krylov method calls in its place.
_FEW = 150
#: Where there is nothing else (in a browser): up to here it is a matter of seconds.
_FEW_ENOUGH = 1500


@dataclass(frozen=True)
class Method:
    """Integrators by `names`, see `integrate`, of the weights `in_span` or the overlaps; `why`."""

    names: tuple[str, ...]
    in_span: bool
    why: str


def method_for(
    asked: str, overlaps: Overlaps | SpectralOverlaps, terms: str, trained: bool, t_end: float
) -> Method:
    """The method that is asked for, or if it is "auto" the one that suits.

    Gradient flow does not leave the span of the weights it begins with.  Of rank r < p/2, their
    r coordinates are p r numbers instead of p (p + 1)/2 + p k.

    Examples
    --------
    >>> import twolayer as tl
    >>> method_for("auto", tl.Weights.gaussian(p=4, k=2, d=5).overlaps(), "full", False, 1e3)
    Method(names=('LSODA',), in_span=False, why='18 unknowns, few enough for a Jacobian')
    """
    p, k = overlaps.p, overlaps.k
    spectral = isinstance(overlaps, SpectralOverlaps)
    groups = len(overlaps.spectrum) if spectral else 1
    N = groups * (p * (p + 1) // 2 + p * k) + (p if trained else 0)
    if asked == "auto" and N <= _FEW:
        return Method(("LSODA",), False, f"{N} unknowns, few enough for a Jacobian")
    if asked == "auto" and not HAS_CVODE and N <= _FEW_ENOUGH:
        return Method(("LSODA",), False, f"{N} unknowns, and scikit-sundae is not installed")
    descent = terms == "gradient-flow" and not trained and asked not in DENSE and not spectral
    small = descent and (rank := overlaps.rank) < p / 2
    if asked != "auto":
        return Method((asked,), small, "asked for")
    names = for_stiff(t_end)
    what = f"{p * rank} coordinates of the weights instead of {N} overlaps" if small else ""
    rest = f"too many for a Jacobian, until t = {t_end:g}"
    missing = "" if HAS_CVODE else "; scikit-sundae, which has better, is not installed"
    return Method(names, small, f"{what or f'{N} unknowns'}, {rest}{missing}")
