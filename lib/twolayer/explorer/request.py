"""What the explorer is asked for: plain data, checked before any work."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from twolayer.activations.known import ACTIVATIONS
from twolayer.explorer import triangle
from twolayer.problem.overlaps import Weights
from twolayer.support.checks import (
    InvalidInput,
    check_choice,
    check_integer,
    check_non_negative,
    check_positive,
    shown,
)
from twolayer.support.threads import HAS_COMPILER

#: Initial laws, by name.
STARTS = {"gaussian": "Gaussian weights", "in_target_span": "in the span of the targets"}

#: What can be computed: name → words for a legend.
THEORIES = {
    "full": "ODE, all terms",
    "gradient-flow+noise": "ODE, label noise only",
    "gradient-flow": "gradient flow",
    "mean-field": "mean field of these p neurons",
    "mean-field-orthogonal": "mean field without Ξ (d = ∞)",
    "mean-field-limit": "mean field, p = ∞",
}
FLOWS = ("full", "gradient-flow+noise", "gradient-flow")

#: Largest number of students: with all terms, of the other flows, of particles.
MOST_WITH_ALL_TERMS, MOST_STUDENTS, MOST_PARTICLES = 64, 128, 1000
MOST_TARGETS = 8
#: Largest number of weights, p d.
MOST_WEIGHTS = 2_000_000
MOST_TIME, MOST_RUNS = 1e6, 64
#: Recorded times beside t = 0.
TIMES = 96
#: Student updates that SGD may take in all, compiled or not: some seconds.
BUDGET = 3e8 if HAS_COMPILER else 1e6
#: Nodes of the quadrature of the initial law in each direction.
ORDER = 8


@dataclass(frozen=True)
class Request:
    """One picture of the explorer.

    Attributes
    ----------
    activation : str
        One with closed forms.
    k, p, d : int
        Targets, students, dimension.
    learning_rate, noise : float
        γ and Δ.
    start : str
        A method of `Weights` in `STARTS`.
    seed : int
        Of the initial weights and of SGD.
    theories : tuple of str
        Names in `THEORIES`; the overlaps shown are those of the first.
    t_max : float
        Last time, in units of p d/γ steps.
    runs : int
        Runs of SGD; 0 for none.

    Examples
    --------
    >>> Request.from_dict({"p": 6, "runs": 2}).p
    6
    """

    activation: str = "erf"
    k: int = 2
    p: int = 8
    d: int = 100
    learning_rate: float = 0.5
    noise: float = 0.01
    start: str = "gaussian"
    seed: int = 1
    theories: tuple[str, ...] = ("full", "gradient-flow")
    t_max: float = 300.0
    runs: int = 0

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Request:
        """Check plain data, field → value; what is missing takes its default.

        ``"triangle": [a, b, c]`` sets γ, d and p; where these are too many students for all terms,
        as in the corner of the mean field, the label noise alone is kept of Ψ^Var.  Raises
        `InvalidInput` if a field is unknown or has no valid value, or the request is too large.
        """
        if not isinstance(values, Mapping):
            raise InvalidInput("request", shown(values), "a mapping from field to value")
        given = dict(values)
        known = {f.name: f.default for f in dataclasses.fields(cls)}
        at = given.pop("triangle", None)
        if at is not None:
            try:
                a, b, c = at
            except (TypeError, ValueError):
                raise triangle.no_weights(at) from None
            given["learning_rate"], given["d"], given["p"] = triangle.numbers(a, b, c)
        for name in given:
            check_choice("request", name, known)
        v = {**known, **given}
        theories = v["theories"]
        if not isinstance(theories, (list, tuple)) or not theories:
            raise InvalidInput("theories", shown(theories), f"some of {', '.join(THEORIES)}")
        theories = tuple(dict.fromkeys(check_choice("theories", t, THEORIES) for t in theories))
        p = check_integer("p", v["p"], 1)
        if at is not None and p > MOST_WITH_ALL_TERMS:
            less = ("gradient-flow+noise" if t == "full" else t for t in theories)
            theories = tuple(dict.fromkeys(less))
        request = cls(
            activation=check_choice("activation", v["activation"], ACTIVATIONS),
            k=check_integer("k", v["k"], 1),
            p=p,
            d=check_integer("d", v["d"], 1),
            learning_rate=check_positive("learning_rate", v["learning_rate"]),
            noise=check_non_negative("noise", v["noise"]),
            start=check_choice("start", v["start"], STARTS),
            seed=check_integer("seed", v["seed"], 0),
            theories=theories,
            t_max=check_positive("t_max", v["t_max"]),
            runs=check_integer("runs", v["runs"], 0),
        )
        request._check_size()
        return request

    def _check_size(self) -> None:
        most, hint = MOST_PARTICLES, ""
        if any(theory in FLOWS for theory in self.theories):
            most, hint = MOST_STUDENTS, f", or {MOST_PARTICLES} with mean-field theories alone"
        if "full" in self.theories:
            most, hint = MOST_WITH_ALL_TERMS, f", {MOST_STUDENTS} without the theory 'full'{hint}"
        too_large = " (too large for the explorer)"
        if self.k > MOST_TARGETS:
            raise InvalidInput("k", f"{self.k}{too_large}", f"at most {MOST_TARGETS}")
        if self.p > most:
            raise InvalidInput("p", f"{self.p}{too_large}", f"at most {most}{hint}")
        if self.p * self.d > MOST_WEIGHTS:
            raise InvalidInput(
                "p d", f"{self.p * self.d:,}{too_large}", f"at most {MOST_WEIGHTS:,}"
            )
        if self.t_max > MOST_TIME:
            raise InvalidInput("t_max", f"{self.t_max:g}", f"at most {MOST_TIME:g}")
        if self.runs > MOST_RUNS:
            raise InvalidInput("runs", str(self.runs), f"at most {MOST_RUNS}")
        if self.d < self.k:
            raise InvalidInput("d", str(self.d), f"at least k = {self.k}, for orthogonal targets")
        if "mean-field-limit" in self.theories and (self.start != "gaussian" or self.k > 3):
            got = f"mean-field-limit with start {self.start!r} and k = {self.k}"
            raise InvalidInput("theories", got, "for start 'gaussian' and k at most 3")

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data."""
        return {**dataclasses.asdict(self), "theories": list(self.theories)}

    def weights(self) -> Weights:
        """Students and targets at t = 0."""
        return getattr(Weights, self.start)(p=self.p, k=self.k, d=self.d, seed=self.seed)

    def times(self) -> np.ndarray:
        """Zero, then `TIMES` logarithmic times up to t_max."""
        return np.r_[0.0, np.geomspace(min(0.1, self.t_max / 1000), self.t_max, TIMES)]

    def sgd_times(self, budget: float = BUDGET) -> np.ndarray:
        """These times as far as a number of updates goes, at least one beside t = 0."""
        t, n = self.times(), min(self.d, self.p + self.k + 8)
        steps = t * self.p * self.d / self.learning_rate
        updates = steps * self.runs * self.p * max(n / 16, 1)
        return t[: max(2, int((updates <= budget).sum()))]
