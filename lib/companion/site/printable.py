"""The whole book as one PDF, from the pages that are built.

    python -m companion.site.printable _build/html twolayer.pdf

Chromium prints every page in the order of `_toc.yml`, formulas set and everything unfolded;
the parts are put together with an outline.  It needs Chromium, Chrome or Playwright's own.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

import yaml
from playwright.sync_api import Page, Playwright, sync_playwright
from pypdf import PdfReader, PdfWriter

from twolayer.support.progress import bar

ROOT = Path(__file__).resolve().parents[3]
BOOK = "How two-layer networks learn"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MARGIN = {"top": "18mm", "bottom": "18mm", "left": "16mm", "right": "16mm"}
#: Only the article is left; everything is unfolded, and what is wide is made to fit.
STYLE = """
.bd-header, .bd-sidebar-primary, .bd-sidebar-secondary, .bd-header-article, .prev-next-footer,
.bd-footer, .bd-footer-content, .headerlink, .copybtn, .moving-controls, .tlx, .skip-link,
.search-button__wrapper, .sidebar-toggle, #pst-back-to-top, #jb-print-docs-body {
    display: none !important; }
.bd-main, .bd-content, .bd-article-container, .bd-container__inner, .bd-page-width {
    display: block !important; max-width: none !important; width: 100% !important;
    margin: 0 !important; padding: 0 !important; }
.bd-article section > h1 { display: block !important; }
body { font-size: 10.5pt; }
pre, .highlight pre { white-space: pre-wrap !important; overflow: visible !important; }
table { font-size: 8.5pt; display: table; width: 100%; overflow-wrap: anywhere; }
figure, img, svg, table, pre, .math { break-inside: avoid; max-width: 100% !important; }
h1, h2, h3 { break-after: avoid; }
mjx-container[display="true"] { font-size: 92%; overflow: visible !important; }
"""
#: Statements that open all folds, when formulas are set.
OPEN = """
    document.querySelectorAll("details").forEach(each => { each.open = true; });
    for (const each of document.querySelectorAll(".toggle-hidden"))
        each.classList.remove("toggle-hidden");
    await window.MathJax?.startup?.promise;
"""
UNFOLD = f"""async () => {{
    document.documentElement.dataset.theme = "light";
    {OPEN}
    document.querySelectorAll("img[loading]").forEach(each => {{ each.loading = "eager"; }});
    await Promise.all([...document.images].map(image => image.decode().catch(() => null)));
}}"""
#: Numbers that run through the whole book are printed on sheets of their own, laid over the pages.
SHEETS = """<style>@page { size: A4; margin: 0; } body { margin: 0; font: 8pt sans-serif; }
p { height: 296.9mm; margin: 0; box-sizing: border-box; padding: 284mm 16mm 0;
    text-align: center; break-after: page; overflow: hidden; }</style>"""
COVER = """<style>body {{ font: 13pt sans-serif; margin: 60mm 5mm 0; }}</style><h1>{book}</h1>
<p>{title}</p>
<p>A companion to “{paper}”, {address}</p><p>Version {version}, {license} licence</p>"""


def pages(toc: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Every page with its depth, in the order of the book.

    Examples
    --------
    >>> list(pages({"root": "index", "chapters": [{"file": "a", "sections": [{"file": "b"}]}]}))
    [('index', 0), ('a', 0), ('b', 1)]
    """
    if "root" in toc:
        yield toc["root"], 0
    for part in toc.get("parts", [toc]):
        for chapter in part.get("chapters", []):
            yield from _below(chapter, 0)


def _below(entry: dict[str, Any], depth: int) -> Iterator[tuple[str, int]]:
    yield entry["file"], depth
    for section in entry.get("sections", []):
        yield from _below(section, depth + 1)


def printed(page: Page, address: str) -> tuple[str, bytes]:
    """Title and PDF of one page."""
    page.goto(address, wait_until="load")
    page.add_style_tag(content=STYLE)
    page.evaluate(UNFOLD)
    title = page.title().partition(" — ")[0]
    return title, page.pdf(format="A4", margin=MARGIN, print_background=True)


def cover(page: Page, citation: Path) -> bytes:
    """A first page that says what this is, from ``CITATION.cff``."""
    known = yaml.safe_load(citation.read_text("utf-8"))
    paper = known["preferred-citation"]
    parts = {name: known[name] for name in ("title", "version", "license")}
    parts |= {"book": BOOK, "paper": paper["title"], "address": paper["url"]}
    page.set_content(COVER.format(**{name: escape(str(text)) for name, text in parts.items()}))
    return page.pdf(format="A4", margin=MARGIN)


def sheets(titles: Sequence[str]) -> str:
    """The feet of all pages, as HTML: title, number, and how many there are.

    Examples
    --------
    >>> sheets(["a < b", "c"]).count("of 2</p>"), "a &lt; b, 1 of 2" in sheets(["a < b", "c"])
    (2, True)
    """
    feet = [f"<p>{escape(t)}, {n} of {len(titles)}</p>" for n, t in enumerate(titles, 1)]
    return SHEETS + "".join(feet)


def find_chromium(playwright: Playwright) -> str | None:
    """Where the system's Chromium is, or Playwright's own; None if there is none that runs.

    A file is not enough: it may lack libraries, or only say that one wants a snap.
    """
    for place in (*map(shutil.which, BROWSERS), playwright.chromium.executable_path):
        try:
            if place and not subprocess.run([place, "--version"], capture_output=True).returncode:
                return place
        except OSError:
            continue
    return None


def make(site: Path, toc: Path, target: Path) -> int:
    """Write the PDF of the built pages, ``_build/html``; returns its number of pages."""
    order = list(pages(yaml.safe_load(toc.read_text("utf-8"))))
    writer, above, titles = PdfWriter(), {}, []
    with sync_playwright() as playwright:
        place = find_chromium(playwright)
        browser = playwright.chromium.launch(executable_path=place, args=["--no-sandbox"])
        page = browser.new_page(bypass_csp=True, viewport={"width": 760, "height": 1080})
        writer.append(PdfReader(io.BytesIO(cover(page, ROOT / "CITATION.cff"))))
        titles += [BOOK] * len(writer.pages)
        for name, depth in bar(iterable=order, desc="pages"):
            title, content = printed(page, (site / f"{name}.html").resolve().as_uri())
            first = len(writer.pages)
            writer.append(PdfReader(io.BytesIO(content)), import_outline=False)
            above[depth] = writer.add_outline_item(title, first, above.get(depth - 1))
            titles += [title] * (len(writer.pages) - first)
        page.set_content(sheets(titles))
        feet = PdfReader(io.BytesIO(page.pdf(prefer_css_page_size=True))).pages
        for number in range(1, len(titles)):  # the cover has no foot
            writer.pages[number].merge_page(feet[number])
        browser.close()
    writer.add_metadata({"/Title": BOOK})
    writer.compress_identical_objects()
    partial = target.with_suffix(".partial")
    writer.write(partial)
    partial.replace(target)
    return len(writer.pages)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="printable.py", description="The book as one PDF.")
    parser.add_argument("site", nargs="?", type=Path, default=Path("_build/html"))
    parser.add_argument("target", nargs="?", type=Path, default=Path("twolayer.pdf"))
    contents = ROOT / "book/_toc.yml"
    parser.add_argument("--toc", type=Path, default=contents, help="which pages, in which order")
    asked = parser.parse_args()
    print(f"{make(asked.site, asked.toc, asked.target)} pages in {asked.target}")
