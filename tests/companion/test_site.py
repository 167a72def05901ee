"""The built site as a whole: accessible, light, and without a loose end."""

import gzip
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import pytest
from browser import Watch, served
from conftest import ROOT
from pypdf import PdfReader
from test_book import Page, pages_of

from companion.site.printable import OPEN
from companion.site.vendored import NpmPackage, download, unpack

AXE = NpmPackage(
    "axe-core",
    "4.14.1",
    "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
    (("axe.min.js", "axe.min.js"),),
)
#: All that unfolds, open, and a moment for what follows from it.
UNFOLD = f"""async () => {{
    {OPEN}
    await new Promise(done => setTimeout(done, 50));
    for (const fading of document.getAnimations()) try {{ fading.finish(); }} catch {{}}
    await new Promise(done => setTimeout(done, 50));
}}"""
#: What axe calls serious or worse, element by element; in the dark the colours alone.
RUN_AXE = """async (dark) => {
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    const options = {resultTypes: ["violations"], ...(dark ? {runOnly: ["color-contrast"]} : {})};
    return (await axe.run(document, options)).violations
        .filter(found => ["serious", "critical"].includes(found.impact))
        .flatMap(found => found.nodes.map(node => `${found.id}: ${node.target} ${node.html}`));
}"""
#: On a screen and on a phone.
WIDTHS = (1280, 360)
#: Formulas wider than their column, and the page if it scrolls sideways.
TOO_WIDE = """() => {
    const column = (formula) => formula.getAttribute("display") ? formula
        : formula.parentElement.closest("p, li, dd, td, th, figcaption, section");
    const wide = [...document.querySelectorAll("article mjx-container")].filter((formula) =>
        formula.querySelector("mjx-math").getBoundingClientRect().width
            > column(formula).clientWidth + 1);
    return [...wide.map((formula) => formula.textContent.slice(0, 60)),
        ...(document.documentElement.scrollWidth > innerWidth ? ["the page"] : [])];
}"""
#: A first visit, compressed as files are served.
MEGABYTES = 1.5
#: What belongs to widgets: the explorer, the widget manager and what it loads.
WIDGETS = ("_static/explorer/", "vendored/require", "vendored/paths", "vendored/embed-amd")


@pytest.fixture(scope="module")
def axe():
    """The script of axe-core, fetched once and checked against its hash."""
    folder = ROOT / ".cache" / f"axe-{AXE.version}"
    if not (folder / "axe.min.js").is_file():
        unpack(AXE, download(AXE), folder)
    return folder / "axe.min.js"


@dataclass
class Visit:
    """What axe finds in a page, what a first visit loads, and what the browser says of it."""

    findings: list[str]
    loaded: set[str]
    policy: str
    complaints: list[str]
    outside: list[str]
    wide: list[str]


@pytest.fixture(scope="module")
def visits(browser, axe, built_book):
    """Page → `Visit`."""
    out = {}
    with served(built_book) as site:
        # One context: what a page has loaded is said also if it comes from the browser's cache.
        context = browser.new_context(viewport={"width": WIDTHS[0], "height": 800})
        for name in pages_of(built_book):
            page = context.new_page()
            watch, loaded = Watch(page, site), []
            page.on("response", lambda answer, loaded=loaded: loaded.append(answer.url))
            page.goto(site + name, wait_until="load")
            policy = page.locator('meta[http-equiv="Content-Security-Policy"]')
            policy = policy.get_attribute("content")
            page.evaluate(UNFOLD)
            page.add_script_tag(path=str(axe))
            found = page.evaluate(RUN_AXE, False)
            if not name.startswith("figures/"):
                found += page.evaluate(RUN_AXE, True)
            page.wait_for_load_state("networkidle")
            paths = {urlsplit(url).path.lstrip("/") for url in loaded}
            wide = _wide(page)
            out[name] = Visit(found, paths, policy, watch.complaints, watch.outside, wide)
            page.close()
        context.close()
    return out


def _wide(page):
    """What is too wide, at each of the widths."""
    found = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        found += [f"{width}: {what}" for what in page.evaluate(TOO_WIDE)]
    return found


def test_no_formula_is_wider_than_its_column_and_no_page_scrolls_sideways(
    visits, browser, built_book
):
    found = {name: visit.wide for name, visit in visits.items() if visit.wide}
    assert not found
    with served(built_book) as site:
        page = browser.new_page()
        for name in ("genindex.html", "search.html"):
            page.goto(site + name, wait_until="load")
            assert not _wide(page), name
        page.close()


def test_pictures_are_as_they_were_drawn(built_book):
    """To the byte, so that no colour of a figure is another on its page."""
    drawn = {file.read_text("utf-8").strip() for file in ROOT.glob("book/figures/*.svg")}
    drawn |= {file.read_text("utf-8").strip() for file in ROOT.glob("benchmarks/*.svg")}
    for file in ROOT.glob("book/figures/*.ipynb"):
        for cell in json.loads(file.read_text("utf-8"))["cells"]:
            for output in cell.get("outputs", ()):
                drawn.add("".join(output.get("data", {}).get("image/svg+xml", "")).strip())
    shown = list(built_book.glob("_images/*.svg"))
    assert {f"{file.stem}.svg" for file in ROOT.glob("book/figures/*.ipynb")} <= {
        file.name for file in shown
    }
    assert not [file.name for file in shown if file.read_text("utf-8").strip() not in drawn]


def test_pages_do_not_jump_when_pictures_come(browser, built_book):
    """Each has its place before it is there, also on a phone."""
    for file in built_book.rglob("*.html"):
        for picture in re.findall(r"<img [^>]*>", file.read_text("utf-8")):
            if ".svg" in picture and "_images" in picture:
                assert re.search(r'width="\d+" height="\d+"', picture), f"{file.name}: {picture}"
    with served(built_book) as site:
        page = browser.new_page(viewport={"width": 360, "height": 740})
        box = "document.querySelector('article img').getBoundingClientRect()"
        heights = []
        for come in (False, True):
            page.route("**/*.svg", lambda route, come=come: route.continue_() if come else None)
            page.goto(f"{site}triangle.html", wait_until="load" if come else "domcontentloaded")
            page.wait_for_selector("article img", state="attached")
            heights.append(page.evaluate(f"{box}.height"))
            page.unroute("**/*.svg")
        assert heights[0] == pytest.approx(heights[1], abs=2)
        image = "document.querySelector('article img')"
        natural = page.evaluate(f"{image}.naturalHeight / {image}.naturalWidth")
        assert heights[1] == pytest.approx(natural * page.evaluate(f"{box}.width"), abs=2)
        page.close()


def test_every_page_is_quiet_and_asks_nobody_else(visits):
    for name, visit in visits.items():
        assert "default-src 'self'" in visit.policy, name
        assert (visit.complaints, visit.outside) == ([], []), name


def test_axe_finds_nothing_serious_on_any_page(visits):
    findings = [f"{name}: {one}" for name, visit in visits.items() for one in visit.findings]
    assert not findings, "\n".join(findings[:60])


def test_pages_are_light(visits, built_book):
    weights = {}
    for name, visit in visits.items():
        files = {path: built_book / path for path in visit.loaded if path and not _widget(path)}
        weights[name] = {
            path: len(gzip.compress(file.read_bytes(), 6))
            for path, file in files.items()
            if file.is_file()
        }
        assert len(weights[name]) > 10
    heavy = sorted(weights, key=lambda name: sum(weights[name].values()), reverse=True)
    for name in heavy[:5]:
        print(f"{name}: {sum(weights[name].values()) / 1e6:.2f} MB")
    worst = weights[heavy[0]]
    largest = sorted(worst.items(), key=lambda part: -part[1])[:8]
    assert sum(worst.values()) < MEGABYTES * 1e6, (heavy[0], largest)


def _widget(path):
    return any(part in path for part in WIDGETS)


#: Time shown, whether it plays, and how much of SGD is drawn.
MOVING = """() => ({
    t: +document.querySelector(".moving input").value,
    playing: document.querySelector(".moving button").textContent === "Pause",
    marks: document.querySelectorAll(".moving-sgd").length,
    d: document.querySelector(".moving [aria-pressed=true]").textContent,
})"""


def test_the_first_page_moves_and_can_be_stopped(browser, built_book):
    with served(built_book) as site:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(site, wait_until="load")
        page.wait_for_function("+document.querySelector('.moving input').value > 10")
        box = page.locator(".moving").bounding_box()
        assert box["y"] + box["height"] < 800  # within one screen
        page.get_by_role("button", name="Pause").click()
        stopped = page.evaluate(MOVING)
        page.wait_for_timeout(300)
        assert page.evaluate(MOVING) == stopped
        assert not stopped["playing"]
        assert stopped["marks"] > 3
        page.get_by_role("slider", name="time").press("End")
        assert page.evaluate(MOVING)["t"] == 100
        page.get_by_role("button", name="d = 10,000").click()
        assert page.evaluate(MOVING)["d"] == "d = 10,000"
        page.close()


def test_the_first_page_moves_where_a_frame_lies_before_the_start(browser, built_book):
    """As it may: the moment given to a frame is that of its beginning, which can be in the past."""
    late = """(() => {
        const ask = window.requestAnimationFrame.bind(window);
        window.requestAnimationFrame = (then) => ask((moment) => then(moment - 50));
    })()"""
    with served(built_book) as site:
        page = browser.new_page()
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.add_init_script(late)
        page.goto(site, wait_until="load")
        page.wait_for_function("+document.querySelector('.moving input').value > 3")
        assert not errors
        page.close()


def test_the_first_page_stands_still_for_those_who_want_it(browser, built_book):
    with served(built_book) as site:
        context = browser.new_context(
            reduced_motion="reduce", viewport={"width": 390, "height": 844}
        )
        page = context.new_page()
        page.goto(site, wait_until="load")
        shown = page.evaluate(MOVING)
        assert not shown["playing"]
        assert shown["t"] == 100
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        context.close()


@pytest.mark.parametrize("words", ["plateau", "noise", "learning rate", "simulate"])
def test_a_search_finds_chapters_first_and_shows_no_source_of_formulas(browser, built_book, words):
    with served(built_book) as site:
        page = browser.new_page()
        page.goto(f"{site}search.html?q={words.replace(' ', '+')}", wait_until="networkidle")
        page.wait_for_selector("ul.search li:nth-child(5) p.context")
        found = page.locator("ul.search li")
        places = [
            link.split("?")[0]
            for link in page.locator("ul.search li > a:first-child").evaluate_all(
                "all => all.map(a => a.getAttribute('href'))"
            )
        ]
        chapters = [not re.match(r"(figures/|api|genindex)", place) for place in places]
        assert all(chapters[:3]), places[:6]
        assert not re.search(r"\\[a-zA-Z(\[]|\$", " ".join(found.all_inner_texts()))
        page.close()


def test_paper_has_what_is_folded(browser, built_book):
    with served(built_book) as site:
        page = browser.new_page()
        page.goto(f"{site}spectrum.html", wait_until="load")
        closed = "document.querySelectorAll('article details:not([open])').length"
        before = page.evaluate(closed)
        assert before > 0
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.evaluate(closed) == 0
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.evaluate(closed) == before
        page.close()


def test_fragments_lead_to_something(built_book):
    """Links within the site, to the very place that they name."""
    built_book, anchors = built_book.resolve(), {}
    for file in built_book.rglob("*.html"):
        anchors[file] = set(re.findall(r'\bid="([^"]+)"', file.read_text("utf-8")))
    for name in pages_of(built_book):
        here = built_book / name
        for target in Page(here).links:
            path, _, fragment = map(unquote, target.partition("#"))
            if not fragment or "://" in target or target.startswith("mailto:"):
                continue
            there = (here.parent / path).resolve() if path else here
            assert there in anchors, f"{name}: {target}"
            assert fragment in anchors[there], f"{name}: {target}"


def test_what_scrolls_is_within_reach_of_the_keyboard(browser, built_book):
    """Also in what was folded, and after the window has become narrow."""
    unreached = """() => [...document.querySelectorAll("mjx-container[display], div.math, pre")]
        .filter(box => box.scrollWidth > box.clientWidth && box.clientWidth > 0)
        .filter(box => box.tabIndex !== 0
            && !["visible", "hidden"].includes(getComputedStyle(box).overflowX)).length"""
    with served(built_book) as site:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"{site}setting.html", wait_until="load")
        page.evaluate(UNFOLD)
        assert page.evaluate(unreached) == 0
        page.set_viewport_size({"width": 390, "height": 800})
        page.wait_for_function(f"({unreached})() === 0")
        assert page.locator("[tabindex='0']:is(mjx-container, div.math, pre)").count() > 0
        page.close()


def test_addresses_elsewhere_are_well_formed(built_book):
    """Whether they answer is for `sphinx-build -b linkcheck`, which needs the network."""
    for name in pages_of(built_book):
        for target in Page(built_book / name).links:
            if "://" in target:
                assert re.fullmatch(r"https://[\w.-]+\.[a-z]+(:\d+)?(/\S*)?", target), (
                    name,
                    target,
                )
    text = (ROOT / "lib/twolayer/references.bib").read_text("utf-8")
    for doi in re.findall(r"doi\s*=\s*\{(.*?)\}", text):
        assert re.fullmatch(r"10\.\d{4,9}/\S+", doi), doi


def test_the_book_prints(chromium_place, built_book, tmp_path):
    toc = tmp_path / "_toc.yml"
    toc.write_text(
        "root: index\nchapters:\n"
        "  - file: high_dimensional\n    sections:\n      - file: figures/high-dimensional\n"
    )
    target = tmp_path / "book.pdf"
    module = "companion.site.printable"
    command = [sys.executable, "-m", module, str(built_book), str(target), "--toc", str(toc)]
    subprocess.run(command, check=True, capture_output=True)
    reader = PdfReader(target)
    assert len(reader.pages) > 12
    (size,) = {tuple(map(float, page.mediabox[2:])) for page in reader.pages}
    assert size == pytest.approx((595, 842), abs=2)
    first, second, below = reader.outline
    assert first.title == "How two-layer networks learn: one equation for every size"
    assert [entry.title for entry in below] == [
        "High dimension: the flow with and without its variance"
    ]
    text = " ".join("".join(page.extract_text() for page in reader.pages).split())
    for part in (first.title, second.title, "near perfect learning", "Next", "On this page"):
        assert (part in text) is (part != "Next"), part
    assert "Version" in reader.pages[0].extract_text()
    last = len(reader.pages)
    for number in (2, 3, last):  # one count through the whole book
        assert f"{number} of {last}" in reader.pages[number - 1].extract_text()


def test_no_common_misspelling():
    """Of all prose, docstrings and comments, by codespell's list."""
    places = ("book", "lib", "notebooks", "tests", "benchmarks")
    files = [f for place in places for f in (ROOT / place).rglob("[!.]*") if _prose(f)]
    files += [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    command = [sys.executable, "-m", "codespell_lib", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def _prose(file):
    made = ROOT / "book/figures" in file.parents
    return file.suffix in (".md", ".py", ".ipynb", ".js", ".css", ".yml") and not made
