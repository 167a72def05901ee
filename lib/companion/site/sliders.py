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

#: A curve: times and excess risks.
Curve = tuple[np.ndarray, np.ndarray]

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 640, 300, 62, 44, 12, 12
TIMES = np.geomspace(0.1, 1e4, 100)


@dataclass(frozen=True)
class Slider:
    """A question, what moves, and the curves at each of its values; the first is what is fixed.

    `names` are those of the curves, in order; risks are drawn from `low` to `high`.
    """

    question: str
    symbol: str
    values: tuple[float, ...]
    begin: int
    names: tuple[str, ...]
    curves: Callable[[float], tuple[Curve, ...]]
    low: float
    high: float
    alt: str


def _solved(task: tl.Task, start: tl.Overlaps, **how: Any) -> Curve:
    path = tl.solve(task, start, t_eval=TIMES, progress=False, **how)
    return path.t, path.excess_risk


@cache
def _committee(p: int, k: int) -> tl.Overlaps:
    return tl.Weights.gaussian(p=p, k=k, d=1000, seed=0).overlaps()


def of_noise(noise: float) -> tuple[Curve, ...]:
    """Gradient flow, and with label noise Δ, of figure 4."""
    task, start = tl.Task("erf", noise=noise), tl.Weights.in_target_span(p=8, k=4, d=4).overlaps()
    options = {"learning_rate": 0.05}
    still = _solved(task, start, terms="gradient-flow")
    return still, _solved(task, start, terms="gradient-flow+noise", **options)


def of_rate(rate: float) -> tuple[Curve, ...]:
    """Gradient flow and the full flow at γ/p, p = k = 2, Δ = 0.01."""
    task, start = tl.Task("erf", noise=0.01), _committee(2, 2)
    still = _solved(task, start, terms="gradient-flow")
    return still, _solved(task, start, learning_rate=2 * rate)


def of_dimension(d: float) -> tuple[Curve, ...]:
    """The one ODE, and a run of SGD in d dimensions from the same overlaps."""
    task = tl.Task("erf")
    start = tl.Weights.in_target_span(p=4, k=2, d=2).overlaps()
    times = TIMES[TIMES <= 100]
    run = tl.simulate(
        task, start, d=int(d), learning_rate=0.5, t_eval=times, seed=0, progress=False
    )
    return _solved(task, start, learning_rate=0.5), (run.t, run.excess_risk[0])


def of_students(p: float) -> tuple[Curve, ...]:
    """Gradient flow of 400 Gaussian students in five dimensions, and of p."""
    start = tl.Weights.gaussian(p=int(p), k=2, d=5, seed=0).overlaps()
    return _many_students(), _solved(tl.Task("erf"), start, terms="gradient-flow")


@cache
def _many_students() -> Curve:
    start = tl.Weights.gaussian(p=400, k=2, d=5, seed=0).overlaps()
    return _solved(tl.Task("erf"), start, terms="gradient-flow")


def of_phase(exponent: float) -> tuple[Curve, ...]:
    """Gradient flow and the full flow in d = 10⁴, p = 2, at γ/p = d^(−κ−δ), Δ = 0.01."""
    task, start = tl.Task("erf", noise=0.01), _committee(2, 2)
    still = _solved(task, start, terms="gradient-flow")
    return still, _solved(task, start, learning_rate=2 * 1e4**-exponent)


SLIDERS: dict[str, Slider] = {
    "noise": Slider(
        "What happens to the plateau if the labels are noisier?",
        "Δ",
        (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0),
        4,
        ("without noise", "with noise"),
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
        ("p = 400", "p neurons"),
        of_students,
        1e-6,
        1.0,
        "Excess risk against time of gradient flow with few neurons and with four hundred: the "
        "more neurons, the nearer.",
    ),
    "phase": Slider(
        "Where does the noise of SGD stop to matter?",
        "κ + δ",
        (-0.1, 0.0, 0.1, 0.25, 0.5, 0.75, 1.0),
        2,
        ("gradient flow", "all terms"),
        of_phase,
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
def paths(name: str) -> list[list[str]]:
    """All curves of a slider, for each of its values."""
    slider = SLIDERS[name]
    draw = partial(path, low=slider.low, high=slider.high)
    return [[draw(curve) for curve in slider.curves(value)] for value in slider.values]


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
    slider, found = SLIDERS[name], paths(name)
    labels = [typeset(f"{slider.symbol} = {value:g}") for value in slider.values]
    curves = "".join(
        f'<path class="slider-{number}" d="{drawn}"/>'
        for number, drawn in enumerate(found[slider.begin])
    )
    keys = "".join(
        f'<span class="slider-key slider-key-{number}">{html.escape(text)}</span>'
        for number, text in enumerate(slider.names)
    )
    data = json.dumps({"paths": found, "labels": labels}, separators=(",", ":"), ensure_ascii=False)
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
        return [nodes.raw("", markup(name), format="html")]


def add_files(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Load script and style where there is a slider."""
    if "slider" in app.env.metadata.get(page, {}):
        app.add_js_file("slider.js", loading_method="defer")
        app.add_css_file("slider.css")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive and the event."""
    app.add_directive("slider", SliderDirective)
    app.connect("html-page-context", add_files)
    return {"version": "1", "parallel_read_safe": True}
