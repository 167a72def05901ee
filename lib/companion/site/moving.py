"""Sphinx extension: the directive ``{moving}``, the first page's picture that moves.

It takes what the figure "idea" has published, the overlaps of the ODE and of SGD in several
dimensions, and hands neurons and risks to ``_static/moving.js`` as a few thousand numbers.
Readers without JavaScript, and paper, get the picture that stands in the figure's notebook.
"""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

import numpy as np
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from companion.figures.catalogue import output_folder
from twolayer import Trajectory

from .loaded import loads

#: The figure whose trajectories are shown.
FIGURE = "idea"
ALT = (
    "Left: neurons of a two-layer network in the plane of their cosines with two targets; under "
    "SGD in low dimension they wander about the paths that the ODE prescribes, in high dimension "
    "they stay on them. Right: the excess risk against time, markers of SGD on the ODE's line."
)


def frames(trajectory: Trajectory, wanted: np.ndarray) -> dict[str, Any]:
    """Cosines (neuron, time, target) and excess risk (time) of the first run, rounded.

    SGD stands still between its steps, so that a wanted time may show the state of another.
    """
    times = len(trajectory.t)
    at = np.abs(trajectory.t[:, None] - wanted).argmin(0)
    Q, M = (x.reshape(-1, times, *x.shape[-2:])[0] for x in (trajectory.Q, trajectory.M))
    norms = np.sqrt(np.diagonal(Q, axis1=1, axis2=2))
    cosines = M / norms[:, :, None] / np.sqrt(np.diag(trajectory.P))
    risk = np.atleast_2d(trajectory.excess_risk)[0]
    return {
        "t": [float(f"{t:.4g}") for t in trajectory.t[at]],
        "neurons": np.moveaxis(cosines[at], 1, 0).round(3).tolist(),
        "risk": [float(f"{value:.3g}") for value in risk[at]],
    }


def content(folder: Path) -> dict[str, Any]:
    """What the script draws: the ODE, and SGD by dimension."""
    ode = Trajectory.load(folder / f"{FIGURE}-ode.nc")
    files = sorted(folder.glob(f"{FIGURE}-sgd-*.nc"))
    runs = [Trajectory.load(file) for file in files]
    sgd = [{"d": run.parameters["d"], **frames(run, ode.t)} for run in runs]
    return {"ode": frames(ode, ode.t), "sgd": sgd}


class Moving(SphinxDirective):
    """``{moving}``: neurons and risk in motion."""

    def run(self) -> list[nodes.Node]:
        """The picture that stands, to be replaced, and the numbers for what moves."""
        folder = output_folder(Path(self.env.srcdir).parent)
        for file in (folder / f"{FIGURE}.json", *folder.glob(f"{FIGURE}-*.nc")):
            self.env.note_dependency(str(file))
        self.env.metadata[self.env.docname]["moving"] = True
        picture = nodes.image(uri=f"figures/{FIGURE}.svg", alt=ALT, width="100%")
        data = json.dumps(content(folder), separators=(",", ":")).replace("</", "<\\/")
        before = f'<div class="moving" role="group" aria-label="{html.escape(ALT)}"><noscript>'
        after = f'</noscript><script type="application/json">{data}</script></div>'
        return [nodes.raw("", before, format="html"), picture, nodes.raw("", after, format="html")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive and the event."""
    app.add_directive("moving", Moving)
    app.connect("html-page-context", loads("moving"))
    return {"version": "1", "parallel_read_safe": True}
