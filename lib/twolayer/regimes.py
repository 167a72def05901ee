r"""Which description fits a point (d, p, γ, Δ): the size of each term, and the regime's name.

Four small numbers decide (arXiv:2302.05882, section 2): √(γ/(pd)), the fluctuations
around the ODE; (γ/p)‖Ψ^Var‖ against the drift Ψ^GF, Ψ^M of gradient flow; 1/√p, the
error of the mean field; and 1/√d, that of its high-dimensional limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from twolayer.activations.known import Name
from twolayer.flow.terms import psi_GF, psi_M, psi_Var
from twolayer.problem.overlaps import Overlaps
from twolayer.problem.spectrum import Spectrum, fits_spectrum
from twolayer.problem.task import Task
from twolayer.support.checks import (
    InvalidInput,
    check_fits_in_memory,
    check_instance,
    check_integer,
    check_learning_rate,
    check_non_negative,
    check_real,
)

#: A term below this is called small.
SMALL = 0.1
#: Beyond so many students the size of a term no longer depends on their number.
_MANY = 48


@dataclass(frozen=True)
class Scales:
    """The size of each term at a point, and what follows.

    Attributes
    ----------
    fluctuations : float
        √(γ/(pd)), the order of SGD's distance from the ODE (theorem 1).
    variance : float
        (γ/p)‖Ψ^Var‖ over the norm of dΩ/dt under gradient flow (Ψ^GF and twice Ψ^M), at the
        given overlaps; Frobenius norms.
    finite_p : float
        1/√p, the order of the mean field's error (theorem 2).
    finite_d : float
        1/√d, the bound on the error of its high-dimensional limit (theorem 3).
    plateau : float
        Excess risk that label noise leaves at late times, to first order in γ/p and in Δ:
        (γΔ/4p) times the mean of E[σ'(λ*)²] over the targets.
    regime : str
        The regime's name.
    description : str
        The smallest description whose neglected terms are all below `SMALL`, as a call.
    dispersion : float
        ⟨s²⟩ − 1 of the inputs' spectrum, by which a dispersed one leaves plateaus sooner; 0 if it
        is not given.  Below `SMALL` isotropic inputs are a fair approximation.

    Examples
    --------
    >>> point = scales(d=1000, p=10, learning_rate=5.0, noise=1e-3)
    >>> point.regime, f"{point.fluctuations:.3f}"
    ('high-dimensional', '0.022')
    """

    fluctuations: float
    variance: float
    finite_p: float
    finite_d: float
    plateau: float
    regime: str
    description: str
    dispersion: float = 0.0


def scales(
    d: int,
    p: int,
    learning_rate: float,
    noise: float = 0.0,
    *,
    k: int = 2,
    activation: Name = "erf",
    overlaps: Overlaps | None = None,
    spectrum: Spectrum | None = None,
) -> Scales:
    """The size of each term at a point, the regime's name, and which description to use.

    Costs O(48⁴) at most with the default overlaps, O(p⁴) otherwise (erf).  Source:
    arXiv:2302.05882, section 2 and theorems 1 to 3; the plateau is derived on the page
    "High dimension" of the book and agrees with Goldt et al., NeurIPS 2019.

    Parameters
    ----------
    d, p : int
        Dimension of the data and number of students.
    learning_rate, noise : float
        γ and Δ.
    k : int
        Number of targets, if no overlaps are given; any p >= 1 will do.
    activation : str
        Of students and targets.
    overlaps : Overlaps, optional
        Where to compare Ψ^Var with Ψ^GF; by default `half_way`.
    spectrum : Spectrum, optional
        That of the inputs, in d dimensions; isotropic by default.

    Examples
    --------
    >>> scales(d=1000, p=4, learning_rate=0.01).regime
    'gradient flow'
    >>> scales(d=5, p=10_000, learning_rate=1.0).regime
    'mean field, low-dimensional'
    >>> round(scales(100, 4, 0.1, spectrum=Spectrum.two_level(100, ratio=4)).dispersion, 2)
    0.36
    """
    d, p, k = check_integer("d", d, 1), check_integer("p", p, 1), check_integer("k", k, 1)
    learning_rate, noise = check_learning_rate(learning_rate), check_non_negative("noise", noise)
    task = Task(activation, noise=noise)
    if overlaps is None:
        overlaps = half_way(min(p, _MANY), k)
    else:
        check_instance("overlaps", overlaps, Overlaps)
        if overlaps.p != p:
            raise InvalidInput("overlaps", f"p = {overlaps.p}", f"of p = {p} students")
    if spectrum is not None:
        fits_spectrum(spectrum, d)
    # Ψ^GF alone passes through zero on the way; with Ψ^M it is how fast Ω moves.
    norms = np.linalg.norm(psi_GF(task, overlaps)), np.linalg.norm(psi_M(task, overlaps))
    drift = math.hypot(norms[0], math.sqrt(2) * norms[1])
    with np.errstate(over="ignore"):  # of a label noise beyond all bounds
        spread = np.linalg.norm(psi_Var(task, overlaps))
    variance = learning_rate / p * spread / drift if drift else math.inf
    fluctuations = math.sqrt(learning_rate / (p * d))
    gains = np.diagonal(task.forms.gain(overlaps.P))
    finite_p, finite_d = 1 / math.sqrt(p), 1 / math.sqrt(d)
    regime, description = describe(fluctuations, variance, finite_p, finite_d, noise > 0)
    dispersion = 0.0 if spectrum is None else spectrum.moment(2) - 1
    if dispersion > SMALL:
        description += " of overlaps in the eigenspaces, weights.overlaps(spectrum)"
    return Scales(
        fluctuations=fluctuations,
        variance=float(variance),
        finite_p=finite_p,
        finite_d=finite_d,
        plateau=float(learning_rate * noise / (4 * p) * gains.mean()),
        regime=regime,
        description=description,
        dispersion=dispersion,
    )


def half_way(p: int, k: int) -> Overlaps:
    """Unit norms, student i at cosine 1/2 with target i mod k, independent otherwise.

    Examples
    --------
    >>> half_way(2, 1).Q
    array([[1.  , 0.25],
           [0.25, 1.  ]])
    """
    p, k = check_integer("p", p, 1), check_integer("k", k, 1)
    check_fits_in_memory("p" if p > k else "k", max(p, k), 4 * (p + k) ** 2)
    M = np.zeros((p, k))
    M[np.arange(p), np.arange(p) % k] = 0.5
    return Overlaps(M @ M.T + 0.75 * np.eye(p), M, np.eye(k))


def phase(kappa: float, delta: float) -> tuple[str, float]:
    """The phase of γ = γ₀ d^(−δ), p = p₀ d^κ as d → ∞, and the exponent of its clock.

    The name is "perfect learning", "plateau", "bad learning" or "no ODE"; a unit of time is d^clock
    steps, nan where there is no ODE.  Source: Veiga et al., NeurIPS 2022 (arXiv:2202.00293).

    Parameters
    ----------
    kappa, delta : float
        κ >= 0, and δ.

    Examples
    --------
    >>> phase(0.0, 0.5), phase(0.0, -0.25)
    (('perfect learning', 1.5), ('bad learning', 0.5))
    """
    kappa, delta = check_non_negative("kappa", kappa), check_real("delta", delta)
    total = kappa + delta
    if total > 0:
        return "perfect learning", 1 + total
    if total == 0:
        return "plateau", 1.0
    if -delta < (kappa + 1) / 2:
        return "bad learning", 1 + 2 * total
    return "no ODE", math.nan


def describe(
    fluctuations: float, variance: float, finite_p: float, finite_d: float, noisy: bool
) -> tuple[str, str]:
    """Name and description that follow from the sizes of the terms; see `Scales`."""
    many, far = finite_p < SMALL, finite_d < SMALL
    if fluctuations > SMALL:
        return "no ODE: SGD fluctuates", "simulate(...)"
    if variance > SMALL:
        name = "high-dimensional" if variance < 1 / SMALL else "dominated by the variance"
        return name, 'solve(..., terms="full")'
    if many and far:
        return "mean field, high-dimensional", "solve_mean_field(..., d=math.inf)"
    if many:
        return "mean field, low-dimensional", "solve_mean_field(..., d=d)"
    if noisy:
        return "gradient flow, then a plateau", 'solve(..., terms="gradient-flow+noise")'
    return "gradient flow", 'solve(..., terms="gradient-flow")'
