"""Sphinx extension: the directive ``{explorer}``, and everything that it loads.

What it loads is made by `explorer_files`, in a process that has nothing of its user's.  It is kept
in ``.cache`` under the hash of the package's source and becomes ``_static/explorer``; the triangle
alone, which takes long, under the hash of what computes it.
"""

from __future__ import annotations

import html
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from companion.figures.surroundings import environment
from twolayer.explorer.widget import info
from twolayer.support.sources import digest_of

from .cached import made_once
from .explorer_files import digest

#: The page that has the explorer; without it nothing is computed.
PAGE = "explore"
MEGABYTES = 37
ALT = (
    "Three panels, one for each corner of the triangle: excess risk against time. In all three "
    "the ODE follows gradient flow at first. It leaves it for a plateau, which is highest in the "
    "high-dimensional corner. In the third the curves lie near that of the mean field."
)

#: A walk through the triangle: where to, by the steps from its corners, and what to see there.
STEPS = (
    ("3,3", "The middle", "Neither small steps, nor many inputs, nor many students."),
    ("10,0", "Up", "Small steps: the ODE follows gradient flow for longer, to a lower plateau."),
    ("0,10", "Left", "Many inputs instead: it leaves gradient flow soon, for the highest plateau."),
    ("5,5", "Half of the way up", "A plateau between these two."),
    ("0,0", "Right", "Many students: all curves come together, and near that of infinitely many."),
)


def prepare(cache: Path) -> Path:
    """The folder of everything, below `cache`."""
    own = digest_of("companion.site.triangle_grid")
    computed = made_once(cache / f"triangle-{own}", lambda place: _call("compute", place))
    return made_once(cache / f"explorer-{digest()}", lambda place: _call("fill", place, computed))


def _call(name: str, *folders: Path) -> None:
    """A function of `explorer_files`, in a process of its own."""
    code = f"import sys; from companion.site.explorer_files import {name}; {name}(*sys.argv[1:])"
    with tempfile.TemporaryDirectory(prefix="explorer-") as home:
        # One thread each: the matrices are small, and the processes share the cores.
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, folders)],
            env=environment(Path(home), 1),
            cwd=home,
        )
    if done.returncode:
        raise ExtensionError("the explorer's curves could not be computed: see above")


def use(app: Sphinx, config: Any) -> None:
    """Take the folder, and a self-hosted Pyodide if one is wanted, into ``_static``."""
    if not (Path(app.srcdir) / f"{PAGE}.md").is_file():
        return
    cache = Path(app.srcdir).parent / ".cache"
    config.html_static_path = [*config.html_static_path, str(prepare(cache))]
    if "://" not in config.live_base:
        copy = cache / "live"
        if not (copy / "pyodide/pyodide.js").is_file():
            raise ExtensionError(
                f"live_base is {config.live_base!r}, a folder of the site, but there is no copy of "
                "Pyodide: unpack its release there, as pyodide/"
            )
        config.html_static_path = [*config.html_static_path, str(copy)]


class ExplorerDirective(SphinxDirective):
    """``{explorer}``: the explorer, with a picture for readers without JavaScript."""

    def run(self) -> list[nodes.Node]:
        """Raw HTML; scripts are classic ones, so that a page opened from a file works too."""
        up = "../" * self.env.docname.count("/")
        files = f"{up}_static/explorer/"
        base = self.config.live_base
        base = base if "://" in base else up + base
        host = base.split("/")[2] if "://" in base else "this site"
        note = (
            "Drag the point, or use the arrow keys. "
            f"Run live loads Python here: {MEGABYTES} MB from {host}."
        )
        data = json.dumps({"info": info(), "note": note}).replace("</", "<\\/")
        # The scripts' address changes with their content: no old copy from a browser's cache.
        version = digest()
        scripts = "".join(
            f'<script src="{files}{name}.js?v={version}"></script>'
            for name in ("explorer", "grid", "page")
        )
        markup = (
            f'<link rel="stylesheet" href="{files}explorer.css?v={version}">'
            f'<div class="tlx-host"><div class="tlx-static"><img src="{files}corners.svg" '
            f'alt="{html.escape(ALT)}" style="width:100%;background:white">'
            "<p>The three corners, computed by the package. With JavaScript this is an explorer: "
            "drag a point through the triangle and the curves, neurons and overlaps follow.</p>"
            f'</div><div class="twolayer-explorer" data-files="{files}" '
            f'data-live-base="{html.escape(base)}"><script type="application/json">{data}</script>'
            f"</div></div>{_steps()}{scripts}"
        )
        return [nodes.raw("", markup, format="html")]


def _steps() -> str:
    """The walk as a list, which the script shows: without it the buttons would do nothing."""
    rows = "".join(
        f'<li><button type="button" data-at="{at}">{html.escape(name)}</button> '
        f"{html.escape(words)}</li>"
        for at, name, words in STEPS
    )
    walk = f'<strong>A walk</strong><ol class="tlx-steps">{rows}</ol>'
    return f'<div class="tlx-walk" hidden>{walk}</div>'


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive and the event."""
    app.add_config_value("live_base", "https://cdn.jsdelivr.net/pyodide/v0.27.7/full/", "env")
    app.add_directive("explorer", ExplorerDirective)
    app.connect("config-inited", use, priority=110)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
