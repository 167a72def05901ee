"""Sphinx extension: the directive ``{explorer}``, and everything that it loads.

The build computes the triangle (`twolayer.explorer.grid`), draws the picture for readers
without JavaScript, and zips the package for "Run live".  All of it is kept in ``.cache`` under
the hash of the package's source and becomes ``_static/explorer``.
"""

from __future__ import annotations

import hashlib
import html
import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

from cached import made_once
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

import twolayer
from twolayer.explorer import grid
from twolayer.explorer.widget import info
from twolayer.progress import bar as progress_bar

logger = logging.getLogger(__name__)

PACKAGE = Path(twolayer.__file__).parent
ASSETS = PACKAGE / "explorer/assets"
#: The page that has the explorer; without it nothing is computed.
PAGE = "explore"
MEGABYTES = 37
ALT = (
    "Three panels, one for each corner of the triangle: excess risk against time. In all three "
    "the ODE with all terms follows gradient flow at first; it leaves it for a plateau, highest "
    "in the high-dimensional corner, and stays with the mean field in the third."
)


def sources() -> list[Path]:
    """The files of the package, in a fixed order."""
    kinds = {".py", ".csv", ".bib", ".js", ".css"}
    return sorted(
        f for f in PACKAGE.rglob("*") if f.suffix in kinds and "__pycache__" not in f.parts
    )


def digest(base: bytes = b"") -> str:
    """What the folder's content depends on."""
    sha = hashlib.sha256(base + Path(__file__).read_bytes())
    for file in sources():
        sha.update(file.relative_to(PACKAGE).as_posix().encode() + b"\0" + file.read_bytes())
    return sha.hexdigest()[:16]


def zip_package(target: Path) -> None:
    """The package as an archive, the same bytes for the same source."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sources():
            name = f"twolayer/{file.relative_to(PACKAGE).as_posix()}"
            archive.writestr(zipfile.ZipInfo(name), file.read_bytes(), zipfile.ZIP_DEFLATED)


def draw(triangle: dict[str, Any], target: Path) -> None:
    """The three corners as a picture."""
    from matplotlib.figure import Figure

    from twolayer.colours import REGIMES

    n = triangle["resolution"]
    look = {
        "full": ("black", "-"),
        "gradient-flow": (REGIMES["gradient flow"], "--"),
        "mean-field-limit": (REGIMES["mean field"], ":"),
    }
    corners = {"gradient flow": f"{n},0", "high-dimensional": f"0,{n}", "mean field": "0,0"}
    figure = Figure(figsize=(6.9, 3.1), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    for ax, (name, key) in zip(axes, corners.items(), strict=True):
        point = triangle["points"][key]
        for curve in point["curves"]:
            colour, dash = look[curve["theory"]]
            ax.loglog(
                point["t"][1:], curve["excess_risk"][1:], dash, color=colour, label=curve["label"]
            )
        size = point["request"]
        title = f"{name}\nγ = {size['learning_rate']:.2g}, d = {size['d']}, p = {size['p']}"
        ax.set(xlabel="time t", ylim=(1e-6, 1))
        ax.set_title(title, fontsize=10)
    axes[0].set_ylabel("excess risk R − Δ/2")
    axes[2].legend(fontsize=10, frameon=False, loc="lower left")  # no curve falls as low there
    figure.savefig(target, metadata={"Date": None})


def prepare(cache: Path) -> Path:
    """The folder of everything, below `cache`."""
    return made_once(cache / f"explorer-{digest()}", fill)


def fill(place: Path) -> None:
    """Make everything, in the folder ``explorer`` of a place."""
    folder = place / "explorer"
    folder.mkdir()
    look = {"desc": "explorer", "bar_format": "{desc}: {percentage:3.0f}%|{bar}|"}
    with progress_bar(total=1.0, **look) as bar:
        triangle = grid.triangle_grid(
            jobs=os.cpu_count() or 1, done=lambda share: bar.update(share - bar.n)
        )
    text = json.dumps(triangle, separators=(",", ":"), allow_nan=False)
    (folder / "grid.js").write_text(f"window.twolayerGrid = {text};\n", "utf-8")
    module = (ASSETS / "explorer.js").read_text("utf-8")
    body, exported, end = module.rpartition("export default ")
    assert exported  # a module script would not load from a file
    script = f"{{\n{body}window.twolayerExplorer = {end}}}\n"
    (folder / "explorer.js").write_text(script, "utf-8")
    for name in ("explorer.css", "page.js", "worker.js"):
        shutil.copy(ASSETS / name, folder)
    zip_package(folder / "twolayer.zip")
    draw(triangle, folder / "corners.svg")


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
                "Pyodide: run python book/_ext/pyodide_copy.py first"
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
            f"</div></div>{scripts}"
        )
        return [nodes.raw("", markup, format="html")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive and the event."""
    app.add_config_value("live_base", "https://cdn.jsdelivr.net/pyodide/v0.27.7/full/", "env")
    app.add_directive("explorer", ExplorerDirective)
    app.connect("config-inited", use, priority=110)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
