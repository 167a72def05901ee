"""Sphinx extension: the directive ``{calculator}``, "Which regime am I in?" with four sliders.

What `twolayer.regimes.scales` says is tabulated when the book is built, so that the script only
looks it up: the size of Ψ^Var for every number of students and label noise at γ = 1, and the name
of the regime for every combination of terms that are small.
"""

from __future__ import annotations

import html
import itertools
import json
from functools import cache
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from companion.claims.typeset import typeset
from twolayer import regimes

from .loaded import loads

DIMENSIONS = (1, 3, 10, 30, 100, 300, 1000, 10_000, 100_000, 1_000_000)
STUDENTS = (1, 2, 3, 5, 10, 20, 50, 100, 300, 1000, 10_000, 100_000)
RATES = (0.001, 0.01, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
NOISES = (0.0, 1e-4, 1e-3, 1e-2, 0.1, 1.0)
#: Symbol, what it is, values, and where the slider begins.
SLIDERS = (
    ("d", "dimension", DIMENSIONS, 3),
    ("p", "students", STUDENTS, 6),
    ("γ", "learning rate", RATES, 4),
    ("Δ", "label noise", NOISES, 0),
)
TRIANGLE = (("gradient flow", 160, 14), ("high-dimensional", 40, 176), ("mean field", 280, 176))


@cache
def content() -> dict[str, Any]:
    """What the script looks up."""
    points = [[regimes.scales(2, p, 1.0, noise) for p in STUDENTS] for noise in NOISES]
    names = {}
    for small in itertools.product((False, True), repeat=5):
        sizes = [regimes.SMALL / 2 if each else 2 * regimes.SMALL for each in small[:4]]
        names["".join(str(int(each)) for each in small)] = regimes.describe(*sizes, small[4])
    return {
        "values": [values for _, _, values, _ in SLIDERS],
        "variance": [[point.variance for point in row] for row in points],
        "plateau": [[point.plateau for point in row] for row in points],
        "small": regimes.SMALL,
        "names": names,
        "dominated": regimes.describe(0.0, 2 / regimes.SMALL, 1.0, 1.0, False),
        "corners": [corner[1:] for corner in TRIANGLE],
    }


def markup() -> str:
    """The calculator as HTML; the script fills in what it says."""
    rows = "".join(
        f'<label><span>{word} <var>{symbol}</var></span><input type="range" min="0" '
        f'max="{len(values) - 1}" value="{begin}"><output>{typeset(f"{values[begin]:g}")}</output>'
        "</label>"
        for symbol, word, values, begin in SLIDERS
    )
    outline = "L".join(f"{x} {y}" for _, x, y in TRIANGLE)
    corners = "".join(
        f'<text x="{x}" y="{y + (18 if y > 99 else -2)}" text-anchor="middle">{name}</text>'
        for name, x, y in TRIANGLE
    )
    values = [each[2][each[3]] for each in SLIDERS]
    first = regimes.scales(int(values[0]), int(values[1]), values[2], values[3])
    said = f"{first.regime}: {first.description}"
    data = json.dumps(content(), separators=(",", ":"), ensure_ascii=False)
    return (
        '<div class="calculator" role="group" aria-label="Which regime am I in?">'
        f'<div class="calculator-sliders">{rows}</div>'
        f'<svg viewBox="-40 0 400 200" role="img" aria-label="The point in the triangle">'
        f'<path d="M{outline}Z"/>{corners}<circle r="7" cx="160" cy="122"/></svg>'
        f'<p class="calculator-answer" role="status">{html.escape(said)}</p>'
        '<ul class="calculator-sizes"></ul>'
        f'<script type="application/json">{data}</script></div>'
    )


class Calculator(SphinxDirective):
    """``{calculator}``: four sliders, and what they mean."""

    def run(self) -> list[nodes.Node]:
        """The calculator."""
        self.env.metadata[self.env.docname]["calculator"] = True
        return [nodes.raw("", markup(), format="html")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive and the event."""
    app.add_directive("calculator", Calculator)
    app.connect("html-page-context", loads("calculator"))
    return {"version": "1", "parallel_read_safe": True}
