"""Sphinx extension of the book: make stale figures first, quote their numbers after.

On `builder-inited` every stale figure is made (`companion.figures.make`); the profile is
taken from the environment variable TWOLAYER_PROFILE, "quick" by default.  The role
``{result}`` quotes a number that a figure's notebook has published::

    {result}`4:slope`

The directives ``{claims}`` and ``{comparison}`` put together what all figures have
published (`claims.tables`); ``{benchmarks}`` shows the committed run of `benchmarks/`, and
``{paper-profile}`` what is kept of the figures at the paper's own sizes (`figures.record`).
"""

from __future__ import annotations

import json
import os
import runpy
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

from companion.claims import tables
from companion.claims.typeset import typeset
from companion.figures import make as figures
from companion.figures import record
from companion.figures.catalogue import output_folder
from twolayer.support.checks import InvalidInput

from .inventory import Made

logger = logging.getLogger(__name__)


def make_figures(app: Sphinx) -> None:
    """Make what is stale, or fail the build."""
    root = Path(app.srcdir).parent
    profile = os.environ.get("TWOLAYER_PROFILE", "quick")
    try:
        made = figures.make(root, profile=profile, jobs=os.cpu_count() or 1)
    except (InvalidInput, figures.FigureError) as error:
        raise ExtensionError(str(error)) from None
    logger.info("figures: %s", f"made {', '.join(made)}" if made else "all up to date")


class Result(SphinxRole):
    """``{result}`figure:key` ``: a number from ``book/figures/<figure>.json``."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """The text of the number, or a warning that says what there is."""
        figure, _, key = self.text.partition(":")
        file = output_folder(Path(self.env.srcdir).parent) / f"{figure}.json"
        self.env.note_dependency(str(file))
        try:
            values = json.loads(file.read_text("utf-8"))["results"]
        except OSError:
            values = {}
        if key not in values:
            known = ", ".join(values) or "nothing"
            logger.warning("figure %r publishes no %r, but %s", figure, key, known)
            return [nodes.problematic(text=self.text)], []
        return [nodes.inline(text=typeset(values[key]), classes=["result"])], []


class Claims(Made):
    """``{claims}``: every claim of the paper with what was measured."""

    text = staticmethod(lambda root: tables.claims_table(output_folder(root)))


class ComparisonTable(Made):
    """``{comparison}``: every printed value beside ours."""

    text = staticmethod(lambda root: tables.comparison_table(output_folder(root)))


class Benchmarks(SphinxDirective):
    """``{benchmarks}``: table, plot and costs of the latest committed run of ``benchmarks/``."""

    def run(self) -> list[nodes.Node]:
        """What `benchmarks/report.py` makes of `latest.json`, or a warning that says how to."""
        folder = Path(self.env.srcdir).parent / "benchmarks"
        files = [folder / name for name in ("latest.json", "stored.json", "report.py")]
        for file in files:
            self.env.note_dependency(str(file))
        try:
            runs = [json.loads(file.read_text("utf-8")) for file in files[:2]]
        except (OSError, ValueError) as error:
            logger.warning("no benchmarks, run them with --benchmark-json: %s", error)
            return []
        return self.parse_text_to_nodes(runpy.run_path(str(files[2]))["page"](*runs))


class PaperProfile(SphinxDirective):
    """``{paper-profile}``: what `companion.figures.record` keeps of the profile "paper"."""

    def run(self) -> list[nodes.Node]:
        """Run times, claims and printed values, or a warning that says how to get them."""
        root = Path(self.env.srcdir).parent
        for file in (root / record.FOLDER).glob("*.json"):
            self.env.note_dependency(str(file))
        try:
            return self.parse_text_to_nodes(record.page(root), allow_section_headings=True)
        except InvalidInput as error:
            logger.warning("nothing kept of the profile paper: %s", error)
            return []


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the event and the role."""
    app.connect("builder-inited", make_figures)
    app.add_role("result", Result())
    app.add_directive("claims", Claims)
    app.add_directive("comparison", ComparisonTable)
    app.add_directive("benchmarks", Benchmarks)
    app.add_directive("paper-profile", PaperProfile)
    return {"version": "1", "parallel_read_safe": True}
