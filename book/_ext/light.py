"""Sphinx extension: pages that load quickly.

When the site is written, what no page uses is taken out of it.  The theme brings all of Font
Awesome as a script of 1.5 MB although its style sheet has every icon as a font: the script
goes.  The search index is loaded by the page that searches.  Paths in pictures are rounded to a
hundredth of a point, and all pictures but the first of a page wait until they are near.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

_ICON_SCRIPT = re.compile(r"\s*<(?:script|link)\b[^>]*scripts/fontawesome\.js[^>]*>(?:</script>)?")
_SEARCH_SCRIPTS = re.compile(r'\s*<script src="[^"]*search(?:index|tools)\.js[^"]*"></script>')
_PATH = re.compile(r'\bd="[^"]*"')
_LONG = re.compile(r"-?\d+\.\d{3,}")


def rounded(picture: str) -> str:
    """An SVG with the coordinates of its paths rounded to hundredths.

    Examples
    --------
    >>> rounded('<path d="M 1.23456 2.000001   L 3 4.5 "/>')
    '<path d="M 1.23 2 L 3 4.5"/>'
    """

    def shorter(path: re.Match[str]) -> str:
        text = _LONG.sub(lambda number: f"{float(number[0]):.2f}".rstrip("0").rstrip("."), path[0])
        return " ".join(text.split()).replace(' "', '"')

    return _PATH.sub(shorter, picture)


def change(file: Path, text: str, new: str) -> None:
    """Write a file if its text has changed."""
    if new != text:
        file.write_text(new, "utf-8")


def lighten(app: Sphinx, exception: Exception | None) -> None:
    """Take out of the written site what it does not use."""
    if exception is not None or app.builder.format != "html":
        return
    site = Path(app.outdir)
    (site / "_static/scripts/fontawesome.js").unlink(missing_ok=True)
    for file in site.rglob("*.html"):
        page = file.read_text("utf-8")
        lighter = _ICON_SCRIPT.sub("", page)
        change(file, page, lighter if file.stem == "search" else _SEARCH_SCRIPTS.sub("", lighter))
    for file in site.glob("_images/*.svg"):
        picture = file.read_text("utf-8")
        change(file, picture, rounded(picture))


def wait(app: Sphinx, tree: nodes.document, page: str) -> None:
    """Have every picture but the first wait."""
    for image in list(tree.findall(nodes.image))[1:]:
        image["loading"] = "lazy"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the events."""
    app.connect("doctree-resolved", wait)
    app.connect("build-finished", lighten)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
