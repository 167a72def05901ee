"""What each figure rests on, and which pages rest on it: read from the notebooks and the pages."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

from twolayer.catalogue import load
from twolayer.tables import link, table

#: The name of a function or of a module, not of a class.
_FUNCTION = re.compile(r"[a-z]\w*")
#: Modules that say what was measured, and make it look, whatever it is.
SAYING = ("claims", "colours", "paper", "plotting", "publishing", "tables")


def used(source: str) -> set[str]:
    r"""The functions of the package that Python code calls: of `tl`, of a module, or by name.

    Examples
    --------
    >>> sorted(used("import twolayer as tl\nfrom twolayer.flow import psi_M\ntl.solve()"))
    ['psi_M', 'solve']
    >>> sorted(used("from twolayer import escape\nescape.plateau(), tl.Weights.gaussian()"))
    ['plateau']
    """
    nodes = list(ast.walk(ast.parse(source)))
    modules, found = {"tl"}, set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            package, _, module = str(node.module).partition(".")
            if package == "twolayer" and module not in SAYING:
                (found if module else modules).update(alias.name for alias in node.names)
    modules -= set(SAYING)
    inner = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    for node in nodes:
        if isinstance(node, ast.Attribute) and id(node) not in inner:
            first, *path = ast.unparse(node).split(".")
            if first in modules and path[0] not in SAYING and all(map(_FUNCTION.fullmatch, path)):
                found.add(path[-1])
    return set(filter(_FUNCTION.fullmatch, found))


def code(notebook: Path) -> str:
    """The code of a notebook, without what is IPython's."""
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    lines = [line for cell in cells if cell["cell_type"] == "code" for line in cell["source"]]
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines if line[0] != "%")


def readers(name: str, pages: dict[str, str]) -> list[str]:
    """The pages that show a figure or quote a number of it.

    Examples
    --------
    >>> readers("4", {"a": "{result}`4:slope`", "b": "![](figures/4.svg)", "c": "figures/4.ipynb"})
    ['a', 'b']
    """
    shown = re.compile(rf"\{{result\}}`{re.escape(name)}:|figures/{re.escape(name)}\.svg")
    return [page for page, text in pages.items() if shown.search(text)]


def lineage(root: Path) -> str:
    """A row for each figure: what it calls, and who shows it."""
    files = sorted(root.glob("book/[!.]*.md"))  # not an editor's locks
    pages = {file.stem: file.read_text("utf-8") for file in files}
    rows = []
    for name, figure in load(root).items():
        names = ", ".join(f"`{each}`" for each in sorted(used(code(figure.template))))
        where = ", ".join(f"[{page}]({page}.md)" for page in readers(name, pages))
        rows.append((link(name), names, where))
    return table(("figure", "calls", "shown or quoted on"), rows)
