"""Which source files a result comes from: those of the modules that can be reached by imports.

Builds on nothing else in the package.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

_PACKAGE = "twolayer"


@cache
def digest_of(module: str) -> str:
    """A hash of the files of a module and of all modules of the package that it can reach.

    Parameters
    ----------
    module : str
        As "chain", or "kernels.sgd".

    Returns
    -------
    str

    Examples
    --------
    >>> len(digest_of("lock"))
    16
    """
    digest = hashlib.sha256()
    for name, file in sorted(reached_from(module).items()):
        digest.update(name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def reached_from(module: str) -> dict[str, Traversable]:
    """The files of a module and of all that it can reach, by the names of the modules.

    Imports inside of functions count; what the package itself imports, to offer it, does not.

    Examples
    --------
    >>> sorted(reached_from("storage"))
    ['errors', 'storage']
    """
    found: dict[str, Traversable] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = _file(name)
        if file is None or name in found:
            continue
        found[name] = file
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == _PACKAGE:
                within = str(node.module)[len(_PACKAGE) + 1 :]
                names = [".".join(filter(None, (within, each.name))) for each in node.names]
                waiting += [within, *names]
            elif isinstance(node, ast.Import):
                dotted = [each.name for each in node.names]
                waiting += [n[len(_PACKAGE) + 1 :] for n in dotted if n.startswith(_PACKAGE + ".")]
    return found


def _file(module: str) -> Traversable | None:
    """The file of a module; None for the package itself, and for what is no module."""
    path = module.replace(".", "/")
    files = (resources.files(_PACKAGE).joinpath(p) for p in (f"{path}.py", f"{path}/__init__.py"))
    return next((file for file in files if module and file.is_file()), None)
