"""What a result says of itself in a few lines: what was run, from where to where, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Rows = list[tuple[str, str]]


def rows(
    t: np.ndarray,
    risk: np.ndarray,
    steps: np.ndarray | None,
    parameters: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> Rows:
    """Names and texts; of what is not known, as of a result made by hand, nothing.

    `t` and `steps` are of shape (T,), `risk` of shape ([R,] T).

    Examples
    --------
    >>> rows(np.array([0.0, 2.0]), np.array([0.5, 0.1]), None, {"d": 5}, {"seconds": 0.3})[1:]
    [('times', '2 from t = 0 to 2'), ('parameters', 'd=5'), ('seconds', '0.3')]
    """
    named = {"risk": _risk(t, risk), "times": _times(t, steps)}
    given = (f"{name}={value!r}" for name, value in parameters.items() if value is not None)
    named["parameters"] = ", ".join(given)
    method = (provenance.get(name) for name in ("method", "field", "why"))
    named["method"] = ": ".join(str(each) for each in method if each)
    named["ended"] = _ended(provenance)
    named["seconds"] = str(provenance.get("seconds", ""))
    return [(name, text) for name, text in named.items() if text]


def lines(title: str, named: Rows) -> str:
    """A title, and the rows below it in two columns.

    Examples
    --------
    >>> print(lines("Task", [("noise", "0"), ("p", "3")]))
    Task
      noise  0
      p      3
    """
    width = max((len(name) for name, _ in named), default=0)
    return "\n".join([title, *(f"  {name:{width}}  {text}" for name, text in named)])


def _risk(t: np.ndarray, risk: np.ndarray) -> str:
    if not t.size:
        return ""
    first, last = _of_runs(risk[..., 0]), _of_runs(risk[..., -1])
    return f"{first} at t = {t[0]:g}, {last} at t = {t[-1]:g}, label noise included"


def _of_runs(values: np.ndarray) -> str:
    """A number, or the mean and the spread of those runs that had not ended."""
    known = values[np.isfinite(values)]
    if not known.size:
        return "nothing known"
    if not values.ndim:
        return f"{float(values):.4g}"
    spread = f" ± {known.std(ddof=1):.2g}" if known.size > 1 else ""
    return f"{known.mean():.4g}{spread} ({known.size} of {values.size} runs)"


def _times(t: np.ndarray, steps: np.ndarray | None) -> str:
    if not t.size:
        return "none"
    of_steps = "" if steps is None else f", {steps[0]} to {steps[-1]} steps"
    return f"{t.size} from t = {t[0]:g} to {t[-1]:g}{of_steps}"


def _ended(provenance: Mapping[str, Any]) -> str:
    diverged, stopped = provenance.get("diverged"), provenance.get("stopped_at_risk")
    said = [f"runs {diverged} diverged"] if diverged else []
    if stopped:
        who = f"runs {stopped} " if isinstance(stopped, list) else ""
        said.append(f"{who}stopped at the risk asked for")
    return "; ".join(said)
