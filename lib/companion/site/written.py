"""The pages of the site once more, after they were written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sphinx.application import Sphinx


def on_all_pages(app: Sphinx, change: Callable[[str, Path], str]) -> None:
    """At the end of a build put change(page, its folder) in the place of every page."""

    def write(app: Sphinx, exception: Exception | None) -> None:
        if exception is None and app.builder.format == "html":
            for file in Path(app.outdir).rglob("*.html"):
                page = file.read_text("utf-8")
                if (changed := change(page, file.parent)) != page:
                    file.write_text(changed, "utf-8")

    app.connect("build-finished", write)
