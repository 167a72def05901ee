"""Sphinx extension: pages that load quickly.

The theme loads all of Font Awesome as a script of 1.5 MB although its style sheet has every icon as
a font: the script is taken out.  Pictures after the first of a page wait until they are near.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

_ICON_SCRIPT = re.compile(r"\s*<(?:script|link)\b[^>]*scripts/fontawesome\.js[^>]*>(?:</script>)?")


def without_icon_script(page: str) -> str:
    """A page without the script of icons, and what asks for it early.

    Examples
    --------
    >>> without_icon_script('<a/><script defer src="_static/scripts/fontawesome.js?v"></script>')
    '<a/>'
    """
    return _ICON_SCRIPT.sub("", page)


def lighten(app: Sphinx, exception: Exception | None) -> None:
    """Take the script out of every page that was written."""
    if exception is not None or app.builder.format != "html":
        return
    for file in Path(app.outdir).rglob("*.html"):
        page = file.read_text("utf-8")
        if (lighter := without_icon_script(page)) != page:
            file.write_text(lighter, "utf-8")
    (Path(app.outdir) / "_static/scripts/fontawesome.js").unlink(missing_ok=True)


def wait(app: Sphinx, tree: nodes.document, page: str) -> None:
    """Have every picture but the first wait."""
    for image in list(tree.findall(nodes.image))[1:]:
        image["loading"] = "lazy"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the events."""
    app.connect("doctree-resolved", wait)
    app.connect("build-finished", lighten)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
