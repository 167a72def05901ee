"""Sphinx extension: the opening of every figure's page that has none of its own.

A figure's page is its executed notebook.  When Sphinx reads it, a box is put below the title
that says what one learns there, which page one should know (the one above it in `_toc.yml`)
and how long it takes, by the words and the lines of code that it has.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from typing import Any

import yaml
from sphinx.application import Sphinx

from twolayer.catalogue import load

#: Reading speed: words of text, and lines of code, a minute.
WORDS, LINES = 200, 60


def parents(toc: dict[str, Any]) -> dict[str, str]:
    """Page → the page above it, for every page that has one.

    Examples
    --------
    >>> parents({"chapters": [{"file": "a", "sections": [{"file": "b"}]}]})
    {'b': 'a'}
    """
    return dict(_below(toc, None))


def _below(entry: dict[str, Any], above: str | None) -> Iterator[tuple[str, str]]:
    here = entry.get("file", above)
    for key in ("parts", "chapters", "sections"):
        for child in entry.get(key, []):
            if here is not None and "file" in child:
                yield child["file"], here
            yield from _below(child, here)


def minutes(cells: list[dict[str, Any]]) -> int:
    """How long a notebook takes to read."""
    text = {"markdown": 0, "code": 0}
    for cell in cells:
        source = "".join(cell["source"])
        size = len(source.split()) if cell["cell_type"] == "markdown" else source.count("\n") + 1
        text[cell["cell_type"]] += size
    return ceil(text["markdown"] / WORDS + text["code"] / LINES)


def opening(title: str, needed: str | None, cells: list[dict[str, Any]]) -> str:
    """The box, in Markdown."""
    return (
        "```{admonition} On this page\n:class: note\n"
        f"**You will learn** how “{title}” is made, cell by cell, and what came of it; "
        "picture, data and numbers are at the end to download.\n"
        f"**You need** {f'[](../{needed}.md)' if needed else 'nothing else'}.\n"
        f"**Time**: about {minutes(cells)} minutes.\n```\n"
    )


def open_page(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the box below the title, if this is a figure's page."""
    folder, _, name = page.partition("/")
    root = Path(app.srcdir).parent
    if folder != "figures" or name not in (known := load(root)):
        return
    notebook = json.loads(source[0])
    first = notebook["cells"][0]
    title, _, rest = "".join(first["source"]).partition("\n")
    if first["cell_type"] != "markdown" or not title.startswith("# ") or "On this page" in rest:
        return
    toc = yaml.safe_load((Path(app.srcdir) / "_toc.yml").read_text("utf-8"))
    candidates = (parents(toc).get(page), "setting")
    pages = (each for each in candidates if each in app.env.found_docs and "/" not in each)
    box = opening(known[name].title, next(pages, None), notebook["cells"])
    first["source"] = f"{title}\n\n{box}{rest}"
    source[0] = json.dumps(notebook)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the event."""
    app.connect("source-read", open_page)
    return {"version": "1", "parallel_read_safe": True}
