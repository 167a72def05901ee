"""The list of figures, ``notebooks/figures.yml``, read with suspicion."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twolayer.support.checks import InvalidInput, shown

#: Profiles, from the fastest to the paper's own sizes.
PROFILES = ("quick", "paper")
#: No list of figures is longer than this many bytes.
_LONGEST = 1_000_000
_LONGEST_ID = 60


@dataclass(frozen=True)
class Figure:
    """One figure: a template and its parameters per profile.

    Attributes
    ----------
    id : str
        As in the paper: "2-left".
    title : str
    template : Path
    parameters : dict
        Profile → parameters of the template.
    """

    id: str
    title: str
    template: Path
    parameters: Mapping[str, Mapping[str, Any]]


def project_root(start: str | os.PathLike[str] | None = None) -> Path:
    """The nearest folder at or above `start` that holds ``notebooks/figures.yml``.

    Parameters
    ----------
    start : path, optional
        By default the working directory, then the place of the package itself.

    Returns
    -------
    Path

    Raises
    ------
    InvalidInput
        If there is none.
    """
    try:
        starts = [Path(start)] if start is not None else [Path.cwd(), Path(__file__)]
        for place in starts:
            for folder in (place.resolve(), *place.resolve().parents):
                if (folder / "notebooks" / "figures.yml").is_file():
                    return folder
    except (OSError, TypeError, ValueError) as error:
        raise InvalidInput("root", shown(start), f"a folder ({error})") from error
    raise InvalidInput(
        "root", ", ".join(map(str, starts)), "inside a clone that has notebooks/figures.yml"
    )


def output_folder(root: Path) -> Path:
    """Where executed notebooks go."""
    return root / "book" / "figures"


def load(root: Path) -> dict[str, Figure]:
    """Read and check ``notebooks/figures.yml``.

    Parameters
    ----------
    root : Path

    Returns
    -------
    dict
        Figure id → `Figure`, in the order of the file.

    Raises
    ------
    InvalidInput
        If it is not plain YAML (no tags, no aliases, no key twice), an entry lacks a
        template, a profile or a title, names a file outside ``notebooks``, or sets a
        parameter that its template does not have.

    Examples
    --------
    >>> load(project_root())["2-right"].title
    'One ODE for all dimensions'
    """
    entries = _yaml(root / "notebooks" / "figures.yml")
    if not isinstance(entries, dict):
        raise InvalidInput("figures.yml", type(entries).__name__, "a mapping from figure ids")
    return {str(name): _figure(root, str(name), entry) for name, entry in entries.items()}


def _yaml(file: Path) -> Any:
    import yaml

    try:
        content = file.read_bytes()
        if len(content) > _LONGEST:
            raise ValueError(f"more than {_LONGEST:,} bytes")
        text = content.decode("utf-8")
        _no_repetitions(yaml.compose(text, yaml.SafeLoader))
        return yaml.safe_load(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        what = f"a file that cannot be read ({shown(error)})"
        raise InvalidInput("figures.yml", what, "plain YAML, in UTF-8") from error


def _no_repetitions(node: Any, seen: set[int] | None = None) -> None:
    """`ValueError` if a key comes twice, or a node is used twice (aliases can grow without end)."""
    seen = set() if seen is None else seen
    if node is None:
        return
    if id(node) in seen:
        raise ValueError("an alias")
    seen.add(id(node))
    if isinstance(node.value, str):
        return
    pairs = [item for item in node.value if isinstance(item, tuple)]
    keys = [str(key.value) for key, _ in pairs]
    twice = {key for key in keys if keys.count(key) > 1}
    if twice:
        raise ValueError(f"the key {twice.pop()!r} twice")
    for item in node.value:
        for inner in item if isinstance(item, tuple) else (item,):
            _no_repetitions(inner, seen)


def _figure(root: Path, name: str, entry: Any) -> Figure:
    where = f"figures.yml: {name}"
    if not name.replace("-", "").isalnum() or len(name) > _LONGEST_ID:
        allowed = f"figure ids of at most {_LONGEST_ID} letters, digits and hyphens"
        raise InvalidInput("figures.yml", name, allowed)
    wanted = {"title", "template", *PROFILES}
    if not isinstance(entry, dict) or set(entry) != wanted:
        got = sorted(map(str, entry)) if isinstance(entry, dict) else type(entry).__name__
        raise InvalidInput(where, str(got), f"a mapping with exactly {sorted(wanted)}")
    if not isinstance(entry["title"], str):
        raise InvalidInput(f"{where}: title", shown(entry["title"]), "text")
    template = _template(root, where, entry["template"])
    known = _template_parameters(where, template)
    for profile in PROFILES:
        chosen = entry[profile]
        if not isinstance(chosen, dict):
            raise InvalidInput(f"{where}: {profile}", repr(chosen), "a mapping of parameters")
        check_parameters(f"{where}: {profile}", chosen, known)
        for parameter, value in chosen.items():
            if not _plain(value):
                allowed = "finite numbers, text, true or false, or lists and mappings of them"
                raise InvalidInput(f"{where}: {profile}: {parameter}", shown(value), allowed)
    return Figure(name, entry["title"], template, {p: entry[p] for p in PROFILES})


def _template(root: Path, where: str, name: Any) -> Path:
    """The file that an entry names, which must lie in ``notebooks``, and that in the clone."""
    folder = (root / "notebooks").resolve()
    try:
        template = (folder / name).resolve()
        inside = template.parent == folder and folder.is_relative_to(root.resolve())
        if inside and template.suffix == ".ipynb" and template.is_file():
            return template
    except (OSError, TypeError, ValueError, RuntimeError):
        pass
    raise InvalidInput(f"{where}: template", shown(name), f"a notebook in {root / 'notebooks'}")


def _plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _plain(inner) for key, inner in value.items())
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, (str, int))


def check_parameters(where: str, chosen: Iterable[str], known: Iterable[str]) -> None:
    """Refuse parameters that a template does not have (papermill would only log them)."""
    known = sorted(known)
    unknown = sorted(set(map(str, chosen)) - set(known))
    if unknown:
        raise InvalidInput(where, ", ".join(unknown), "parameters among " + ", ".join(known))


def _template_parameters(where: str, template: Path) -> list[str]:
    import papermill

    try:
        return list(papermill.inspect_notebook(str(template)))
    except Exception as error:  # the reader meets a malformed file with any exception at all
        allowed = f"a Jupyter notebook ({shown(error)})"
        raise InvalidInput(f"{where}: template", template.name, allowed) from error
