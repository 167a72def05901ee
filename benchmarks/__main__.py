"""`python -m benchmarks`: measure, print a table, write it with a plot.

    python -m benchmarks                        # quick, a few minutes; writes benchmarks/latest.*
    python -m benchmarks --size full            # more samples, longer
    python -m benchmarks --only sgd-peers memory   # prints these, writes nothing
    python -m benchmarks --list

After Ctrl-C the benchmarks that were finished are printed, and nothing is written.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.catalogue import BENCHMARKS
from benchmarks.results import SIZES, Result, Size
from benchmarks.timing import fastest, machine, matrix_product


def measure(names: list[str], size: Size, say: Any = lambda text: None) -> dict[str, Any]:
    """Run benchmarks one after another.

    Parameters
    ----------
    names : list of str
        Keys of `BENCHMARKS`.
    size : Size
    say : callable
        Told how far it is.

    Returns
    -------
    dict
        Plain data, for `report` and `plot`; after Ctrl-C of what was finished, with
        "complete" unset.
    """
    started, where = time.perf_counter(), machine()
    n = size.pick(64, 2000, 2000)
    gemm = 2e-9 * n**3 / fastest({"": matrix_product(n, n, n)}, size)[""]
    result, complete = Result(), True
    for number, name in enumerate(names, 1):
        begun = time.perf_counter()
        try:
            found = BENCHMARKS[name](size)
        except KeyboardInterrupt:
            complete = False
            break
        result.add(found)
        say(f"[{number}/{len(names)}] {name}: {time.perf_counter() - begun:.0f} s")
        for line in found.lines:
            what, measured, _, ratio, target, verdict = report.cells(line.as_dict())
            text = f"    {what}: {measured}, ratio {ratio or '-'}"
            say(text + (f", {target}: {verdict}" if verdict else ""))
    return {
        "size": size.name,
        "complete": complete,
        "minutes": round((time.perf_counter() - started) / 60, 2),
        "machine": where,
        "gemm": gemm,
        "lines": [line.as_dict() for line in result.lines],
        "curves": [asdict(curve) for curve in result.curves],
        "costs": [asdict(cost) for cost in result.costs],
    }


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--size", choices=list(SIZES), default="quick")
    parser.add_argument("--only", nargs="+", choices=list(BENCHMARKS), metavar="BENCHMARK")
    parser.add_argument("--list", action="store_true", help="list the benchmarks and stop")
    parser.add_argument("--output", type=Path, help="folder to write to, benchmarks/ by default")
    chosen = parser.parse_args(arguments)
    if chosen.list:
        for name, benchmark in BENCHMARKS.items():
            print(f"{name:20}{(benchmark.__doc__ or '').splitlines()[0]}")
        return 0
    found = measure(
        chosen.only or list(BENCHMARKS),
        SIZES[chosen.size],
        lambda text: print(text, file=sys.stderr, flush=True),
    )
    print(report.table(found))
    folder = chosen.output
    if folder is None and chosen.only is None:
        folder = Path(__file__).parent
    if folder is not None and found["complete"]:
        report.write(found, folder)
        from benchmarks import plot

        plot.draw(found, folder / "latest.svg")
        print(f"\nwritten to {folder}: latest.json, latest.csv, latest.svg, history.csv")
    return 0 if found["complete"] else 130


if __name__ == "__main__":
    raise SystemExit(main())
