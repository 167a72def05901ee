"""Which source files a result comes from: those of the modules that can be reached by imports."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from threading import Lock

_LIB = Path(__file__).resolve().parents[2]
_PACKAGES = ("twolayer", "companion")
_PARSING = Lock()


@cache
def digest_of(module: str) -> str:
    """A hash of what a module, and all modules of ours that it can reach, say to Python.

    The module is named as "twolayer.sgd.run"; comments do not count.
    """
    return digest(reached_from({module}))


def digest(files: dict[str, Path]) -> str:
    """A hash of modules, and of the data that lie beside them and are named in them."""
    found = hashlib.sha256()
    for name, file in sorted(files.items()):
        text = file.read_text("utf-8")
        found.update(f"{name}\0{_said(text)}\0".encode())
        beside = [f for f in sorted(file.parent.iterdir()) if f.suffix in (".csv", ".bib")]
        for data in (f for f in beside if f.name in text):
            found.update(data.read_bytes())
    return found.hexdigest()[:16]


def reached_from(modules: set[str], lib: Path = _LIB) -> dict[str, Path]:
    """The files of modules and of all that they can reach, by the names of the modules.

    Imports inside of functions count.  A room's `__init__`, which only hands names on, is passed
    through to where they come from.

    Examples
    --------
    >>> sorted(reached_from({"twolayer.support.netcdf"}))
    ['twolayer.support.checks', 'twolayer.support.netcdf']
    """
    found: dict[str, Path] = {}
    waiting = sorted(modules)
    while waiting:
        name = waiting.pop()
        file = _file(name, lib)
        if file is not None and name not in found:
            found[name] = file
            waiting += imported(file.read_text("utf-8"), lib)
    return found


def imported(code: str, lib: Path = _LIB) -> Iterator[str]:
    r"""The modules of ours that Python code imports, those behind each `tl.name` among them.

    Examples
    --------
    >>> sorted(imported("import twolayer as tl\nfrom twolayer.flow import psi_M\ntl.simulate()"))
    ['twolayer', 'twolayer.flow.terms', 'twolayer.sgd.simulator']
    """
    for module, name in _references(code):
        yield _origin(module, name, lib) if name else module


def _origin(module: str, name: str, lib: Path) -> str:
    """The module that `name` of a module is, or is defined in, behind all that hand it on."""
    if _file(f"{module}.{name}", lib) is not None:
        return f"{module}.{name}"
    face = lib.joinpath(*module.split("."), "__init__.py")
    further = _handed_on(face.read_text("utf-8")) if face.is_file() else {}
    return _origin(further[name], name, lib) if name in further else module


# What follows is kept by the texts themselves: many figures reach the same files.


def _parsed(code: str) -> ast.Module:
    """The tree of some code; one thread at a time, which Python before 3.11.8 and 3.12.2 needs.

    These count the depth of all threads' trees together and raise a SystemError (gh-106905).
    """
    with _PARSING:
        return ast.parse(code)


@cache
def _said(text: str) -> str:
    """A hash of what a file says to Python."""
    return hashlib.sha256(ast.dump(_parsed(text)).encode()).hexdigest()


@cache
def _references(code: str) -> tuple[tuple[str, str], ...]:
    """What code names of ours: a module and a name in it, or a module and nothing."""
    nodes = list(ast.walk(_parsed(code)))
    known_as: dict[str, str] = {}
    found = []
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in _PACKAGES:
            found += [(str(node.module), each.name) for each in node.names]
        elif isinstance(node, ast.Import):
            ours = [each for each in node.names if each.name.split(".")[0] in _PACKAGES]
            found += [(each.name, "") for each in ours]
            known_as |= {each.asname or each.name: each.name for each in ours}
    for node in nodes:
        if isinstance(node, ast.Attribute) and (package := known_as.get(ast.unparse(node.value))):
            found.append((package, node.attr))
    return tuple(dict.fromkeys(found))


@cache
def _handed_on(text: str) -> dict[str, str]:
    """The names that a room's `__init__` hands on, and the modules that it has them from."""
    nodes = (node for node in ast.walk(_parsed(text)) if isinstance(node, ast.ImportFrom))
    return {each.asname or each.name: str(n.module) for n in nodes for each in n.names}


def _file(module: str, lib: Path) -> Path | None:
    """The file of a module; None for a room, and for what is no module."""
    file = lib.joinpath(*module.split(".")).with_suffix(".py")
    return file if file.is_file() else None
