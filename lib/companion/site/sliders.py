"""Sphinx extension: the directive ``{slider}``, a question that is answered by moving a slider.

Every curve of every position is computed by the package when the book is built, and put down as
the path of an SVG.  The page's script only exchanges paths; without it, and on paper, the picture
of the first position stands there.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

import twolayer as tl
from companion.claims.typeset import typeset

from .loaded import loads

#: A curve: times and excess risks.
Curve = tuple[np.ndarray, np.ndarray]

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 640, 300, 62, 44, 12, 12
TIMES = np.geomspace(0.1, 1e4, 100)


@dataclass(frozen=True)
class Slider:
    """A question, what moves, and the curve at each of its values beside one that stays.

    `names` are those of the curve that stays and of the one that moves; risks are drawn from `low`
    to `high`.
    """

    question: str
    symbol: str
    values: tuple[float, ...]
    begin: int
    names: tuple[str, str]
    still: Callable[[], Curve]
    moved: Callable[[float], Curve]
    low: float
    high: float
    alt: str


def _solved(task: tl.Task, start: tl.Overlaps, **how: Any) -> Curve:
    path = tl.solve(task, start, t_eval=TIMES, rtol=1e-8, atol=1e-11, progress=False, **how)
    return path.t, path.excess_risk


def _descent(start: tl.Overlaps) -> Curve:
    return _solved(tl.Task("erf"), start, terms="gradient-flow")


def _in_span(p: int, k: int) -> tl.Overlaps:
    return tl.Weights.in_target_span(p=p, k=k, d=k).overlaps()


def _gaussian(p: int, d: int) -> tl.Overlaps:
    return tl.Weights.gaussian(p=p, k=2, d=d, seed=0).overlaps()


def of_noise(noise: float) -> Curve:
    """The flow with label noise Δ, of figure 4."""
    task, how = tl.Task("erf", noise=noise), {"learning_rate": 0.05}
    return _solved(task, _in_span(8, 4), terms="gradient-flow+noise", **how)


def of_rate(rate: float) -> Curve:
    """The full flow at γ/p, p = k = 2, Δ = 0.01."""
    return _solved(tl.Task("erf", noise=0.01), _gaussian(2, 1000), learning_rate=2 * rate)


def of_dimension(d: float) -> Curve:
    """A run of SGD in d dimensions, γ = 0.5."""
    how = {"d": int(d), "learning_rate": 0.5, "t_eval": TIMES[TIMES <= 100], "progress": False}
    run = tl.simulate(tl.Task("erf"), _in_span(4, 2), **how)
    return run.t, run.excess_risk[0]


SLIDERS: dict[str, Slider] = {
    "noise": Slider(
        "What happens to the plateau if the labels are noisier?",
        "Δ",
        (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0),
        4,
        ("without noise", "with noise"),
        lambda: _descent(_in_span(8, 4)),
        of_noise,
        1e-7,
        1e-1,
        "Excess risk against time: without label noise it falls for ever, with noise it ends on a "
        "plateau whose height is proportional to the noise.",
    ),
    "rate": Slider(
        "What happens to the plateaus if the steps are larger?",
        "γ/p",
        (0.01, 0.03, 0.1, 0.3, 1.0, 2.0, 3.0, 4.0),
        4,
        ("gradient flow", "all terms"),
        lambda: _descent(_gaussian(2, 1000)),
        of_rate,
        1e-6,
        1.0,
        "Excess risk against time: the larger the learning rate, the higher the last plateau, and "
        "near the critical rate learning fails.",
    ),
    "dimension": Slider(
        "How large must d be for one run to follow the ODE?",
        "d",
        (4, 10, 30, 100, 300, 1000, 10000),
        1,
        ("the ODE", "one run of SGD"),
        lambda: _solved(tl.Task("erf"), _in_span(4, 2), learning_rate=0.5),
        of_dimension,
        1e-6,
        1.0,
        "Excess risk against time: the ODE does not change with the dimension; a single run strays "
        "from it in few dimensions and follows it in many.",
    ),
    "students": Slider(
        "How many neurons make a mean field?",
        "p",
        (2, 3, 4, 6, 10, 20, 50, 100),
        2,
        ("p = 200", "p neurons"),
        lambda: _descent(_gaussian(200, 5)),
        lambda p: _descent(_gaussian(int(p), 5)),
        1e-6,
        1.0,
        "Excess risk against time of gradient flow with few neurons and with two hundred: the "
        "more neurons, the nearer.",
    ),
    "phase": Slider(
        "Where does the noise of SGD stop to matter?",
        "κ + δ",
        (-0.1, 0.0, 0.1, 0.25, 0.5, 0.75, 1.0),
        2,
        ("gradient flow", "all terms"),
        lambda: _descent(_gaussian(2, 1000)),
        lambda exponent: of_rate(1e4**-exponent),
        1e-8,
        1.0,
        "Excess risk against time in ten thousand dimensions: the larger the sum of the exponents "
        "of width and learning rate, the nearer is the full flow to gradient flow.",
    ),
}


def place(t: np.ndarray, risk: np.ndarray, low: float, high: float) -> tuple[np.ndarray, ...]:
    """Where a curve's points are in the picture, in its units; cut off below and above."""
    x = LEFT + (WIDTH - LEFT - RIGHT) * np.log(t / TIMES[0]) / np.log(TIMES[-1] / TIMES[0])
    share = np.log(np.clip(risk, low, high) / low) / np.log(high / low)
    return x, HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * share


def path(curve: Curve, low: float, high: float) -> str:
    """A curve as the path of an SVG.

    Examples
    --------
    >>> path((np.array([0.1, 1e4]), np.array([1.0, 0.1])), 0.1, 1.0)
    'M62 12L628 256'
    """
    seen = curve[0] > 0
    points = zip(*place(curve[0][seen], curve[1][seen], low, high), strict=True)
    return "M" + "L".join(f"{x:.4g} {y:.4g}" for x, y in points)


@cache
def paths(name: str) -> tuple[str, list[str]]:
    """The curve of a slider that stays, and the other at each of its values."""
    slider = SLIDERS[name]
    draw = partial(path, low=slider.low, high=slider.high)
    return draw(slider.still()), [draw(slider.moved(value)) for value in slider.values]


def _axes(slider: Slider) -> str:
    """Frame, grid and labels."""
    parts = []
    for power in range(-1, 5):
        (x,), _ = place(np.array([10.0**power]), np.array([1.0]), slider.low, slider.high)
        label = typeset(f"1e{power}") if power else "1"
        parts.append(f'<path class="slider-grid" d="M{x:.4g} {TOP}V{HEIGHT - BOTTOM}"/>')
        parts.append(
            f'<text x="{x:.4g}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{label}</text>'
        )
    powers = range(round(np.log10(slider.low)), round(np.log10(slider.high)) + 1)
    for power in powers[:: -(-len(powers) // 6)]:
        _, (y,) = place(np.array([1.0]), np.array([10.0**power]), slider.low, slider.high)
        label = typeset(f"1e{power}") if power else "1"
        parts.append(f'<path class="slider-grid" d="M{LEFT} {y:.4g}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 5:.4g}" text-anchor="end">{label}</text>')
    middle = (HEIGHT - BOTTOM) / 2
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 6}" text-anchor="middle">time t</text>')
    parts.append(
        f'<text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">'
        "excess risk</text>"
    )
    return "".join(parts)


def markup(name: str) -> str:
    """The slider as HTML: its question, the picture, and the numbers for the script."""
    slider, (still, moved) = SLIDERS[name], paths(name)
    labels = [typeset(f"{slider.symbol} = {value:g}") for value in slider.values]
    curves = "".join(
        f'<path class="slider-{number}" d="{drawn}"/>'
        for number, drawn in enumerate((still, moved[slider.begin]))
    )
    keys = "".join(
        f'<span class="slider-key slider-key-{number}">{html.escape(text)}</span>'
        for number, text in enumerate(slider.names)
    )
    data = json.dumps({"paths": moved, "labels": labels}, separators=(",", ":"), ensure_ascii=False)
    return (
        f'<figure class="slider" id="slider-{name}"><p><strong>{html.escape(slider.question)}'
        f'</strong></p><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{html.escape(slider.alt)}">{_axes(slider)}{curves}</svg><div class="slider-'
        f'controls">{keys}<label>{html.escape(slider.symbol)} <input type="range" min="0" '
        f'max="{len(labels) - 1}" value="{slider.begin}" aria-valuetext="{labels[slider.begin]}">'
        f"</label><output>{labels[slider.begin]}</output></div>"
        f'<script type="application/json">{data}</script></figure>'
    )


class SliderDirective(SphinxDirective):
    """``{slider} name``: one of `SLIDERS`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The slider, computed once a build."""
        name = self.arguments[0]
        if name not in SLIDERS:
            raise ExtensionError(f"no slider {name!r}, but {', '.join(SLIDERS)}")
        self.env.metadata[self.env.docname]["slider"] = True
        self.env.note_dependency(__file__)
        return [nodes.raw("", markup(name), format="html")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive and the event."""
    app.add_directive("slider", SliderDirective)
    app.connect("html-page-context", loads("slider"))
    return {"version": "1", "parallel_read_safe": True}
