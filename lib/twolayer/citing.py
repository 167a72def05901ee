"""`citation`: what to cite with a result, as BibTeX."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from importlib import resources

from twolayer.results.mean_field_trajectory import MeanFieldTrajectory
from twolayer.results.result import Result
from twolayer.support.checks import InvalidInput, shown
from twolayer.theory.linear_noise import Fluctuations


def _has(name: str) -> Callable[[Result], bool]:
    """Whether students or targets have this activation."""
    return lambda result: name in (result.task.activation.name, result.task.target_activation.name)


def _is_mean_field(result: Result) -> bool:
    return isinstance(result, MeanFieldTrajectory)


#: Key of the bibliography → whether that work stands behind a result.
BEHIND: dict[str, Callable[[Result], bool]] = {
    "saad1995exact": lambda result: result.task.closed and _has("erf")(result),
    "cho2009kernel": _has("relu"),
    "bartlett1933": lambda result: result.provenance.get("method") == "projected",
    "arnaboldi2023escaping": lambda result: result.parameters.get("norm") == "fixed",
    **dict.fromkeys(("mei2018", "chizat2018", "rotskoff2022", "sirignano2020"), _is_mean_field),
}
#: Behind the covariance of SGD.
_NOISE = "vankampen2007"


def citation(result: Result | Fluctuations | None = None) -> str:
    """BibTeX of the paper, of this package, and of the works that a result rests on.

    Parameters
    ----------
    result : Trajectory, MeanFieldTrajectory or Fluctuations, optional
        Of `solve`, `simulate`, `solve_mean_field` or `fluctuations`; without it, paper and
        package alone.

    Examples
    --------
    >>> import twolayer as tl
    >>> start = tl.Weights.in_target_span(p=4, k=2, d=10**4)
    >>> run = tl.simulate(tl.Task("erf"), start, learning_rate=0.1, t_eval=[1e-3])
    >>> [line for line in tl.citation(run).splitlines() if line.startswith("@")][2:]
    ['@article{saad1995exact,', '@article{bartlett1933,']
    """
    keys = ["arnaboldi2023", "twolayer"]
    if isinstance(result, Fluctuations):
        keys.append(_NOISE)
        result = result.trajectory
    if result is not None:
        if not isinstance(result, Result):
            raise InvalidInput("result", shown(result), "what solve or simulate returns, or None")
        keys += [key for key, stands_behind in BEHIND.items() if stands_behind(result)]
    return "\n".join(entries()[key] for key in keys)


@cache
def entries() -> dict[str, str]:
    """The bibliography of the book: key → BibTeX entry."""
    text = resources.files("twolayer").joinpath("references.bib").read_text("utf-8")
    found = re.finditer(r"@\w+\{(\w+),.*?\n\}", text, re.DOTALL)
    return {entry[1]: entry[0] for entry in found}
