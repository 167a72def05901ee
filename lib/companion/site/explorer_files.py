"""What the explorer's page loads: the triangle, a picture of its corners, and the package.

The picture is for readers without JavaScript, the package is zipped for "Run live".
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import twolayer
from companion.site.triangle_grid import figures, triangle_grid
from twolayer.support.progress import bar as progress_bar

PACKAGE = Path(twolayer.__file__).parent
ASSETS = PACKAGE / "explorer/assets", Path(__file__).parent / "assets"
KINDS = (".py", ".bib", ".js", ".css")
TRIANGLE = "triangle.json"


def sources() -> list[Path]:
    """The files of the package in a fixed order, without what editors leave beside them."""
    files = (f for kind in KINDS for f in PACKAGE.rglob(f"*{kind}") if f.is_file())
    named = ((f, f.relative_to(PACKAGE).with_suffix("").parts) for f in files)
    return sorted(file for file, parts in named if all(map(str.isidentifier, parts)))


def digest(base: bytes = b"") -> str:
    """What the folder's content depends on."""
    sha = hashlib.sha256(base)
    for file in Path(__file__).parent.rglob("*[!c]"):
        sha.update(file.read_bytes() if file.is_file() else b"")
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
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    from companion.drawing.colours import REGIMES

    n = triangle["resolution"]
    look = {
        "full": ("black", "-"),
        "gradient-flow+noise": ("black", "-."),
        "gradient-flow": (REGIMES["gradient flow"], "--"),
        "mean-field-limit": (REGIMES["mean field"], ":"),
    }
    corners = {"gradient flow": f"{n},0", "high-dimensional": f"0,{n}", "mean field": "0,0"}
    figure = Figure(figsize=(6.9, 3.6), layout="constrained")
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
    handles = {line.get_label(): line for ax in axes for line in ax.get_lines()}
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=2, frameon=False)
    with rc_context({"svg.hashsalt": "twolayer"}):  # the same bytes every time
        figure.savefig(target, metadata={"Date": None})


def compute(place: str) -> None:
    """The triangle and the paper's figures, in a place: what takes long."""
    jobs = os.cpu_count() or 1
    look = {"desc": "explorer", "bar_format": "{desc}: {percentage:3.0f}%|{bar}|"}
    with progress_bar(total=1.0, **look) as bar:
        triangle = triangle_grid(jobs=jobs, done=lambda share: bar.update(share - bar.n))
    triangle["presets"] = figures(jobs)
    text = json.dumps(triangle, separators=(",", ":"), allow_nan=False)
    Path(place, TRIANGLE).write_text(text, "utf-8")


def fill(place: str, computed: str) -> None:
    """Make everything, in the folder ``explorer`` of a place; the triangle is computed."""
    folder, text = Path(place, "explorer"), Path(computed, TRIANGLE).read_text("utf-8")
    folder.mkdir()
    (folder / "grid.js").write_text(f"window.twolayerGrid = {text};\n", "utf-8")
    package, page = ASSETS
    module = (package / "explorer.js").read_text("utf-8")
    body, exported, end = module.rpartition("export default ")
    assert exported  # a module script would not load from a file
    script = f"{{\n{body}window.twolayerExplorer = {end}}}\n"
    (folder / "explorer.js").write_text(script, "utf-8")
    for file in (package / "explorer.css", page / "page.js", page / "worker.js"):
        shutil.copy(file, folder)
    zip_package(folder / "twolayer.zip")
    draw(json.loads(text), folder / "corners.svg")
