"""Sphinx extension: all extensions of the book, as modules of one package.

Jupyter Book looks for extensions behind everything on PYTHONPATH and in site-packages, where others
have a `launch`, a `light` or a `cached` too.  This one name is ours; all else is found from here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

#: Makes this module a package of the files beside it.
__path__ = [str(Path(__file__).parent)]

EXTENSIONS = (
    "companion",
    "vendored",
    "explorer_page",
    "launch",
    "architecture",
    "moving",
    "openings",
    "inventory",
    "light",
    "cleaning",
)


def setup(app: Sphinx) -> dict[str, Any]:
    """Set all of them up."""
    for name in EXTENSIONS:
        app.setup_extension(f"{__name__}.{name}")
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
