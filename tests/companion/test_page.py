"""The site in a real browser: quiet, self-contained, explorable."""

import json
import time

import nbformat
import numpy as np
import pyodide
import pytest
from browser import Watch, served
from conftest import ROOT, jupyter_book, write_notebook
from heard import Heard
from test_book import small_book

from companion.site import triangle_grid as grid
from companion.site.cached import made_once
from twolayer import explorer

#: Controls and pictures without a name for a screen reader.
NAMELESS = """() => [...document.querySelectorAll(
    '.tlx button, .tlx input, .tlx select, .tlx svg[role=img], .tlx progress')]
    .filter(e => !(e.closest('label') || e).textContent.trim() && !e.ariaLabel).length"""
#: Brightness, 0 to 765, of the explorer's text and ground.
BRIGHTNESS = """() => {
    const style = getComputedStyle(document.querySelector('.tlx'));
    const sum = (colour) => colour.match(/\\d+/g).slice(0, 3).reduce((x, y) => +x + +y, 0);
    return [sum(style.color), sum(style.backgroundColor)];
}"""
SET_BASE = "base => { document.querySelector('.twolayer-explorer').dataset.liveBase = base; }"
CURVE = '[data-theory="full"]'


@pytest.fixture(scope="module")
def site(built_book):
    with served(built_book) as address:
        yield address


@pytest.fixture(scope="module")
def live_base():
    """A self-hosted Pyodide, at an address of its own."""
    made_once(ROOT / ".cache/live/pyodide", pyodide.fill)
    with served(ROOT / ".cache/live") as address:
        yield f"{address}pyodide/"


def opened(browser, address, **how):
    page = browser.new_page(**how)
    watch = Watch(page, "/".join(address.split("/")[:3]) + "/")
    page.goto(address, wait_until="networkidle")
    return page, watch


@pytest.fixture
def explore(browser, site):
    page, watch = opened(browser, f"{site}explore.html", viewport={"width": 1280, "height": 1000})
    yield page
    assert watch.complaints == []
    page.close()


def test_formulas_are_set_by_our_own_copy(browser, site):
    page, _ = opened(browser, f"{site}setting.html")
    page.wait_for_selector("mjx-container")
    assert page.locator("mjx-container").count() > 10
    page.close()


def test_the_policy_stops_what_would_come_from_elsewhere(browser, site, live_base):
    """Another port is another host."""
    page, watch = opened(browser, f"{site}index.html")
    watch.complaints.clear()
    ask = "url => fetch(url).then(() => 'came through', () => 'stopped')"
    assert page.evaluate(ask, f"{live_base}pyodide-lock.json") == "stopped"
    assert any("Content Security Policy" in text for text in watch.complaints)
    page.close()


def data_of(page, selector):
    """The curve's points on the screen, as (x, y) in the picture's units."""
    points = page.locator(selector).get_attribute("points").split()
    return np.array([[float(x) for x in point.split(",")] for point in points])


def shown_curve(page):
    return page.evaluate("document.querySelector('.twolayer-explorer').explorer.current()")


def test_dragging_the_point_shows_what_the_package_computes_there(explore):
    before = data_of(explore, CURVE)
    triangle = explore.locator(".tlx-triangle").bounding_box()
    point = explore.locator(".tlx-point").bounding_box()
    explore.mouse.move(point["x"] + point["width"] / 2, point["y"] + point["height"] / 2)
    explore.mouse.down()
    x, y = (triangle["x"] + triangle["width"] * 26 / 300, triangle["y"] + triangle["height"] * 0.88)
    explore.mouse.move(x, y, steps=6)
    explore.mouse.up()
    label = explore.locator(".tlx-point").get_attribute("aria-valuetext")
    assert label == "γ = 1, d = 156, p = 2"  # the high-dimensional corner
    after = data_of(explore, CURVE)
    assert after.shape != before.shape or np.abs(after - before).max() > 5
    shown = shown_curve(explore)
    computed = explorer.compute(grid.COMMON | {"triangle": [0, 1, 0]})
    for drawn, own in zip(shown["curves"], computed["curves"], strict=True):
        np.testing.assert_allclose(drawn["excess_risk"], own["excess_risk"][::2], rtol=1e-3)
    # On the screen, too: heights of the drawn line are the logarithms of these numbers.
    heights = np.log10(computed["curves"][0]["excess_risk"][::2][1:])
    slope, offset = np.polyfit(heights, after[:, 1], 1)
    assert np.abs(slope * heights + offset - after[:, 1]).max() < 0.5
    plateau, descent = (curve["excess_risk"][-1] for curve in shown["curves"][:2])
    assert plateau > 3 * descent


def test_the_keyboard_is_enough(explore):
    explore.locator(".tlx-point").focus()
    texts = set()
    for key in ("ArrowUp", "ArrowLeft", "ArrowRight", "ArrowDown"):
        explore.keyboard.press(key)
        texts.add(explore.locator(".tlx-point").get_attribute("aria-valuetext"))
    assert len(texts) >= 3
    explore.locator(".tlx-time input").focus()
    explore.keyboard.press("Home")
    assert explore.locator(".tlx-time output").inner_text() == "t = 0"
    assert explore.evaluate(NAMELESS) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it(browser, site, scheme):
    size = {"width": 360, "height": 740}
    page, watch = opened(browser, f"{site}explore.html", viewport=size, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    boxes = "[...document.querySelectorAll('.tlx *')].map(e => e.getBoundingClientRect().right)"
    assert max(page.evaluate(boxes)) <= 360
    ink, paper = page.evaluate(BRIGHTNESS)
    assert (ink > 500 > paper) if scheme == "dark" else (ink < 200 < paper)
    assert watch.complaints == []
    page.close()


def test_without_javascript_there_is_a_picture_and_a_sentence(browser, site):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}explore.html")
    picture = page.locator(".tlx-static img")
    assert picture.is_visible()
    assert len(picture.get_attribute("alt")) > 60
    assert "computed by the package" in page.locator(".tlx-static p").inner_text()
    context.close()


def test_the_curve_before_stays_and_the_address_holds_what_is_shown(browser, site):
    page, watch = opened(browser, f"{site}explore.html")
    assert page.locator(".tlx-ghost").count() == 0
    page.wait_for_function("location.hash.startsWith('#at=')")
    before = page.evaluate("location.hash")
    point = page.locator(".tlx-point")
    point.focus()
    first = point.get_attribute("aria-valuetext")
    page.keyboard.press("ArrowUp")
    now = point.get_attribute("aria-valuetext")
    assert now != first
    assert page.locator("polyline.tlx-ghost").count() == 1
    legend = " ".join(page.locator(".tlx-legend").inner_text().split())
    assert f"before: ODE, all terms at {first}" in legend
    sizes = page.locator("svg[aria-label^='Sizes'] rect")
    assert sizes.count() == 4
    page.wait_for_function("before => location.hash !== before", arg=before)
    address = page.evaluate("location.href")
    page.close()
    again, _ = opened(browser, address)
    assert again.locator(".tlx-point").get_attribute("aria-valuetext") == now
    again.goto("about:blank")
    again.goto(f"{site}explore.html#ask=%7B%22p%22%3A3%7D", wait_until="networkidle")
    assert "Run live computes it" in again.locator(".tlx-status").inner_text()
    again.close()
    assert watch.complaints == []


def test_all_figures_of_the_paper_are_there_at_once(explore):
    chosen = explore.get_by_label("figure of the paper")
    for name, (_, request) in explorer.PRESETS.items():
        chosen.select_option(name)
        shown = shown_curve(explore)["request"]
        if "p" in request:
            assert [shown[of] for of in ("p", "d", "k")] == [request[of] for of in ("p", "d", "k")]
        assert explore.locator(".tlx-curve[data-theory]").count() == len(shown["theories"])
    explore.wait_for_function("location.hash.startsWith('#figure=')")


def test_a_walk_leads_through_the_triangle(explore):
    seen = []
    for step in explore.locator(".tlx-steps button").all():
        step.click()
        seen.append(explore.locator(".tlx-point").get_attribute("aria-valuetext"))
    assert len(set(seen)) == len(seen) >= 4
    assert "γ = 0.0192" in seen[1]
    assert "d = 156" in seen[2]


def test_the_triangle_is_tinted_by_what_was_computed(explore):
    shown = explore.locator(".tlx-at").evaluate_all(
        "all => all.map(e => [e.dataset.regime, getComputedStyle(e).fill])"
    )
    assert len(shown) == 66
    assert len({colour for _, colour in shown}) >= 2


def test_print_shows_the_picture(explore):
    assert not explore.locator(".tlx-static").is_visible()
    explore.emulate_media(media="print")
    assert explore.locator(".tlx-static").is_visible()
    assert not explore.locator(".tlx").is_visible()


def state(page):
    return page.locator(".tlx").get_attribute("data-state")


def wait_for(page, wanted, seconds=120):
    page.wait_for_function(
        "name => document.querySelector('.tlx').dataset.state === name",
        arg=wanted,
        timeout=1000 * seconds,
    )


def run(page, request):
    """What the page computes of a request."""
    return page.evaluate(
        """async request => {
            const root = document.querySelector('.twolayer-explorer');
            await root.explorer.run(request);
            return root.explorer.current();
        }""",
        request,
    )


def test_run_live_computes_what_the_package_computes(explore, live_base):
    status = explore.locator(".tlx-status")
    assert state(explore) == "not loaded"
    assert "37 MB" in status.inner_text()
    explore.evaluate(SET_BASE, live_base)
    explore.locator(".tlx-live").click()
    wait_for(explore, "loading")
    wait_for(explore, "ready")
    for request in (
        {"p": 6, "d": 50, "noise": 0.01, "t_max": 300.0, "theories": ["full", "gradient-flow"]},
        {"p": 4, "d": 50, "noise": 0.01, "t_max": 1e4, "theories": ["full"]},
        {"activation": "square", "p": 3, "k": 1, "d": 9, "learning_rate": 0.1, "t_max": 20.0},
        {"p": 100, "d": 5, "theories": ["mean-field-orthogonal"], "t_max": 20.0},
    ):
        there, here = run(explore, request), explorer.compute(request)
        assert there["request"] == here["request"]
        assert there["call"] == here["call"]
        for live, own in zip(there["curves"], here["curves"], strict=True):
            np.testing.assert_allclose(live["excess_risk"], own["excess_risk"], rtol=1e-6)
    sgd = run(explore, {"p": 2, "d": 8, "t_max": 5.0, "runs": 2})["sgd"]
    own = explorer.compute({"p": 2, "d": 8, "t_max": 5.0, "runs": 2})["sgd"]
    np.testing.assert_allclose(sgd["median"], own["median"], rtol=1e-6)
    run(explore, {"p": 900})
    assert state(explore) == "failed"
    assert "too large" in status.inner_text()
    # A long one can be cancelled, and the page goes on.
    explore.evaluate("""() => { document.querySelector('.twolayer-explorer').explorer.run(
        {p: 40, d: 40, t_max: 1000, theories: ["full"]}); }""")
    wait_for(explore, "computing")
    explore.get_by_role("button", name="Cancel").click()
    assert "Cancelled" in status.inner_text()
    assert run(explore, {"p": 2, "d": 8})["request"]["p"] == 2


def test_run_live_says_why_it_fails(browser, site):
    page, _ = opened(browser, f"{site}explore.html")
    page.evaluate(SET_BASE, "http://127.0.0.1:9/")
    page.locator(".tlx-live").click()
    wait_for(page, "failed")
    assert "cannot be reached or is blocked" in page.locator(".tlx-status").inner_text()
    assert page.locator(".tlx-live").is_visible()
    page.close()


def test_from_a_file_the_triangle_works_and_run_live_explains(browser, built_book):
    page = browser.new_page()
    page.goto((built_book / "explore.html").as_uri())
    assert data_of(page, CURVE).shape[0] > 20
    page.locator(".tlx-live").click()
    wait_for(page, "failed")
    assert "http.server" in page.locator(".tlx-status").inner_text()
    page.close()


def test_a_notebook_with_a_widget_needs_no_kernel_and_has_buttons(browser, clone, monkeypatch):
    monkeypatch.setenv("GITHUB_REPOSITORY", "owner/name")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(clone))
    book = small_book(clone)
    template = clone / "notebooks/tiny.ipynb"
    write_notebook(
        template,
        "a = 1\nb = 1",
        "open('tiny.json', 'w').write('{\"results\": {\"product\": \"2\"}}')",
        "from twolayer.explorer import Explorer\nExplorer({'p': 3, 'd': 9, 't_max': 10.0})",
    )
    notebook = nbformat.read(template, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell("# Tiny"))
    nbformat.write(notebook, template)
    done = jupyter_book(book)
    assert done.returncode == 0, done.stdout + done.stderr
    with served(clone / "_build/html") as address:
        page, watch = opened(browser, f"{address}figures/tiny.html")
        page.wait_for_selector(CURVE)
        assert data_of(page, CURVE).shape[0] > 20
        assert "without a kernel" in page.locator(".tlx-status").inner_text()
        assert (watch.complaints, watch.outside) == ([], [])
        links = page.locator("a").evaluate_all("all => all.map(a => a.href)")
        page.close()
    path = "notebooks/tiny.ipynb"
    assert f"https://colab.research.google.com/github/owner/name/blob/main/{path}" in links
    binder = "https://mybinder.org/v2/gh/owner/name/main?urlpath=lab/tree/"
    assert f"{binder}{path}" in links
    assert f"{address}_downloads/{path}" in links
    kept = clone / f"_build/html/_downloads/{path}"
    assert kept.read_bytes() == template.read_bytes()


def test_the_widget_and_a_kernel_talk(browser, site):
    """The real front end and the real widget; only the wire between them is ours."""
    widget = Heard({"p": 3, "d": 9, "t_max": 10.0})
    page = browser.new_page()
    page.goto(f"{site}search.html")
    page.expose_function("toPython", lambda message: widget._hear(None, message, []))
    page.add_style_tag(content=widget._css)
    page.evaluate(
        """async ([source, info, answer]) => {
            const url = URL.createObjectURL(new Blob([source], {type: "text/javascript"}));
            const {default: module} = await import(url);
            const model = {
                get: (name) => ({info, answer})[name],
                send: (message) => window.toPython(message),
                on: (_, hear) => { window.hear = hear; },
                off() {},
            };
            const el = document.createElement("div");
            document.body.append(el);
            module.render({model, el});
        }""",
        [widget._esm, widget.info, json.loads(json.dumps(widget.answer))],
    )
    heard = 0

    def until(condition, seconds=60):
        nonlocal heard
        end = time.monotonic() + seconds
        while not page.evaluate(condition):
            assert time.monotonic() < end, condition
            while heard < len(widget.said):
                page.evaluate("message => window.hear(message)", widget.said[heard])
                heard += 1
            page.wait_for_timeout(20)

    until("document.querySelector('.tlx').dataset.state === 'ready'")
    students = page.get_by_label("students p")
    students.fill("5")
    students.press("Tab")
    until("document.querySelector('.tlx-sentence').textContent.includes('p = 5')")
    page.get_by_label("figure of the paper").select_option("2 left")
    until("document.querySelector('.tlx-sentence').textContent.includes('d = 3, p = 10')")
    page.get_by_label("SGD runs").fill("0")
    students.fill("0")
    students.press("Tab")
    until("document.querySelector('.tlx').dataset.state === 'failed'")
    assert "p: got 0" in page.locator(".tlx-status").inner_text()
    page.close()
