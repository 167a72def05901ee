"""The results as a table, as files, and as the text of a page."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from companion.claims import tables

HEADER = ("what", "measured", "yardstick", "ratio", "target", "")
HISTORY = (
    *("date", "commit", "processor", "cores", "python", "numpy", "size"),
    *("line", "measured", "unit", "yardstick", "ratio", "target", "met"),
)
ALT = (
    "Seven panels on logarithmic axes: microseconds a step of SGD against d, p and k; relative "
    "error against seconds for two flows; seconds of a mean-field right-hand side against "
    "particles; each beside its yardsticks; and every line in units of its target."
)
Report = Mapping[str, Any]


def number(value: float | None) -> str:
    """Three significant digits, in plain notation where that is short.

    Examples
    --------
    >>> number(0.04567), number(1234.5), number(2e-7), number(None)
    ('0.0457', '1230', '2e-07', '')
    """
    if value is None:
        return ""
    text = f"{value:.3g}"
    return f"{float(text):.0f}" if "e" in text and 1e3 <= abs(value) < 1e7 else text


def cells(line: Report) -> tuple[str, ...]:
    """A line of the table, as text, in the order of `HEADER`."""
    unit = f" {line['unit']}" if line["unit"] else ""
    yardstick = line["yardstick"]
    if line["yardstick_value"] is not None:
        yardstick += f": {number(line['yardstick_value'])}{unit}"
    target, verdict = "", ""
    if line["target"] is not None:
        of = " ×" if line["bounds"] == "ratio" else unit
        target = f"{line['sense']} {number(line['target'])}{of}"
        verdict = "met" if line["met"] else "not met"
    ratio = "" if line["ratio"] is None else number(line["ratio"])
    measured = f"{number(line['measured'])}{unit}"
    return line["what"], measured, yardstick, ratio, target, verdict


def table(report: Report) -> str:
    """The table for a terminal, with the machine above it and the costs below."""
    rows = [HEADER, *map(cells, report["lines"])]
    widths = [max(len(row[c]) for row in rows) for c in range(len(HEADER))]
    out = [machine(report), ""]
    for row in rows:
        out.append("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip())
    notes = [f"  {line['name']}: {line['note']}" for line in report["lines"] if line["note"]]
    out += ["", *notes, "", *(f"  {text}" for text in costs(report))]
    return "\n".join(out)


def page(report: Report) -> str:
    """The same as MyST Markdown."""
    out = [f"{machine(report)}.", ""]
    rows = []
    for line in report["lines"]:
        what, *others = cells(line)
        rows.append([f"{what} ({line['note']})" if line["note"] else what, *others])
    heads = ("what", "measured", "yardstick", "ratio", "target", "verdict")
    out.append(tables.table(heads, rows))
    out += ["", "```{figure} ../benchmarks/latest.svg", f":alt: {ALT}", ":width: 100%", ""]
    out += ["The same run: cost, accuracy, and how far each line is from its target.", "```", ""]
    out += ["Where the time goes, the largest first:", ""]
    return "\n".join([*out, *(f"- {text}" for text in costs(report))])


def machine(report: Report) -> str:
    """One sentence on where and when."""
    m = report["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in m["versions"].items())
    return (
        f"Size {report['size']}, {report['minutes']:.1f} minutes on {m['date']} at {m['commit']}: "
        f"{m['processor']}, {m['cores']} cores, {m['memory_GB']} GB, {m['system']}, "
        f"{m['blas']}, {versions}; GEMM {number(report['gemm'])} GFLOP/s; load "
        f"before the run {m['load_before']}"
    )


def costs(report: Report) -> list[str]:
    """A sentence for each method: its parts as shares, the largest first."""
    out = []
    for cost in report["costs"]:
        total = sum(cost["parts"].values()) or 1.0
        parts = sorted(cost["parts"].items(), key=lambda part: -part[1])
        shares = ", ".join(f"{name} {100 * value / total:.0f} %" for name, value in parts)
        out.append(f"{cost['method']} ({number(total)} µs): {shares}")
    return out


def write(report: Report, folder: Path) -> None:
    """`latest.json` and `latest.csv`, and a row for each line at the end of `history.csv`."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, indent=1, ensure_ascii=False)
    (folder / "latest.json").write_text(text + "\n", encoding="utf-8")
    with (folder / "latest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(report["lines"][0]) if report["lines"] else [])
        writer.writeheader()
        writer.writerows(report["lines"])
    history = folder / "history.csv"
    new = not history.exists()
    m = report["machine"]
    run = [m["date"], m["commit"], m["processor"], m["cores"]]
    run += [m["versions"]["python"], m["versions"].get("numpy", ""), report["size"]]
    with history.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(HISTORY)
        for line in report["lines"]:
            values = [line[key] for key in ("measured", "yardstick_value", "ratio", "target")]
            measured, yardstick, ratio, target = ("" if v is None else f"{v:.4g}" for v in values)
            met = "" if line["met"] is None else line["met"]
            row = [line["name"], measured, line["unit"], yardstick, ratio, target, met]
            writer.writerow([*run, *row])
