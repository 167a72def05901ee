"""Sphinx extension: pictures say how large they are, so that a page does not jump as they come."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from .written import on_all_pages

_PICTURE = re.compile(r'<img (?![^>]*\bheight=)([^>]*\bsrc="([^":]+\.svg)"[^>]*)>')
_BOX = re.compile(r'viewBox="[\d.-]+ [\d.-]+ ([\d.]+) ([\d.]+)"')


def size(file: Path) -> tuple[int, int] | None:
    """Width and height of an SVG by its viewBox, to a pixel."""
    found = _BOX.search(file.read_text("utf-8")[:2000]) if file.is_file() else None
    return (round(float(found[1])), round(float(found[2]))) if found else None


def with_sizes(page: str, folder: Path) -> str:
    """A page whose pictures, addressed from this folder, have width and height.

    What a style says of their size goes first; with it they are the shape.
    """

    def sized(picture: re.Match[str]) -> str:
        known = size((folder / picture[2]).resolve())
        return f'<img width="{known[0]}" height="{known[1]}" {picture[1]}>' if known else picture[0]

    return _PICTURE.sub(sized, page)


def setup(app: Sphinx) -> dict[str, Any]:
    """Do so on all pages."""
    on_all_pages(app, with_sizes)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
