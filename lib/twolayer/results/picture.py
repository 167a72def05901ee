"""One figure of a result: risk, overlaps and neurons along time; Matplotlib is needed here only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Okabe & Ito's and Tol's, which remain distinct under colour blindness: one for each target.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#882255", "#56B4E9", "#E69F00")
#: Once all colours are used.
_DASHES = ("-", "--", ":", "-.")
#: Curves in one panel, about.
_MOST = 60
#: Times that are further apart are on a logarithmic axis.
_FAR = 30.0


class MissingMatplotlib(ImportError):
    """There is no Matplotlib to draw with; the message says how to install it."""


def picture(
    t: np.ndarray, risk: np.ndarray, M: np.ndarray, norms: np.ndarray, a: np.ndarray, floor: float
) -> Figure:
    """Three panels: the risk of all runs, and overlaps and squared norms of one of them.

    Parameters
    ----------
    t : array, shape (T,)
    risk : array, shape ([R,] T)
    M : array, shape ([R,] T, p, k)
    norms, a : array, shape ([R,] T, p)
    floor : float
        Δ/2, drawn if it is above zero.

    Raises
    ------
    MissingMatplotlib
        An `ImportError`, if there is none.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        text = "plot needs Matplotlib: pip install twolayer[figures]"
        raise MissingMatplotlib(text) from error

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    if "inline" in plt.get_backend():  # a notebook shows what is returned; not twice
        plt.close(figure)
    _draw_risk(left, t, np.atleast_2d(risk), floor)
    runs = M.ndim == 4
    whole = np.isfinite(np.atleast_2d(risk)).all(1)
    run = int(whole.argmax())  # the first one that is
    M, norms, a = (x[run] if runs else x for x in (M, norms, a))
    neurons, targets = _some(M.shape[1], max(4, _MOST // M.shape[2])), _some(M.shape[2], _MOST)
    _draw_overlaps(middle, t, M, neurons, targets)
    _draw_neurons(right, t, norms, a, neurons)
    few = f", {neurons.size} of {M.shape[1]}" if neurons.size < M.shape[1] else ""
    of = f" (run {run}{few})" if runs else f" ({few[2:]})" if few else ""
    middle.set_title(f"overlaps M{of}")
    right.set_title(f"neurons{of}")
    for ax in (left, middle, right):
        ax.set_xlabel("time t, in p d/γ steps")
        positive = t[t > 0]
        if positive.size and positive[-1] > _FAR * positive[0]:
            ax.set_xscale("log")
    return figure


def _draw_risk(ax: Axes, t: np.ndarray, risk: np.ndarray, floor: float) -> None:
    many = len(risk) > 1
    for values in risk:
        style = {"lw": 0.8, "alpha": 0.5} if many else {"lw": 1.8}
        ax.plot(t, values, color=COLOURS[0], **_mark(t), **style)
    if many:
        # NaN from where one has ended: the mean of the others is another thing.
        ax.plot(t, risk.mean(0), color="black", lw=1.8, label=f"mean of {len(risk)} runs")
    if floor > 0:
        ax.axhline(floor, color="black", lw=0.8, ls="--", label="label noise alone, Δ/2")
    known = risk[np.isfinite(risk)]
    if known.size and known.min() > 0:
        ax.set_yscale("log")
    ax.set_title("population risk R")
    if many or floor > 0:
        ax.legend(fontsize="small")


def _draw_overlaps(
    ax: Axes, t: np.ndarray, M: np.ndarray, neurons: np.ndarray, targets: np.ndarray
) -> None:
    for r in targets:
        colour, dash = COLOURS[r % len(COLOURS)], _DASHES[r // len(COLOURS) % len(_DASHES)]
        for n, i in enumerate(neurons):
            label = f"target {r}" if n == 0 and r < 2 * len(COLOURS) else None
            ax.plot(t, M[:, i, r], color=colour, ls=dash, lw=1.0, label=label, **_mark(t))
    ax.legend(fontsize="small")


def _draw_neurons(
    ax: Axes, t: np.ndarray, norms: np.ndarray, a: np.ndarray, neurons: np.ndarray
) -> None:
    moves = bool((a[:, neurons] != a[:1, neurons]).any())
    for n, i in enumerate(neurons):
        label = "squared norm, Q_ii" if n == 0 else None
        ax.plot(t, norms[:, i], color=COLOURS[3], lw=1.0, label=label, **_mark(t))
        if moves:
            label = "second layer, a_i" if n == 0 else None
            ax.plot(t, a[:, i], color=COLOURS[4], ls="--", lw=1.0, label=label, **_mark(t))
    ax.legend(fontsize="small")


def _mark(t: np.ndarray) -> dict[str, Any]:
    """Points, where a few times would make no curve."""
    return {"marker": "o", "ms": 3} if t.size <= 3 else {}


def _some(size: int, most: int) -> np.ndarray:
    """At most so many of the indices below `size`, evenly."""
    return np.unique(np.linspace(0, size - 1, min(size, most)).round().astype(int))
