"""What the pages say: whole tables, and no measured number that was typed."""

import json
import re

import pytest
from conftest import ROOT

from companion.claims import tables
from companion.figures import record
from companion.figures.catalogue import load

#: A block of code or a directive, as its marks, its name and what is in it.
FENCE = re.compile(r"^(`{3,}|:{3,})(\S*)[^\n]*\n(.*?)^\1\s*$", re.M | re.S)
#: Directives that hold text.
TEXT = ("{admonition}", "{dropdown}", "{figure}", "{glossary}")
TEMPLATES = sorted((ROOT / "notebooks").glob("*.ipynb"))
SOURCES = [ROOT / "README.md", *sorted((ROOT / "book").glob("*.md")), *TEMPLATES]


def markdown(file):
    """The text of a page or of a notebook, blocks of code and directives without text left out."""
    text = file.read_text("utf-8")
    if file.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    return FENCE.sub(lambda block: block[3] if block[2] in TEXT else "", text)


def made():
    """What executed notebooks and directives give, by name."""
    folder = ROOT / "book/figures"
    for name in load(ROOT):
        for cell in json.loads((folder / f"{name}.ipynb").read_text("utf-8"))["cells"]:
            for output in cell.get("outputs", ()):
                yield name, "".join(output.get("data", {}).get("text/markdown", ""))
    yield "claims", tables.claims_table(folder)
    yield "comparison", tables.comparison_table(folder)
    yield "paper_profile", record.page(ROOT)


def rows_of_other_length(text):
    """Rows of tables with more or fewer cells than the row above the rule."""
    lines, wrong, width = text.splitlines(), [], None
    for number, line in enumerate(lines):
        cells = len(re.findall(r"(?<!\\)\|", line.strip())) - 1
        below = lines[number + 1] if number + 1 < len(lines) else ""
        if width is None and re.fullmatch(r"\s*\|(?:\s*:?-{3,}:?\s*\|)+\s*", below):
            width = cells
        if not line.lstrip().startswith("|"):
            width = None
        elif width is not None and cells != width:
            wrong.append(line)
    return wrong


def test_rows_of_other_length_are_found():
    table = "a | b\n\n| a | b |\n|---|---|\n| 1 | 2 |\n| max|x| | 2 |\n| max\\|x\\| | 2 |\n| 1 |\n"
    assert rows_of_other_length(table) == ["| max|x| | 2 |", "| 1 |"]


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.name)
def test_tables_have_as_many_cells_as_their_heads(file):
    assert not rows_of_other_length(markdown(file))


def test_made_tables_have_as_many_cells_as_their_heads(built_book):
    texts = list(made())
    assert sum(text.count("|---") for _, text in texts) > 200
    assert not [(name, row) for name, text in texts for row in rows_of_other_length(text)]


#: What a reader would take for a measured number, in text without $ and braces.
_COUNT = "two|three|four|five|six|seven|eight|nine|ten"
MEASURED = re.compile(
    r"\d\.\d|\b10\^-?\d|\d\s*\\?%|(?:≈|~|\\approx|\\simeq)\s*-?\d|×\s*\d"
    r"|\bfactors? (?:of )?(?:about )?\d+(?![\d/+])"
    r"|\b(?:nano|micro|milli)seconds?\b|\bseconds\b|\bminutes?\b|\bhours?\b"
    r"|\d ?[nµm]s\b|\d s\b|\d ?[kMG]B\b"
    rf"|\b(?:{_COUNT}|\d+)\s(?:decades|orders of magnitude)\b"
)
_NUMBER = r"-?\d[\d.]*(?:\^-?\d+)?"
_MORE = rf"(?:(?:,| and| or)\s*{_NUMBER})*"
_SYMBOL = (
    r"(?:\\?(?:gamma|Delta|kappa|delta|eta|tau|mathrm dt)|(?<![A-Za-z])[pkdtbΔγ])"
    r"(?:_0)?(?:/[pd]|/\\gamma|/\\sqrt p)?"
)
#: Kinds of numbers that are typed, for they are not measured.
ALLOWED = {
    "how long a page takes to read": r"\*\*Time\*\*.*",
    "a parameter": rf"{_SYMBOL}\s*(?:=|<|>|\\leq?|\\geq?)\s*{_NUMBER}{_MORE}",
    "a parameter, in the first cell of a row": rf"^\|\s*{_NUMBER}\s*\|",
    "a parameter: a line that figure 1 draws": r"1/\\sqrt p=0\.1",
    "a parameter: steps in a unit of time": r"pd/\\gamma=10\^5",
    "the band that is drawn": r"central \d+ %",
    "a version": r"Python 3\.\d+|\bCC BY \d\.\d",
    "a bound that a test holds": r"relative difference below 10\^-12|may move by 0\.1 %",
    "an address or identifier": r"arXiv:\d+\.\d+|https?://\S+",
}


def typed(text):
    """Measured numbers that stand in a text, each with what is around it."""
    text = re.sub(r"\{(?:result|cite|cite:t|eq|term|download)\}`[^`]*`", "", text)
    text = re.sub(r"`[^`\n]+`|\]\([^)]*\)|^:(?:name|width|class|tags):.*$", "", text, flags=re.M)
    text = re.sub(r"[${}]|\\[,;!]|\\rm\b", "", text)
    for kind in ALLOWED.values():
        text = re.sub(kind, "", text, flags=re.M)
    return [text[max(0, m.start() - 40) : m.end() + 20] for m in MEASURED.finditer(text)]


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.name)
def test_no_measured_number_is_typed(file):
    """They come by `{result}`; parameters and what else `ALLOWED` names may be typed."""
    assert not typed(markdown(file))


@pytest.mark.parametrize(
    "text",
    [
        r"$\sqrt{\frac53}\approx4.06$",
        "right to about $10^{-5}$",
        "the scripts (12 MB)",
        "some tens of nanoseconds",
        "takes 3 hours",
        "it is 17 % lower",
        "lower by a factor 3",
        "over four decades",
        "a constant of 0.0919",
        "$R=0.02$",
    ],
)
def test_a_typed_number_is_found(text):
    assert typed(text)


@pytest.mark.parametrize(
    "text",
    [
        r"at $\gamma/p=0.003$, $d=10^3$ and $10^5$, $\Delta=10^{-3}$",
        "is {result}`4:slope` in figure 4, theorem 1, of 2023",
        "**Time**: about 20 minutes.",
        "| 0.5 | {result}`a:b` |",
        "median and central 68 % of the runs",
    ],
)
def test_other_numbers_may_be_typed(text):
    assert not typed(text)


def test_the_tests_that_a_page_names_are_there():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "book/trust.md").read_text("utf-8"))
    assert len(named) > 20
    for file, name in named:
        assert f"def {name}(" in (ROOT / file).read_text("utf-8"), name
