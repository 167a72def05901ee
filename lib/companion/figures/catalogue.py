"""The list of figures, ``notebooks/figures.yml``."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from twolayer.support.checks import InvalidInput, shown

#: Profiles, from the fastest to the paper's own sizes.
PROFILES = ("quick", "paper")
#: No list of figures is longer than this many bytes.
_LONGEST = 1_000_000

_PARAMETERS = {
    "description": "a mapping of parameters",
    "type": "object",
    "propertyNames": {"type": "string", "description": "names of parameters"},
}
#: Of `figures.yml`; what is wrong is said by the description of the part.
SCHEMA = {
    "description": "a mapping from figure ids",
    "type": "object",
    "propertyNames": {
        "description": "figure ids of at most 60 letters, digits and hyphens",
        "type": "string",
        "pattern": r"^[A-Za-z0-9][A-Za-z0-9-]{0,59}\Z",
    },
    "additionalProperties": {
        "description": "a mapping with exactly a title, a template and the profiles",
        "type": "object",
        "required": ["title", "template", *PROFILES],
        "additionalProperties": False,
        "properties": {
            "title": {"type": "string", "description": "text"},
            "template": {
                "description": "the name of a notebook in notebooks/",
                "type": "string",
                "pattern": r"^[\w-]+\.ipynb\Z",
            },
            **dict.fromkeys(PROFILES, _PARAMETERS),
        },
    },
}


@dataclass(frozen=True)
class Figure:
    """One figure, its id as in the paper: "2-left"; parameters of its template by profile."""

    id: str
    title: str
    template: Path
    parameters: Mapping[str, Mapping[str, Any]]


def project_root(start: str | os.PathLike[str] | None = None) -> Path:
    """The nearest folder at or above `start` that holds ``notebooks/figures.yml``.

    By default it is sought from the working directory, then from the place of the package itself;
    `InvalidInput` if there is none.
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
    """Read and check ``notebooks/figures.yml``: figure id → `Figure`, in the order of the file.

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
    entries = _read(root / "notebooks" / "figures.yml")
    for error in Draft202012Validator(SCHEMA).iter_errors(entries):
        where = ": ".join(["figures.yml", *map(str, error.absolute_path)])
        raise InvalidInput(where, shown(error.instance), error.schema["description"])
    return {name: _figure(root, name, entry) for name, entry in entries.items()}


class _PlainLoader(yaml.SafeLoader):
    """No aliases, which can grow without end; no merges; no key twice."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias")
        return super().compose_node(parent, index)

    def flatten_mapping(self, node: Any) -> None:
        pass  # what is to be merged stays a key, of a kind that cannot be read

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        mapping = super().construct_mapping(node, deep=deep)
        if len(mapping) < len(node.value):
            raise yaml.YAMLError("a key twice")
        return mapping


def _read(file: Path) -> Any:
    try:
        content = file.read_bytes()
        if len(content) > _LONGEST:
            raise ValueError(f"more than {_LONGEST:,} bytes")
        return _PlainLoader(content.decode("utf-8")).get_single_data()
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        what = f"a file that cannot be read ({shown(error)})"
        raise InvalidInput("figures.yml", what, "plain YAML, in UTF-8") from error


def _figure(root: Path, name: str, entry: Mapping[str, Any]) -> Figure:
    where, template = f"figures.yml: {name}", root / "notebooks" / entry["template"]
    if not template.is_file() or template.resolve().parent != root.resolve() / "notebooks":
        allowed = f"a notebook in {root / 'notebooks'}"
        raise InvalidInput(f"{where}: template", shown(entry["template"]), allowed)
    known = _template_parameters(where, template)
    for profile in PROFILES:
        if unknown := sorted(set(entry[profile]) - set(known)):
            allowed = "parameters among " + ", ".join(known)
            raise InvalidInput(f"{where}: {profile}", ", ".join(unknown), allowed)
        if not _is_plain(entry[profile]):
            allowed = "finite numbers, text, true or false, or lists and mappings of them"
            raise InvalidInput(f"{where}: {profile}", shown(entry[profile]), allowed)
    return Figure(name, entry["title"], template.resolve(), {p: entry[p] for p in PROFILES})


def _is_plain(value: Any) -> bool:
    """Whether JSON can say it: not so dates, sets, bytes, infinity and keys that are no text."""
    try:
        return json.loads(json.dumps(value, allow_nan=False)) == value
    except (TypeError, ValueError):
        return False


def _template_parameters(where: str, template: Path) -> list[str]:
    import papermill

    try:
        return sorted(papermill.inspect_notebook(str(template)))
    except Exception as error:  # the reader meets a malformed file with any exception at all
        allowed = f"a Jupyter notebook ({shown(error)})"
        raise InvalidInput(f"{where}: template", template.name, allowed) from error
