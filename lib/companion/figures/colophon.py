"""The closing table of an executed notebook: parameters, methods, run time and versions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from companion.claims.tables import table
from companion.figures.catalogue import Figure
from twolayer.support.versions import versions


def add_colophon(notebook: Any, figure: Figure, profile: str, seconds: float, folder: Path) -> None:
    """Append it to an executed notebook, whose numbers are in this folder."""
    import nbformat  # what is up to date wants neither, and they take half a second
    import papermill

    defaults = {
        n: p["default"] for n, p in papermill.inspect_notebook(str(figure.template)).items()
    }
    given = {n: repr(value) for n, value in figure.parameters[profile].items()}
    parameters = {n: v for n, v in (defaults | given).items() if n != "name"}
    try:
        sgd = json.loads((folder / f"{figure.id}.json").read_text("utf-8"))["sgd"]
    except (OSError, LookupError, TypeError, ValueError):
        sgd = []
    own = "none: our own"
    rows = {
        "Figure of the paper": f"{figure.id}, arXiv:2302.05882" if figure.id[0].isdigit() else own,
        "Profile": profile,
        "Parameters": ", ".join(f"`{n} = {value}`" for n, value in parameters.items()),
        "SGD": "<br>".join(sgd) or "none",
        "Run time": f"{seconds:.1f} s",
        "Versions": ", ".join(f"{n} {v}" for n, v in versions().items()),
    }
    notebook.cells.append(nbformat.v4.new_markdown_cell(table(("", ""), rows.items())))
