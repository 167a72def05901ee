"""Claims of the paper, measured: a number, its uncertainty, and the verdict that follows.

Notebooks measure, and `publishing` writes it down; the book's `tables` are made from that.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import floor, isinf, log10
from typing import Any

import numpy as np

from twolayer.support.checks import InvalidInput, check_array, check_non_negative, check_real, shown

#: What each claim says, in our words; the table of the book has one group for each.
CLAIMS: dict[int, str] = {
    1: "Given Ω(0), gradient flow does not depend on the dimension (figure 2 right)",
    2: "Specialisation has two phases: together, then apart (figure 2 left)",
    3: "The plateau is proportional to Δ and to γ/p (figure 4; Goldt et al. 2019)",
    4: "In high dimension the ODE is right with Ψ^Var and wrong without",
    5: "SGD deviates from the ODE by at most the order of √(γ/(pd)) (theorem 1)",
    6: "The mean field errs by at most the order of 1/√p, its high-dimensional limit by 1/√d "
    "(theorems 2 and 3)",
    7: "At low d the directions Ξ outside the target span matter: for square from the start, "
    "for erf at late times (figures 3 and 5)",
    8: "Students in the span of the targets stay there: Q^⊥ = 0 is invariant (figure 5 a)",
    9: "In the mean-field regime the weights end in the span of the targets (figure 5 d)",
    10: "The plane of γ = γ₀ d^(−δ), p = p₀ d^κ has three phases, each with its own clock "
    "(Veiga et al. 2022)",
}


@dataclass(frozen=True)
class Measurement:
    """One measured number behind a claim, with what the paper says of it.

    `error` is a standard error (0 if the value is computed, not sampled); `low` and `high` bound
    the range in which the paper's statement holds; `note` is the reason, if the verdict is no
    plain yes.

    Examples
    --------
    >>> m = Measurement(3, "exponent of the plateau in Δ", "1", 0.99, 0.01, 0.95, 1.05)
    >>> m.measured, m.verdict
    ('0.990 ± 0.010', 'yes')
    """

    claim: int
    quantity: str
    paper: str
    value: float
    error: float
    low: float
    high: float
    note: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.claim, int) or self.claim not in CLAIMS:
            raise InvalidInput("claim", shown(self.claim), f"one of {', '.join(map(str, CLAIMS))}")
        for name in ("quantity", "paper", "note"):
            if not isinstance(getattr(self, name), str):
                raise InvalidInput(name, shown(getattr(self, name)), "text")
        check_real("value", self.value)
        check_non_negative("error", self.error)
        for name in ("low", "high"):  # -∞ and ∞ leave a side open
            bound = getattr(self, name)
            if not (isinstance(bound, float) and isinf(bound)):
                check_real(name, bound)

    @property
    def verdict(self) -> str:
        """If value ± 2 errors is within low and high "yes", without "no", partly "consistent".

        Examples
        --------
        >>> Measurement(3, "exponent in Δ", "1", 0.97, 0.02, 0.95, 1.05).verdict
        'consistent'
        """
        least, most = self.value - 2 * self.error, self.value + 2 * self.error
        if self.low <= least and most <= self.high:
            return "yes"
        return "no" if most < self.low or least > self.high else "consistent"

    @property
    def measured(self) -> str:
        """The value with its error, as many digits as that allows."""
        return with_error(self.value, self.error)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for the JSON that a notebook publishes, verdict included."""
        return asdict(self) | {"measured": self.measured, "verdict": self.verdict}


def mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """Mean of at least two independent values, and its standard error.

    Examples
    --------
    >>> mean_and_error(np.array([0.0, 2.0]))
    (1.0, 1.0)
    """
    values = check_array("values", values, (None,))
    if len(values) < 2:
        raise InvalidInput("values", shown(values), "at least two")
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))


def exponent(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """The power law y ∝ x^e fitted to points with several independent values each.

    Parameters
    ----------
    x : array, shape (n,)
        At least three, positive.
    y : array, shape (R, n) or (n,)
        Positive.  With R > 1 rows the fit is repeated row by row and the error is that of
        the mean; with one, it is the error of the regression.

    Examples
    --------
    >>> e, error = exponent(np.array([1.0, 10.0, 100.0]), np.array([2.0, 0.2, 0.02]))
    >>> round(e, 6), error < 1e-6
    (-1.0, True)
    """
    x = _positive("x", check_array("x", x, (None,)))
    try:
        y = check_array("y", y, (None, len(x)))
    except InvalidInput:  # one row?
        y = check_array("y", [y], (None, len(x)))
    y = _positive("y", y)
    if len(x) < 3 or np.ptp(x) == 0:
        raise InvalidInput("x", shown(x), "at least three, not all the same")
    log_x, log_y = np.log(x), np.log(y)
    centred = log_x - log_x.mean()
    slopes = log_y @ centred / (centred @ centred)
    if len(slopes) > 1:
        return mean_and_error(slopes)
    residual = log_y[0] - log_y[0].mean() - slopes[0] * centred
    variance = residual @ residual / max(1, len(log_x) - 2) / (centred @ centred)
    return float(slopes[0]), float(np.sqrt(variance))


def _positive(argument: str, values: np.ndarray) -> np.ndarray:
    if values.min() <= 0:
        raise InvalidInput(argument, f"a smallest entry of {values.min():.3g}", "> 0")
    return values


def with_error(value: float, error: float) -> str:
    """A number with two digits of its error; with four significant digits if that is 0.

    Examples
    --------
    >>> with_error(1.01234, 0.0123), with_error(2.03e-5, 0.0), with_error(2.03e-5, 1.1e-6)
    ('1.012 ± 0.012', '2.03e-05', '(2.03 ± 0.11)e-05')
    """
    value, error = check_real("value", value), check_non_negative("error", error)
    if error == 0:
        return f"{value:.4g}"
    size = floor(log10(max(abs(value), error)))
    scale, power = (1.0, "") if -3 <= size <= 4 else (10.0**size, f"e{size:+03d}")
    digits = max(0, 1 - floor(log10(error / scale)))
    text = f"{value / scale:.{digits}f} ± {error / scale:.{digits}f}"
    return f"({text}){power}" if power else text
