"""The command line of the figures: `python -m companion.figures`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import nullcontext

from companion.figures.catalogue import PROFILES, load, project_root
from companion.figures.freshness import condition
from companion.figures.make import FigureError, make
from twolayer.support.checks import InvalidInput, check_choice
from twolayer.support.cluster import cluster


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m companion.figures", description="Make the figures of the companion."
    )
    parser.add_argument("ids", nargs="*", metavar="id", help="figures to make; all by default")
    parser.add_argument("--list", action="store_true", help="say what there is, and its state")
    parser.add_argument("--profile", default="quick", help=" or ".join(PROFILES))
    parser.add_argument("--jobs", type=int, default=2, help="notebooks that run at once")
    parser.add_argument("--force", action="store_true", help="make them even if up to date")
    parser.add_argument("--dask", metavar="ADDRESS", help="run on the cluster of this scheduler")
    parser.add_argument("--root", help="the clone; by default the one around this folder")
    chosen = parser.parse_args(arguments)
    try:
        root = project_root(chosen.root)
        if chosen.list:
            check_choice("profile", chosen.profile, PROFILES)
            for figure in load(root).values():
                state = condition(root, figure, chosen.profile)
                print(f"{figure.id:10} {state:11} {figure.title}  ({figure.template.name})")
            return 0
        with cluster(chosen.dask) if chosen.dask else nullcontext() as executor:
            made = make(root, chosen.ids, chosen.profile, chosen.jobs, chosen.force, executor)
    except (InvalidInput, FigureError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: the figures finished before are kept", file=sys.stderr)
        return 130
    print(f"made {', '.join(made)}" if made else "everything is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
