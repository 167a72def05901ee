"""Sphinx extension: what there is of every figure, and what the book was built on.

``{downloads}`` is a table of all files that the figures have published; ``{status}`` says with
which versions, from which commit and in what time they were made, and how the claims came out.
"""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from companion.claims.tables import counted, link, table, verdicts
from companion.figures.catalogue import load, output_folder
from companion.figures.freshness import run_of

from .repository import git

#: What a reader may ask for: what figures are computed with, then what pages are made with.
PACKAGES = ("twolayer", "numpy", "scipy", "numba", "xarray", "matplotlib", "papermill")
PACKAGES += ("jupyter-book", "sphinx", "myst-nb")
KINDS = ("svg", "pdf", "csv", "json")


def size(file: Path) -> str:
    """The size of a file, for people.

    Examples
    --------
    >>> size(Path(__file__)).endswith("kB")
    True
    """
    kilobytes = file.stat().st_size / 1000
    return f"{kilobytes:.0f} kB" if kilobytes < 1000 else f"{kilobytes / 1000:.1f} MB"


def downloads(root: Path) -> str:
    """The table of all files of all figures."""
    folder = output_folder(root)
    rows = []
    for name, figure in load(root).items():
        links = [f"{{download}}`{kind} <figures/{name}.{kind}>`" for kind in KINDS]
        kept = sorted(file for file in run_of(folder, name)["files"] if file.endswith(".nc"))
        trajectories = [
            f"{{download}}`{file.removeprefix(f'{name}-').removesuffix('.nc')} <figures/{file}>` "
            f"({size(folder / file)})"
            for file in kept
        ]
        rows.append([link(name, figure.title), *links, ", ".join(trajectories)])
    return table(("figure", "picture", "print", "table", "numbers", "trajectories (NetCDF)"), rows)


def commit(root: Path) -> str:
    """The commit that the clone is at, or "unknown"."""
    return git(root, "rev-parse", "--short=10", "HEAD") or "unknown"


def status(root: Path) -> str:
    """Versions, run times and verdicts, as Markdown."""
    folder = output_folder(root)
    versions = [["Python", platform.python_version()]]
    versions += [[name, metadata.version(name)] for name in PACKAGES]
    rows, total, seconds = [], Counter(), 0.0
    for name, figure in load(root).items():
        run = run_of(folder, name)
        claims = json.loads((folder / f"{name}.json").read_text("utf-8"))["claims"]
        counts = verdicts(claims)
        total += counts
        seconds += run["seconds"]
        took, memory = f"{run['seconds']:.1f}", str(run["megabytes_at_most"] or "")
        rows.append((link(name, figure.title), run["profile"], took, memory, counted(counts)))
    built = datetime.now(UTC)
    return "\n".join(
        [
            "## In short\n",
            f"Built on {built:%-d %B %Y} from commit `{commit(root)}` on {platform.system()}, "
            f"{platform.machine()}.  {len(rows)} figures took {seconds / 60:.1f} minutes of "
            f"notebooks in all.  Verdicts on the paper's claims: {counted(total)}.",
            "\n## Versions\n",
            table(("package", "version"), versions),
            "\n## Figures\n",
            table(("figure", "profile", "seconds", "MB at most", "verdicts"), rows),
        ]
    )


class Made(SphinxDirective):
    """Markdown that is made from what the figures have published."""

    text: Callable[[Path], str]

    def run(self) -> list[nodes.Node]:
        """The page, made anew with every change of a figure."""
        root = Path(self.env.srcdir).parent
        for file in output_folder(root).glob("[!.]*.json"):
            self.env.note_dependency(str(file))
        return self.parse_text_to_nodes(type(self).text(root), allow_section_headings=True)


class Downloads(Made):
    """``{downloads}``: every file of every figure."""

    text = staticmethod(downloads)


class Status(Made):
    """``{status}``: versions, run times, verdicts."""

    text = staticmethod(status)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("downloads", Downloads)
    app.add_directive("status", Status)
    return {"version": "1", "parallel_read_safe": True}
