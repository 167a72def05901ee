"""Tables of the book, as Markdown: claims and printed values, from what figures have published."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from math import isinf
from pathlib import Path
from typing import Any

from companion.claims.measurement import CLAIMS
from companion.claims.typeset import for_tables
from twolayer.support.checks import InvalidInput, check_choice, shown

#: What each published entry must hold.
_ENTRIES: dict[str, dict[str, type | tuple[type, ...]]] = {
    "claims": {"claim": int}
    | dict.fromkeys(("quantity", "paper", "measured", "verdict", "note"), str),
    "comparisons": dict.fromkeys(("curve", "t", "printed", "as_printed", "ours"), (int, float)),
}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    r"""A table in Markdown, as many cells in each row as in the head.

    A ``|`` within a cell is escaped, in formulas and code as well: Markdown takes it for the end
    of the cell wherever it stands.  A line break becomes a space.

    Examples
    --------
    >>> print(table("ab", [["max|x|", "2"]]))
    | a | b |
    |---|---|
    | max\|x\| | 2 |
    """
    lines = [
        [for_tables(" ".join(cell.split())).replace("|", r"\|") for cell in line]
        for line in (head, *rows)
    ]
    for line in lines:
        if len(line) != len(lines[0]):
            raise InvalidInput(
                "rows", shown(line), f"a row of {len(lines[0])} cells, like the head"
            )
    first, *others = ("| " + " | ".join(line) + " |" for line in lines)
    return "\n".join([first, "|" + "---|" * len(lines[0]), *others])


def link(figure: str, title: str = "") -> str:
    """A link from a page in ``book`` to a figure's page."""
    return f"[{title or figure}](figures/{figure}.ipynb)"


def verdicts(claims: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """How often each verdict was given, among published claims."""
    return Counter(claim["verdict"] for claim in claims)


def counted(words: Counter[str]) -> str:
    """Words with their counts, the most frequent first.

    Examples
    --------
    >>> counted(Counter(["yes", "no", "yes"]))
    '2 yes, 1 no'
    """
    return ", ".join(f"{count} {word}" for word, count in words.most_common())


def published(folder: Path, section: str) -> dict[str, list[dict[str, Any]]]:
    """What all figures of a folder have published: figure id → entries, if there are any.

    The folder is ``book/figures`` or ``book/paper``, the section "claims" or "comparisons";
    `InvalidInput` if a file is not what `publishing.publish` writes.
    """
    kinds = _ENTRIES[check_choice("section", section, _ENTRIES)]
    out = {}
    for file in sorted(folder.glob("[!.]*.json")):
        try:
            entries = json.loads(file.read_text("utf-8"))[section]
            for entry in entries:
                for key, kind in kinds.items():
                    if not isinstance(entry[key], kind):
                        raise TypeError(f"{key}: {entry[key]!r}")
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            allowed = "a file of `publish`"
            raise InvalidInput(str(file), f"something else ({shown(error)})", allowed) from error
        if entries:
            out[file.stem] = entries
    return out


def claims_table(folder: Path, level: int = 2) -> str:
    """How all claims of `CLAIMS` came out, then a fold for each; links lead from ``book``.

    `level` is that of the heading before the summary.
    """
    found = published(folder, "claims")
    every = [entry for entries in found.values() for entry in entries]
    lines = [
        f"{'#' * level} In short",
        "",
        f"{len(every)} measurements: {counted(verdicts(every))}.  Each *no*, by claim:",
    ]
    lines += [*_refusals(found), f"{'#' * level} Claim by claim", ""]
    for number, text in CLAIMS.items():
        rows = [(f, e) for f, entries in found.items() for e in entries if e["claim"] == number]
        total = counted(verdicts(e for _, e in rows)) or "not measured"
        lines += [f":::{{dropdown}} {number}. {text}: {total}", ":class-container: claim", ""]
        if not rows:
            lines += ["No figure made so far measures this.", ":::", ""]
            continue
        body = [(e["quantity"], e["paper"], e["measured"], _verdict(e), link(f)) for f, e in rows]
        lines += [table(("quantity", "the paper", "measured", "verdict", "from"), body), ""]
        notes = [f"*{e['quantity']}*: {e['note']}\n" for _, e in rows if e["note"]]
        lines += [*map(for_tables, notes), ":::", ""]
    return "\n".join(lines)


def _verdict(entry: Mapping[str, Any]) -> str:
    """The verdict, and the range in which the statement holds."""
    low, high = (entry.get(side) for side in ("low", "high"))
    if None in (low, high) or (isinf(low) and isinf(high)):
        return f"**{entry['verdict']}**"
    if isinf(low):
        return f"**{entry['verdict']}** (at most {high:.4g})"
    if isinf(high):
        return f"**{entry['verdict']}** (at least {low:.4g})"
    return f"**{entry['verdict']}** ({low:.4g} to {high:.4g})"


def _refusals(found: Mapping[str, Iterable[Mapping[str, Any]]]) -> list[str]:
    """A line for every measurement that contradicts its claim, in the order of the claims."""
    refused = [(e["claim"], f, e) for f, es in found.items() for e in es if e["verdict"] == "no"]
    lines = [""]
    for number, figure, e in sorted(refused, key=lambda one: one[0]):
        reason = e["note"].split(". ")[0].rstrip(".")
        why = f"  {reason[:1].upper()}{reason[1:]}." if reason else ""
        head = f"**{number}**, {link(figure)}: {e['quantity']}: {e['measured']}"
        lines.append(for_tables(f"- {head}; the paper: {e['paper']}.{why}"))
    return [*lines, ""]


def comparison_table(folder: Path) -> str:
    """Printed values against ours: a summary by figure, then every value."""
    found = published(folder, "comparisons")
    summary, every = [], []
    for figure, entries in found.items():
        ours = _largest(e["ours"] / e["printed"] - 1 for e in entries)
        same = _largest(e["as_printed"] / e["printed"] - 1 for e in entries)
        summary.append((link(figure), str(len(entries)), ours, same))
        for e in entries:
            numbers = (e["printed"], e["as_printed"], e["ours"])
            every.append((figure, f"{e['curve']:g}", f"{e['t']:g}", *map("{:.4g}".format, numbers)))
    head = ("figure", "values", "by the equations", "computed as printed")
    heads = ("figure", "curve", "t", "printed", "as printed", "by the equations")
    return f"{table(head, summary)}\n\n{table(heads, every)}"


def _largest(differences: Iterable[float]) -> str:
    largest = max(differences, key=abs)
    return f"{100 * largest:+.3g} %" if abs(largest) < 10 else f"× {1 + largest:.3g}"
