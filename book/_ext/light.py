"""Sphinx extension: pages that load quickly.

When the site is written, what no page uses is taken out of it.  The theme brings all of Font
Awesome as a script of 1.5 MB although its style sheet has every icon as a font: the script
goes, and with it whatever else of styles and icons is not used (`unused`).  The search index is
loaded by the page that searches.  Pictures lose what they say twice, and all but the first of a
page wait until they are near.
"""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from PIL import Image
from sphinx.application import Sphinx

from . import unused

_ICON_SCRIPT = re.compile(r"\s*<(?:script|link)\b[^>]*scripts/fontawesome\.js[^>]*>(?:</script>)?")
_SEARCH_SCRIPTS = re.compile(r'\s*<script src="[^"]*search(?:index|tools)\.js[^"]*"></script>')
_LENGTHS = re.compile(r'\b(?:d|x|y|points)="[^"]*"')
_LONG = re.compile(r"-?\d+\.\d{3,}")
_BREAK = re.compile(r"\s*\n\s*")
_PHOTO = re.compile(r'"data:image/png;base64,\s*([^"]*)"')
_NAMED = re.compile(r'<path id="(\w+)" d="[^"]*" style="([^"]*)"')
_USE = re.compile(r'(<use xlink:href="#(\w+)"[^>]*?) style="([^"]*)"')
_GROUP = re.compile(r'<g id="([\w.]+)"')


def lighter(picture: str) -> str:
    r"""An SVG of Matplotlib's that looks the same: what is said twice is left out.

    Lengths are rounded to hundredths, groups that nobody refers to lose their names, shapes in use
    the style that they have anyway, and bitmaps within it get a palette.

    Examples
    --------
    >>> lighter('<g id="line_1"> \n<path d="M 1.23456 2.000001\n L 3 4.5 "/>\n </g>')
    '<g><path d="M 1.23 2 L 3 4.5"/></g>'
    """
    photos = [_with_palette(data) for data in _PHOTO.findall(picture)]
    text = _PHOTO.sub('"photo"', picture)
    text = _LENGTHS.sub(lambda lengths: _LONG.sub(_hundredths, lengths[0]), text)
    text = _BREAK.sub(" ", text).replace("> <", "><").replace(' "', '"')
    styles = dict(_NAMED.findall(text))
    text = _USE.sub(lambda use: use[1] if styles.get(use[2]) == use[3] else use[0], text)
    text = _GROUP.sub(lambda group: group[0] if f"#{group[1]}" in text else "<g", text)
    for data in photos:
        text = text.replace('"photo"', f'"data:image/png;base64,{data}"', 1)
    return text


def _hundredths(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def _with_palette(data: str) -> str:
    """A bitmap with 256 colours instead of all that there are, in base64."""
    content = base64.b64decode(data)
    small = io.BytesIO()
    bitmap = Image.open(io.BytesIO(content)).convert("RGBA")
    bitmap.quantize(256, Image.Quantize.FASTOCTREE).save(small, "PNG", optimize=True)
    return base64.b64encode(min(content, small.getvalue(), key=len)).decode()


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
        without = _ICON_SCRIPT.sub("", page)
        change(file, page, without if file.stem == "search" else _SEARCH_SCRIPTS.sub("", without))
    for file in site.glob("_images/*.svg"):
        picture = file.read_text("utf-8")
        change(file, picture, lighter(picture))
    unused.remove(site)


def wait(app: Sphinx, tree: nodes.document, page: str) -> None:
    """Have every picture but the first wait."""
    for image in list(tree.findall(nodes.image))[1:]:
        image["loading"] = "lazy"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the events."""
    app.connect("doctree-resolved", wait)
    app.connect("build-finished", lighten)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
