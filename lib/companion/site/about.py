"""Sphinx extension: the directive ``{about}``, who made the book, where it lives, what to read.

The repository is the one that the buttons of the notebooks open; what is not known is not said.
"""

from __future__ import annotations

import os
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from .launch import repository

PAPER = "https://arxiv.org/abs/2302.05882"


def text(author: str, place: tuple[str, str] | None, pdf: str) -> str:
    """The paragraph, in Markdown.

    Examples
    --------
    >>> print(text("We", ("owner", "name"), ""))
    The book and the package are by We; the [paper](https://arxiv.org/abs/2302.05882) is by Luca
    Arnaboldi, Ludovic Stephan, Florent Krzakala and Bruno Loureiro.  The source is
    [owner/name](https://github.com/owner/name).  If something is wrong, or hard to follow,
    [say so](https://github.com/owner/name/issues/new): the page, the sentence, what you expected.
    """
    lines = [
        f"The book and the package are by {author}; the [paper]({PAPER}) is by Luca",
        "Arnaboldi, Ludovic Stephan, Florent Krzakala and Bruno Loureiro.",
    ]
    if place:
        address = f"https://github.com/{'/'.join(place)}"
        lines[-1] += "  The source is"
        lines += [
            f"[{'/'.join(place)}]({address}).  If something is wrong, or hard to follow,",
            f"[say so]({address}/issues/new): the page, the sentence, what you expected.",
        ]
    if pdf:
        lines.append(f"The whole book is also [one PDF]({pdf}).")
    return "\n".join(lines)


class About(SphinxDirective):
    """``{about}``: a paragraph."""

    def run(self) -> list[nodes.Node]:
        """Made anew in each build: neither setting nor remote is a file of the book."""
        self.env.note_reread()
        config = self.config
        pdf = config.book_pdf or os.environ.get("TWOLAYER_PDF", "")
        return self.parse_text_to_nodes(text(config.author, repository(self.env.app), pdf))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_config_value("book_pdf", "", "html")
    app.add_directive("about", About)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
