"""Sphinx extension: a picture of the package, drawn from its source.

The directive ``{architecture}`` reads the import statements of `lib/twolayer` and shows every
module above those that it imports when it is loaded, with a table of what each one is for: the
first sentence of its docstring.  Nothing is written down twice, so nothing can be out of date.
"""

from __future__ import annotations

import ast
import html
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from twolayer.freshness import sources

#: Size of a module in the picture, and of the gaps between.
_WIDTH, _HEIGHT, _GAP, _RISE = 104, 26, 10, 46
#: Letters that a box has room for.
_LETTERS = 14
#: Modules in a row.
_IN_A_ROW = 8


@dataclass(frozen=True)
class Module:
    """A module, or a folder of modules taken as one.

    Attributes
    ----------
    name : str
    purpose : str
        The first sentence of its docstring.
    promises : frozenset of str
        What its docstring says it builds on.
    imports : frozenset of str
        Modules that it imports when it is loaded.
    ever : frozenset of str
        These, and what its functions import.
    lines : int
    """

    name: str
    purpose: str
    promises: frozenset[str]
    imports: frozenset[str]
    ever: frozenset[str]
    lines: int


def modules(package: Path) -> dict[str, Module]:
    """All modules of the package, by name; folders count as one."""
    out, found = {}, sources(package, [".py"])
    for path in found:
        if path.stem == "__init__" and path.parent.parent == package:
            files = [file for file in found if file.parent == path.parent]
            out[path.parent.name] = _module(path.parent.name, path, files)
        elif path.stem != "__init__" and path.parent == package:
            out[path.stem] = _module(path.stem, path, [path])
    return dict(sorted(out.items()))


def _module(name: str, head: Path, files: list[Path]) -> Module:
    trees = [ast.parse(file.read_text("utf-8")) for file in files]
    text = ast.get_docstring(ast.parse(head.read_text("utf-8"))) or ""
    sentence = re.split(r"(?<=\.)\s", text.replace("\n", " "), maxsplit=1)[0].rstrip(".:")
    promised = re.search(r"Builds on (.*?)\.(\s|$)", " ".join(text.split()))
    promises = re.findall(r"`([\w.]+)`", promised[1]) if promised else []
    at_once = {m for tree in trees for node in tree.body for m in _imported(node)}
    ever = {m for tree in trees for node in ast.walk(tree) for m in _imported(node)}
    return Module(
        name,
        sentence,
        frozenset(each.split(".")[0] for each in promises),
        frozenset(at_once - {name}),
        frozenset(ever - {name}),
        sum(len(file.read_text("utf-8").splitlines()) for file in files),
    )


def _imported(node: ast.AST) -> set[str]:
    """Our modules in an import statement."""
    if isinstance(node, ast.Import):
        paths = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module == "twolayer":
        paths = [f"twolayer.{alias.name}" for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        paths = [node.module or ""]
    else:
        return set()
    return {path.split(".")[1] for path in paths if path.startswith("twolayer.")}


def heights(found: dict[str, Module]) -> dict[str, int]:
    """How many modules stand under each, one on another; `ValueError` if imports go in a circle."""
    out: dict[str, int] = {}

    def height(name: str, above: tuple[str, ...]) -> int:
        if name in above:
            raise ValueError(f"imports go in a circle: {' → '.join((*above, name))}")
        if name not in out:
            below = [height(each, (*above, name)) for each in found[name].imports if each in found]
            out[name] = 1 + max(below, default=-1)
        return out[name]

    for name in found:
        height(name, ())
    return out


def picture(found: dict[str, Module]) -> str:
    """An SVG of all modules, each above what it imports."""
    level = heights(found)
    rows: list[list[str]] = []
    for number in range(max(level.values()) + 1):
        names = [name for name in found if level[name] == number]
        rows += [names[i : i + _IN_A_ROW] for i in range(0, len(names), _IN_A_ROW)]
    width = _IN_A_ROW * (_WIDTH + _GAP)
    total = len(rows) * _RISE
    place = {
        name: (
            (width - len(row) * (_WIDTH + _GAP)) / 2 + i * (_WIDTH + _GAP),
            total - (number + 1) * _RISE,
        )
        for number, row in enumerate(rows)
        for i, name in enumerate(row)
    }
    lines = []
    for name, module in found.items():
        x, y = place[name]
        for other in sorted(_direct(found, module)):
            to_x, to_y = place[other]
            lines.append(
                f'<path d="M{x + _WIDTH / 2:.0f} {y + _HEIGHT} '
                f"C{x + _WIDTH / 2:.0f} {y + _HEIGHT + 20} {to_x + _WIDTH / 2:.0f} {to_y - 20} "
                f'{to_x + _WIDTH / 2:.0f} {to_y}" fill="none" stroke="currentColor" '
                'stroke-opacity="0.25"/>'
            )
    for name, (x, y) in place.items():
        lines.append(
            f'<rect x="{x:.0f}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="4" '
            'fill="var(--pst-color-surface, #f3f4f5)" stroke="#0072B2"/>'
            f"{_label(name, x + _WIDTH / 2, y)}"
        )
    return (
        f'<svg viewBox="0 0 {width} {total}" role="img" '
        'style="width: 100%; min-width: 40rem; font-family: monospace" '
        'aria-label="The modules of the package, each above those it imports; the table below '
        f'says the same.">{"".join(lines)}</svg>'
    )


def _label(name: str, x: float, y: float) -> str:
    """The name of a module in its box; a long one is broken at its last underscore."""
    if len(name) <= _LETTERS:
        return _line(name, x, y + 17, 12)
    first, _, last = name.rpartition("_")
    return _line(f"{first}_", x, y + 11, 10) + _line(last, x, y + 22, 10)


def _line(text: str, x: float, y: float, size: int) -> str:
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" text-anchor="middle" '
        f'fill="currentColor">{html.escape(text)}</text>'
    )


def _direct(found: dict[str, Module], module: Module) -> set[str]:
    """What a module imports, less what it would have through another import anyway."""
    known = {name for name in module.imports if name in found}

    def below(name: str) -> set[str]:
        here = {each for each in found[name].imports if each in found}
        return here.union(*map(below, here)) if here else here

    return known - set().union(*map(below, known)) if known else known


class Architecture(SphinxDirective):
    """``{architecture}``: the picture and the table."""

    def run(self) -> list[nodes.Node]:
        """Raw HTML; the table is also text for readers without the picture."""
        package = Path(self.env.srcdir).parent / "lib" / "twolayer"
        for file in sources(package, [".py"]):
            self.env.note_dependency(str(file))
        found = modules(package)
        level = heights(found)
        rows = "".join(
            f"<tr><td><code>{module.name}</code></td><td>{_text(module.purpose)}</td>"
            f"<td>{', '.join(sorted(_direct(found, module)))}</td><td>{module.lines}</td></tr>"
            for module in sorted(found.values(), key=lambda m: (level[m.name], m.name))
        )
        table = (
            '<table class="table"><thead><tr><th>module</th><th>what it is for</th>'
            f"<th>builds on</th><th>lines</th></tr></thead><tbody>{rows}</tbody></table>"
        )
        frame = '<div style="overflow-x: auto" tabindex="0">'
        return [
            nodes.raw("", f"{frame}{picture(found)}</div>", format="html"),
            nodes.raw("", f"{frame}{table}</div>", format="html"),
        ]


def _text(docstring: str) -> str:
    return re.sub(r"`(.*?)`", r"<code>\1</code>", html.escape(docstring.replace("``", "`")))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("architecture", Architecture)
    return {"version": "1", "parallel_read_safe": True}
