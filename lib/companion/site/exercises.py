"""Sphinx extension: the exercises of a chapter at its end, from the notebook that solves them.

``{exercises}`` shows the questions of ``notebooks/exercises.ipynb`` whose cells are marked with
the page's name (``"chapter"`` in their metadata), each with the cell that follows it, folded: its
code, and what this gave when the page was built.  The cell of the chapter "*" has the lines that
all solutions begin with; they are shown with the first one.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from companion.figures.catalogue import output_folder

logger = logging.getLogger(__name__)

NAME = "exercises"
Cell = dict[str, Any]


def by_chapter(notebook: Cell) -> dict[str, list[tuple[str, Cell]]]:
    """Chapter → its questions, each with the cell of its solution.

    Examples
    --------
    >>> question = {"metadata": {"chapter": "setting"}, "source": "**1.**  Why?"}
    >>> by_chapter({"cells": [question, {"metadata": {}, "source": "1 + 1"}]})
    {'setting': [('**1.**  Why?', {'metadata': {}, 'source': '1 + 1'})]}
    """
    found: dict[str, list[tuple[str, Cell]]] = {}
    for cell, following in pairwise(notebook["cells"]):
        if chapter := cell["metadata"].get("chapter"):
            found.setdefault(chapter, []).append(("".join(cell["source"]), following))
    return found


def page(questions: list[tuple[str, Cell]], first: str) -> str:
    """Questions and folded solutions as Markdown; the first one with the lines that come first."""
    parts = ["## Exercises\n"]
    for question, cell in questions:
        code = f"{first}{''.join(cell['source'])}"
        first = ""
        parts.append(f"{question}\n\n::::{{dropdown}} Solution\n```python\n{code}\n```")
        for output in cell["outputs"]:
            if output["output_type"] == "stream":
                parts.append(f"```text\n{''.join(output['text']).rstrip()}\n```")
        if image := cell["metadata"].get("mystnb", {}).get("image"):
            picture = f"{{image}} figures/{NAME}.svg\n:alt: {image['alt']}\n:width: 100%"
            parts.append(f"```{picture}\n```")
        parts.append("::::\n")
    parts.append(f"All of them run in [one notebook](figures/{NAME}.ipynb), yours to change.")
    return "\n".join(parts)


class Exercises(SphinxDirective):
    """``{exercises}``: those of this page."""

    def run(self) -> list[nodes.Node]:
        """Questions and solutions, or a warning that there are none."""
        file = output_folder(Path(self.env.srcdir).parent) / f"{NAME}.ipynb"
        self.env.note_dependency(str(file))
        chapters = by_chapter(json.loads(file.read_text("utf-8")))
        questions = chapters.get(self.env.docname)
        if not questions:
            logger.warning("no cell of %s has %r as its chapter", file.name, self.env.docname)
            return []
        (first, _), *_ = chapters["*"]
        text = page(questions, f"{first}\n\n")
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("exercises", Exercises)
    return {"version": "1", "parallel_read_safe": True}
