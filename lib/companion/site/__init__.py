"""Sphinx extensions of the book, as modules of one package: `companion.site` sets all of them up.

A name like `launch` at the top of PYTHONPATH would be somebody else's.
"""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx

EXTENSIONS = (
    "quoted",
    "exercises",
    "vendored",
    "explorer_page",
    "launch",
    "about",
    "moving",
    "sliders",
    "calculator",
    "inventory",
    "light",
    "steady",
    "unbroken",
    "cleaning",
)


def setup(app: Sphinx) -> dict[str, Any]:
    """Set all of them up."""
    for name in EXTENSIONS:
        app.setup_extension(f"{__name__}.{name}")
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
