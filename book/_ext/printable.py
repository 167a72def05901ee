"""The whole book as one PDF, from the pages that are built.

    python book/_ext/printable.py _build/html twolayer.pdf

Chromium prints every page in the order of `_toc.yml`, formulas set and everything unfolded;
the parts are put together with an outline.  It needs Chromium, or Playwright's own.
"""

from __future__ import annotations

import argparse
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from playwright.sync_api import Page, sync_playwright
from pypdf import PdfReader, PdfWriter
from tqdm.auto import tqdm

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
UNFOLD = """async () => {
    document.documentElement.dataset.theme = "light";
    document.querySelectorAll("details").forEach(each => { each.open = true; });
    for (const each of document.querySelectorAll(".toggle-hidden"))
        each.classList.remove("toggle-hidden");
    document.querySelectorAll("img[loading]").forEach(each => { each.loading = "eager"; });
    await window.MathJax?.startup?.promise;
    await Promise.all([...document.images].map(image => image.decode().catch(() => null)));
}"""
FOOT = (
    '<div style="width:100%;font-size:8px;text-align:center">'
    "{title}, <span class=pageNumber></span> of <span class=totalPages></span></div>"
)


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
    foot = FOOT.format(title=title)
    return title, page.pdf(
        format="A4",
        margin=MARGIN,
        print_background=True,
        display_header_footer=True,
        header_template="<span></span>",
        footer_template=foot,
    )


def make(site: Path, toc: Path, target: Path) -> int:
    """Write the PDF; returns its number of pages.

    Parameters
    ----------
    site : Path
        The built pages, ``_build/html``.
    toc : Path
        ``book/_toc.yml``.
    target : Path
        The file to write.
    """
    order = list(pages(yaml.safe_load(toc.read_text("utf-8"))))
    writer, above = PdfWriter(), {}
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(bypass_csp=True, viewport={"width": 760, "height": 1080})
        for name, depth in tqdm(order, desc="pages"):
            title, content = printed(page, (site / f"{name}.html").resolve().as_uri())
            first = len(writer.pages)
            writer.append(PdfReader(io.BytesIO(content)), import_outline=False)
            above[depth] = writer.add_outline_item(title, first, above.get(depth - 1))
        browser.close()
    writer.add_metadata({"/Title": "One ODE for all regimes"})
    writer.compress_identical_objects()
    partial = target.with_suffix(".partial")
    writer.write(partial)
    partial.replace(target)
    return len(writer.pages)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="printable.py", description="The book as one PDF.")
    parser.add_argument("site", nargs="?", type=Path, default=Path("_build/html"))
    parser.add_argument("target", nargs="?", type=Path, default=Path("twolayer.pdf"))
    contents = Path(__file__).resolve().parents[1] / "_toc.yml"
    parser.add_argument("--toc", type=Path, default=contents, help="which pages, in which order")
    asked = parser.parse_args()
    print(f"{make(asked.site, asked.toc, asked.target)} pages in {asked.target}")
