"""Keep what the figures gave at the paper's own sizes, which takes hours to compute.

The profile ``paper`` is not run with every build; its numbers are kept in
``book/paper_profile.json`` with run times and versions, and the book shows them::

    python -m companion.figures --profile paper
    python -m companion.figures.record

Figures made since are added to what is kept; one made again replaces what was kept of it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from companion.claims.tables import claims_table, comparison_table, counted, link, table, verdicts
from companion.figures.catalogue import load, output_folder, project_root
from companion.figures.freshness import is_fresh
from twolayer.support.checks import InvalidInput, shown
from twolayer.support.versions import versions

__all__ = ["FILE", "page", "update"]

#: Where the numbers are kept.
FILE = Path("book", "paper_profile.json")


def update(root: Path) -> list[str]:
    """Add every figure in ``book/figures`` that was made at the paper's own size.

    Parameters
    ----------
    root : Path
        The clone.

    Returns
    -------
    list of str
        Ids of the figures that were added or replaced.

    Raises
    ------
    InvalidInput
        If no figure there was made with the profile "paper" by the code as it is now, or the
        file with what is kept cannot be read.
    """
    folder, file = output_folder(root), root / FILE
    kept = _read(file)["figures"] if file.exists() else {}
    made = {}
    for name, figure in load(root).items():
        if is_fresh(root, figure, "paper"):
            run = json.loads((folder / f"{name}.ipynb").read_text("utf-8"))["metadata"]["twolayer"]
            data = folder / f"{name}.json"
            numbers = json.loads(data.read_text("utf-8")) if data.exists() else {}
            made[name] = {
                "seconds": run["seconds"],
                "megabytes_at_most": run["megabytes_at_most"],
                "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
                "versions": versions(),
                "claims": numbers.get("claims", []),
                "comparisons": numbers.get("comparisons", []),
            }
    if not made:
        allowed = "figures of `python -m companion.figures --profile paper`, made by this version"
        raise InvalidInput(str(folder), "none of them", allowed)
    content = json.dumps({"figures": kept | made}, indent=1, sort_keys=True, ensure_ascii=False)
    partial = file.with_suffix(".partial")
    partial.write_text(content + "\n", "utf-8")
    os.replace(partial, file)
    return list(made)


def page(root: Path) -> str:
    """Run times, claims and printed values at the paper's own sizes, as Markdown.

    Parameters
    ----------
    root : Path
        The clone.

    Returns
    -------
    str

    Raises
    ------
    InvalidInput
        If nothing is kept, or it is not what `update` writes.
    """
    figures, wanted = _read(root / FILE)["figures"], load(root)
    runs = {name: figures[name] for name in wanted if name in figures}
    rows = [
        (
            link(name),
            f"{run['seconds'] / 60:.1f}",
            counted(verdicts(run["claims"])),
            str(len(run["comparisons"]) or ""),
            run["machine"],
        )
        for name, run in runs.items()
    ]
    head = ("figure", "minutes", "verdicts", "printed values", "machine")
    lines = ["## Run times", "", table(head, rows)]
    total = sum(run["seconds"] for run in figures.values()) / 3600
    largest = max(run["megabytes_at_most"] or 0 for run in figures.values())
    lines += [
        "",
        f"{len(figures)} of {len(wanted)} figures, {total:.2f} hours of notebooks in all (two at a "
        f"time), the largest process {largest} MB.",
    ]
    if missing := [name for name in wanted if name not in figures]:
        lines += ["", f"Not yet run at this size: {', '.join(missing)}."]
    lines += ["", "## Claims at these sizes", "", claims_table(root / FILE, level=3)]
    lines += ["", "## Printed values", "", comparison_table(root / FILE)]
    return "\n".join(lines)


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text("utf-8"))
        for run in content["figures"].values():
            float(run["seconds"]), run["megabytes_at_most"], run["machine"], run["claims"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        allowed = "a file of `python -m companion.figures.record`"
        raise InvalidInput(str(file), f"something else ({shown(error)})", allowed) from error
    return content


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m companion.figures.record",
        description=f"Keep the numbers of the figures made with --profile paper in {FILE}.",
    )
    parser.add_argument("--root", help="the clone; by default the one around this folder")
    try:
        made = update(project_root(parser.parse_args(arguments).root))
    except (InvalidInput, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"kept {', '.join(made)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
