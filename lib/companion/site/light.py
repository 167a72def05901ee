"""Sphinx extension: the theme's script of icons is left out.

It brings all of Font Awesome as a script of 1.5 MB, although its style sheet has every icon as a
font.  Pages are served compressed; nothing else is made smaller.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from .written import on_all_pages

_SCRIPT = re.compile(r"\s*<(?:script|link)\b[^>]*scripts/fontawesome\.js[^>]*>(?:</script>)?")


def leave_out(app: Sphinx, exception: Exception | None) -> None:
    """Take the script, and what loads it, out of the written site."""
    if exception is None and app.builder.format == "html":
        (Path(app.outdir) / "_static/scripts/fontawesome.js").unlink(missing_ok=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the event."""
    app.connect("build-finished", leave_out)
    on_all_pages(app, lambda page, _: _SCRIPT.sub("", page))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
