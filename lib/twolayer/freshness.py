"""Whether a figure is what the code as it is now would make, and as its notebook left it.

An executed notebook keeps the hash of its template, its parameters, the package's source and the
versions of what it ran on, and the hashes of what it wrote.  Builds on `catalogue` and `storage`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from twolayer.catalogue import PROFILES, Figure, output_folder
from twolayer.storage import versions

#: Packages whose version changes what a figure shows.
_RUNS_ON = ("numpy", "scipy", "numba", "xarray", "matplotlib", "ipykernel")


def stamp(root: Path, figure: Figure, profile: str) -> str:
    """The hash of everything that a figure depends on.

    Parameters
    ----------
    root : Path
    figure : Figure
    profile : str

    Returns
    -------
    str
        Hexadecimal SHA-256.

    Examples
    --------
    >>> from twolayer.catalogue import load, project_root
    >>> root = project_root()
    >>> len(stamp(root, load(root)["4"], "quick"))
    64
    """
    digest = hashlib.sha256()
    for source in [figure.template, *sources(root / "lib" / "twolayer", (".py", ".csv"))]:
        digest.update(source.relative_to(root).as_posix().encode() + b"\0")
        digest.update(source.read_bytes() + b"\0")
    digest.update(json.dumps(figure.parameters[profile], sort_keys=True).encode())
    digest.update(json.dumps(versions(_RUNS_ON), sort_keys=True).encode())
    return digest.hexdigest()


def sources(package: Path, kinds: Iterable[str]) -> list[Path]:
    """The files of a package, without what editors and notebooks leave beside them.

    Locks, swap files, backups and checkpoints have no names that Python could import.

    Parameters
    ----------
    package : Path
    kinds : iterable of str
        Endings: ".py".

    Returns
    -------
    list of Path
        In a fixed order.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, ".#ode.py").symlink_to("somebody@somewhere")
    ...     Path(folder, "ode.py").touch()
    ...     [file.name for file in sources(Path(folder), [".py"])]
    ['ode.py']
    """
    found = (file for kind in kinds for file in package.rglob(f"*{kind}") if file.is_file())
    named = ((file, file.relative_to(package).with_suffix("").parts) for file in found)
    return sorted(file for file, parts in named if all(map(str.isidentifier, parts)))


def lacking(cells: Iterable[Mapping[str, Any]]) -> str | None:
    """What an executed notebook should show and does not: a picture where one is described.

    Parameters
    ----------
    cells : iterable of mapping
        Of the notebook.  A picture is described by the text for those who cannot see it, in a
        cell's metadata; a notebook has one at least.

    Returns
    -------
    str, optional
        As "a picture"; None if all is there.

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


def seal(content: bytes) -> str:
    """The hash by which a file is known again."""
    return hashlib.sha256(content).hexdigest()
