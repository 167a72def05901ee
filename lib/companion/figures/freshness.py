"""Whether a figure is what the code as it is now would make, and as its notebook left it.

An executed notebook keeps the hash of its template, its parameters, the modules that it can reach,
the versions of what it ran on, and the hashes of what it wrote.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from companion.figures.catalogue import PROFILES, Figure, output_folder
from twolayer.support import sources
from twolayer.support.versions import versions

#: Packages whose version changes what a figure shows.
_RUNS_ON = ("numpy", "scipy", "numba", "xarray", "matplotlib", "ipykernel")


def stamp(root: Path, figure: Figure, profile: str) -> str:
    """The hash of everything that a figure depends on, hexadecimal SHA-256.

    Examples
    --------
    >>> from companion.figures.catalogue import load, project_root
    >>> root = project_root()
    >>> len(stamp(root, load(root)["4"], "quick"))
    64
    """
    digest = hashlib.sha256(figure.template.read_bytes())
    lib, code = root / "lib", code_of(json.loads(figure.template.read_text("utf-8"))["cells"])
    reached = sources.reached_from({*sources.imported(code, lib)}, lib)
    digest.update(sources.digest(reached).encode())
    digest.update(json.dumps(figure.parameters[profile], sort_keys=True).encode())
    digest.update(json.dumps(versions(_RUNS_ON), sort_keys=True).encode())
    return digest.hexdigest()


def code_of(cells: Iterable[Mapping[str, Any]]) -> str:
    r"""The code of a notebook, without what is IPython's.

    Examples
    --------
    >>> code_of([{"cell_type": "code", "source": ["%config x = 1\n", "y = 2"]}])
    'y = 2'
    """
    cells = ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    lines = (line for cell in cells for line in cell.splitlines())
    return "\n".join(line for line in lines if not line.startswith("%"))


def lacking(cells: Iterable[Mapping[str, Any]]) -> str | None:
    """What an executed notebook should show and does not: a picture where one is described.

    A picture is described by the text for those who cannot see it, in a cell's metadata; a notebook
    has one at least.  None if all is there.

    Examples
    --------
    >>> plot = {"source": "plt.show()", "metadata": {"mystnb": {"image": {"alt": "A line."}}}}
    >>> picture = {"data": {"image/svg+xml": "<svg></svg>"}}
    >>> lacking([plot | {"outputs": []}])
    "the picture of the cell that ends in 'plt.show()'"
    >>> lacking([plot | {"outputs": [picture]}])
    """
    some = False
    for cell in cells:
        shown = [data for out in cell.get("outputs", []) for data in out.get("data", {}).items()]
        pictures = any(kind.startswith("image/") and data for kind, data in shown)
        if "image" in cell["metadata"].get("mystnb", {}) and not pictures:
            last = "".join(cell["source"]).rstrip().rpartition("\n")[2]
            return f"the picture of the cell that ends in {last!r}"
        some = some or pictures
    return None if some else "a picture"


def first_picture(cells: Iterable[Mapping[str, Any]]) -> str:
    """The first picture that an executed notebook shows as SVG, or nothing."""
    outputs = (data for cell in cells for data in cell.get("outputs", []))
    pictures = (out.get("data", {}).get("image/svg+xml") for out in outputs)
    return "".join(next(filter(None, pictures), []))


def is_fresh(root: Path, figure: Figure, profile: str) -> bool:
    """Whether the executed notebook of this profile, or of a larger one, is up to date."""
    return condition(root, figure, profile) == "up to date"


def condition(root: Path, figure: Figure, profile: str) -> str:
    """How a figure stands: "up to date", "stale", or which file is not as its notebook left it."""
    folder, notebook = output_folder(root), f"{figure.id}.ipynb"
    try:
        content = json.loads((folder / notebook).read_text("utf-8"))
        kept = content["metadata"]["twolayer"]
        made_as, made_stamp, files = kept["profile"], kept["stamp"], dict(kept["files"])
        cells = kept["cells"]
    except OSError:
        return "stale"
    except (ValueError, LookupError, TypeError, RecursionError):
        return f"damaged ({notebook})"
    good_enough = PROFILES[PROFILES.index(profile) :]
    if made_as not in good_enough or made_stamp != stamp(root, figure, made_as):
        return "stale"
    if cells != seal(json.dumps(content["cells"], sort_keys=True).encode()):
        return f"damaged ({notebook})"
    if lacking(content["cells"]):
        return "stale"
    for name, sealed in files.items():
        try:
            if seal((folder / Path(name).name).read_bytes()) != sealed:
                return f"damaged ({name})"
        except OSError:
            return "stale"
    return "up to date"


def run_of(folder: Path, name: str) -> dict[str, Any]:
    """What a figure's executed notebook says of its run: profile, files, seconds, memory."""
    return json.loads((folder / f"{name}.ipynb").read_text("utf-8"))["metadata"]["twolayer"]


def seal(content: bytes) -> str:
    """The hash by which a file is known again."""
    return hashlib.sha256(content).hexdigest()
