"""The explorer: one front end, one request, one answer, wherever it runs.

`compute` turns a request (plain data) into curves, overlaps and the Python call that makes
them.  The live widget of a notebook (`Explorer`, which needs anywidget), the page's
"Run live" (this package in the browser) and the page's precomputed triangle
(`companion.site.triangle_grid`) all use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twolayer.explorer.compute import compute
from twolayer.explorer.presets import PRESETS
from twolayer.explorer.request import Request

if TYPE_CHECKING:
    from twolayer.explorer.widget import Explorer

__all__ = ["PRESETS", "Explorer", "Request", "compute"]


def __getattr__(name: str) -> Any:
    """`Explorer`, imported when asked for: the rest works without anywidget."""
    if name != "Explorer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from twolayer.explorer.widget import Explorer

    return Explorer
