"""Keep what the figures gave at the paper's own sizes, which takes hours to compute.

The profile ``paper`` is not run with every build.  The JSON of each figure made so is kept in
``book/paper``, with run time and versions, and the book shows them::

    python -m companion.figures --profile paper
    python -m companion.figures.record

A figure made again replaces what was kept of it.
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
from companion.figures.freshness import is_fresh, run_of
from twolayer.support.checks import InvalidInput, shown
from twolayer.support.versions import versions

__all__ = ["FOLDER", "page", "update"]

#: Where the numbers are kept.
FOLDER = Path("book", "paper")


def update(root: Path) -> list[str]:
    """Copy the JSON of every figure in ``book/figures`` that was made at the paper's own size.

    Returns their ids; `InvalidInput` if no figure there was made so by the code as it is now.
    """
    folder = output_folder(root)
    made = [name for name, figure in load(root).items() if is_fresh(root, figure, "paper")]
    if not made:
        allowed = "figures of `python -m companion.figures --profile paper`, made by this version"
        raise InvalidInput(str(folder), "none of them", allowed)
    (root / FOLDER).mkdir(exist_ok=True)
    for name in made:
        run = run_of(folder, name)
        data = folder / f"{name}.json"
        numbers = json.loads(data.read_text("utf-8")) if data.exists() else {}
        content = {"claims": [], "comparisons": []} | numbers
        content["seconds"] = run["seconds"]
        content["megabytes"] = run["megabytes_at_most"]
        content["machine"] = f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}"
        content["versions"] = versions()
        text = json.dumps(content, indent=1, ensure_ascii=False)
        (root / FOLDER / f"{name}.json").write_text(text + "\n", "utf-8")
    return made


def page(root: Path) -> str:
    """Run times, claims and printed values at the paper's own sizes, as Markdown.

    `InvalidInput` if nothing is kept, or it is not what `update` writes.
    """
    folder, wanted = root / FOLDER, load(root)
    runs = {name: _read(file) for name in wanted if (file := folder / f"{name}.json").exists()}
    if not runs:
        raise InvalidInput(str(folder), "no figure", "what `update` has kept")
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
    total = sum(run["seconds"] for run in runs.values()) / 3600
    largest = max(run["megabytes"] or 0 for run in runs.values())
    lines = ["## Run times", "", table(head, rows), ""]
    lines += [
        f"{len(runs)} of {len(wanted)} figures, {total:.2f} hours of notebooks in all (two at a "
        f"time), the largest process {largest} MB."
    ]
    if missing := [name for name in wanted if name not in runs]:
        lines += ["", f"Not yet run at this size: {', '.join(missing)}."]
    lines += ["", "## Claims at these sizes", "", claims_table(folder, level=3)]
    lines += ["", "## Printed values", "", comparison_table(folder)]
    return "\n".join(lines)


def _read(file: Path) -> dict[str, Any]:
    try:
        run = json.loads(file.read_text("utf-8"))
        float(run["seconds"]), run["megabytes"], run["machine"], len(run["comparisons"])
        verdicts(run["claims"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        allowed = "a file of `python -m companion.figures.record`"
        raise InvalidInput(str(file), f"something else ({shown(error)})", allowed) from error
    return run


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m companion.figures.record",
        description=f"Keep the numbers of the figures made with --profile paper in {FOLDER}.",
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
