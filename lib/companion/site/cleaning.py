"""Sphinx extension: `jupyter-book clean book` finds what `jupyter-book build book` has built.

Jupyter Book builds beside `_config.yml`, which is at the root, but cleans below the folder that it
is given.  A link leads from there to here.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx


def link(app: Sphinx, exception: Exception | None) -> None:
    """Link `book/_build` to the `_build` beside the book, if that is where the pages went."""
    place, built = Path(app.srcdir) / "_build", Path(app.srcdir).parent / "_build"
    if built in Path(app.outdir).parents and not place.is_symlink():
        with contextlib.suppress(OSError):  # a folder is in its place, or there are no links here
            place.symlink_to(Path("..", "_build"), target_is_directory=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the event."""
    app.connect("build-finished", link)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
