"""An executed notebook as a page: picture and message first, code folded."""

from __future__ import annotations

from typing import Any


def as_page(notebook: Any, figure: str) -> None:
    """Put the first picture after the first text, and fold every cell of code.

    The picture is the file that one downloads; where it was drawn it is not shown again.
    """
    import nbformat

    for cell in notebook.cells:
        if cell.cell_type == "code":
            _tag(cell, "hide-input")
    drawn = next((c for c in notebook.cells if "image" in c.metadata.get("mystnb", {})), None)
    if drawn is None or notebook.cells[0].cell_type != "markdown":
        return
    image = {"width": "100%"} | drawn.metadata["mystnb"]["image"]
    options = "".join(f":{name}: {image[name]}\n" for name in ("alt", "width"))
    text = f"```{{image}} {figure}.svg\n{options}```"
    notebook.cells.insert(1, nbformat.v4.new_markdown_cell(text, id="picture"))
    _tag(drawn, "remove-output")


def _tag(cell: Any, tag: str) -> None:
    tags = cell.metadata.setdefault("tags", [])
    if tag not in tags:
        tags.append(tag)
