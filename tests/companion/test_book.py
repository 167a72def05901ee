"""The book as its reader gets it: pages, figures, numbers, downloads, links."""

import csv
import dataclasses
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy
import pytest
import scipy
from conftest import ROOT, jupyter_book, write_notebook

from companion.claims import measurement as claims
from companion.claims.typeset import typeset
from companion.figures.catalogue import load

IDS = list(load(ROOT))
CURVES = ["curve", "t", "excess_risk", "low", "high"]
TEXT = ["gradient_flow", "high_dimensional", "mean_field", "intermediate", "rates"]
TEXT += ["escape", "fluctuations", "second_layer", "steps", "own_problem"]
PAGES = [
    "index",
    "one_neuron",
    "triangle",
    "notation",
    "setting",
    *TEXT,
    "explore",
    "cookbook",
    "claims",
    "comparison",
    "paper_profile",
    "reproduce",
    "status",
    "trust",
    "benchmarks",
    "api",
    "conventions",
    "spectrum",
    "limits",
    "inside",
]


class Page(HTMLParser):
    """What the tests want to know of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links, self.images, self.results, self.text = [], [], [], []
        self._in_result = False
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        if tag == "img":
            self.images.append((attributes["src"], attributes.get("alt", "")))
        self._in_result = attributes.get("class") == "result"

    def handle_data(self, data):
        self.text.append(data)
        if self._in_result:
            self.results.append(data)
            self._in_result = False


def pages_of(built_book):
    return [*(f"{p}.html" for p in PAGES), *(f"figures/{i}.html" for i in IDS)]


def test_every_page_is_there(built_book):
    for name in pages_of(built_book):
        assert (built_book / name).is_file(), name


def test_the_first_page_shows_a_figure_at_once(built_book):
    page = Page(built_book / "index.html")
    assert [src for src, alt in page.images if "idea" in src and len(alt) > 60]


def test_every_page_says_what_one_learns_what_one_needs_and_how_long_it_takes(built_book):
    for name in pages_of(built_book):
        text = " ".join(" ".join(Page(built_book / name).text).split())
        if name.startswith("figures/"):  # a figure's page opens with how to see it
            boxes = ("What to look for", "How to read it", "In short", "On this page")
            assert any(box in text for box in boxes), name
            continue
        for part in ("On this page", "You will learn", "You need", "Time"):
            assert part in text, f"{name}: {part}"


def test_links_and_images_lead_somewhere(built_book):
    for name in pages_of(built_book):
        path = built_book / name
        page = Page(path)
        for target in [*page.links, *(src for src, _ in page.images)]:
            parts = urlsplit(target)
            if parts.scheme or not parts.path:
                continue
            assert (path.parent / unquote(parts.path)).exists(), f"{name}: {target}"


def test_pictures_have_alt_texts(built_book):
    for name in pages_of(built_book):
        for src, alt in Page(built_book / name).images:
            assert len(alt) > 20, f"{name}: {src}"


def published(section):
    out = {}
    for name in IDS:
        content = json.loads((ROOT / f"book/figures/{name}.json").read_text("utf-8"))
        out[name] = content[section]
    return out


@pytest.mark.parametrize("page", TEXT)
def test_numbers_in_the_text_are_those_of_the_run(built_book, page):
    numbers = published("results").values()
    known = {typeset(text) for values in numbers for text in values.values()}
    results = Page(built_book / f"{page}.html").results
    assert len(results) > 10
    assert set(results) <= known


def test_the_page_of_claims_has_every_claim_and_no_number_of_its_own(built_book):
    """Whatever the page says beyond its fixed text comes from what the notebooks published."""
    source = (ROOT / "book/claims.md").read_text("utf-8")
    assert not re.search(r"\d+[.,]\d", source)
    text = " ".join(" ".join(Page(built_book / "claims.html").text).split())
    found = [entry for entries in published("claims").values() for entry in entries]
    assert {entry["claim"] for entry in found} == set(claims.CLAIMS)
    for entry in found:
        assert " ".join(typeset(entry["measured"]).split()) in text, entry
        again = {f.name: entry[f.name] for f in dataclasses.fields(claims.Measurement)}
        assert claims.Measurement(**again).as_dict() == entry


def test_the_page_of_comparisons_has_every_printed_value(built_book):
    with (ROOT / "lib/companion/claims/printed_values.csv").open(encoding="utf-8") as file:
        printed = [line.split(",") for line in file if line[0].isdigit()]
    compared = published("comparisons")
    here = {
        (name, c["curve"], c["t"], c["printed"])
        for name, all_of in compared.items()
        for c in all_of
    }
    missing = [row for row in printed if (row[0], *map(float, row[1:])) not in here]
    assert {row[0] for row in missing} <= {"5b"}  # p = 2000 is made by the profile `paper` alone
    assert len(missing) <= 2
    assert "computed as printed" in " ".join(Page(built_book / "comparison.html").text)


def test_we_meet_the_printed_curves():
    """Computed as printed, 1 %: the precision of reading; figure 4 has one value at 0.6 %."""
    for name, entries in published("comparisons").items():
        for entry in entries:
            assert entry["as_printed"] == pytest.approx(entry["printed"], rel=1e-2), (name, entry)


def test_what_captions_and_text_say_of_the_curves_holds():
    """Beside the numbers that they quote."""
    found = published("results")

    def first(figure, *keys):
        return [float(found[figure][key].split()[0]) for key in keys]

    for figure, sizes in {"3-left": (200, 1000), "3-right": (100,), "5b": (100, 200)}.items():
        for p in sizes:  # late it is the equations that SGD is nearer to
            ours, printed = (found[figure][f"nearer_{k}_{p}"] for k in ("equations", "printed"))
            last = ours.rpartition(", ")[2].split(" to ")
            assert printed == "never" or float(printed.rpartition(" ")[2]) <= float(last[0])
    far_with, far = first("5c", "far_with_1000", "far_equations_1000")
    assert far_with < far
    spread, printed = first("3-left", "spread_most", "printed_spread")
    assert spread < printed
    assert found["density"]["kept"] == "100 %"
    assert first("density", "turned")[0] > 80
    low_d = first("finite-d-plateau", "ratio_0", "ratio_3", "ratio_4")
    assert low_d == sorted(low_d)
    over_law = first("second-layer", *(f"fixed_over_law_{p}" for p in (2, 3, 4, 6)))
    fixed = [r * (p - 2 + 2 / 3**0.5) for p, r in zip((2, 3, 4, 6), over_law, strict=True)]
    trained = first("second-layer", *(f"gain_{p}" for p in (2, 3, 4, 6)))
    assert (fixed, trained) == (sorted(fixed), sorted(trained))
    batches = first("steps", "plateau_1", "plateau_4", "plateau_16")
    assert batches == sorted(batches)
    assert max(first("rates", "p_0.3", "p_1", "p_5", "d_square", "d_erf")) < -0.5


@pytest.mark.parametrize("name", IDS)
def test_a_figure_page_states_what_it_ran_and_offers_its_data(built_book, name):
    page = Page(built_book / f"figures/{name}.html")
    text = " ".join(page.text)
    for part in ("Figure of the paper", "Parameters", "Run time", "Versions", "numpy 2"):
        assert part in text, part
    assert "seed" in text or "seed" not in load(ROOT)[name].template.read_text("utf-8")
    for ending in ("svg", "pdf", "csv", "nc"):
        assert [link for link in page.links if "_downloads" in link and link.endswith(ending)]


@pytest.mark.parametrize("name", IDS)
def test_published_numbers_are_finite_and_named(built_book, name):
    rows = list(csv.reader((ROOT / f"book/figures/{name}.csv").open(encoding="utf-8")))
    assert len(rows) > (100 if rows[0] == CURVES else 5)
    assert all(len(row) == len(rows[0]) and all(row) for row in rows)
    assert not [row for row in rows if {"nan", "inf", "-inf"} & {cell.lower() for cell in row}]


def test_all_data_of_all_figures_are_a_click_away(built_book):
    links = {link.rpartition("/")[2] for link in Page(built_book / "reproduce.html").links}
    for name in IDS:
        kept = (ROOT / "book/figures").glob(f"{name}-*.nc")
        files = [f"{name}.{kind}" for kind in ("svg", "pdf", "csv", "json")]
        assert {*files, *(file.name for file in kept)} <= links, name


def test_the_status_names_versions_commit_and_every_figure(built_book):
    page = Page(built_book / "status.html")
    text = " ".join(" ".join(page.text).split())
    for name, version in (("numpy", numpy.__version__), ("scipy", scipy.__version__)):
        assert f"{name} {version}" in text
    assert re.search(r"from commit ([0-9a-f]{10}|unknown) on", text)
    assert {f"figures/{name}.html" for name in IDS} <= set(page.links)


def test_every_figure_of_the_paper_is_there():
    wanted = {"1", "2-left", "2-right", "3-left", "3-right", "4", "5a", "5b", "5c", "5d"}
    assert wanted <= set(IDS)


def test_the_second_build_runs_nothing(built_book, tmp_path):
    stamps = {i: (ROOT / f"book/figures/{i}.ipynb").stat().st_mtime_ns for i in IDS}
    no_pages = ("--builder", "custom", "--custom-builder", "dummy")
    done = jupyter_book(ROOT / "book", tmp_path, *no_pages)
    assert done.returncode == 0
    assert "figures: all up to date" in done.stdout
    assert stamps == {i: (ROOT / f"book/figures/{i}.ipynb").stat().st_mtime_ns for i in IDS}


def small_book(clone):
    """The real configuration and extension around the miniature clone."""
    shutil.copy(ROOT / "_config.yml", clone)
    ignore = shutil.ignore_patterns(".*")
    shutil.copytree(ROOT / "book/_assets", clone / "book/_assets", ignore=ignore)
    (ROOT / ".cache").mkdir(exist_ok=True)  # the first build of a fresh clone fills it
    (clone / ".cache").symlink_to(ROOT / ".cache")
    (clone / "lib/twolayer/references.bib").write_text("")
    (clone / "book/_toc.yml").write_text(
        "format: jb-book\nroot: index\nchapters:\n  - file: figures/tiny\n"
    )
    index = "# A book\n\nThe product is {result}`tiny:product`.\n"
    (clone / "book/index.md").write_text(index)
    write_notebook(
        clone / "notebooks/tiny.ipynb",
        "a = 1\nb = 1",
        "open('tiny.json', 'w').write('{\"results\": {\"product\": \"%d\"}}' % (a * b))",
    )
    notebook = json.loads((clone / "notebooks/tiny.ipynb").read_text())
    title = {"cell_type": "markdown", "id": "title", "metadata": {}, "source": "# Tiny"}
    notebook["cells"].insert(0, title)
    (clone / "notebooks/tiny.ipynb").write_text(json.dumps(notebook))
    return clone / "book"


def test_a_failing_notebook_fails_the_build(clone):
    book = small_book(clone)
    write_notebook(clone / "notebooks/tiny.ipynb", "a = 1\nb = 1", "raise KeyError('gone')")
    done = jupyter_book(book)
    assert done.returncode != 0
    output = done.stdout + done.stderr
    for part in ("tiny.ipynb", "code cell", "KeyError", "raise KeyError('gone')"):
        assert part in output, part


def test_a_number_that_is_not_published_fails_the_build(clone):
    book = small_book(clone)
    text = (book / "index.md").read_text().replace("tiny:product", "tiny:sum")
    (book / "index.md").write_text(text)
    done = jupyter_book(book)
    assert done.returncode != 0
    assert "figure 'tiny' publishes no 'sum', but product" in done.stdout + done.stderr
