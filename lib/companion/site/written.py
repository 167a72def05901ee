"""The pages of the site once more, after they were written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sphinx.application import Sphinx


def on_all_pages(app: Sphinx, change: Callable[[str, Path], str]) -> None:
    """Put change(page, its folder) in the place of every page that it changes."""
    for file in Path(app.outdir).rglob("*.html"):
        page = file.read_text("utf-8")
        if (changed := change(page, file.parent)) != page:
            file.write_text(changed, "utf-8")
