"""The sliders of the chapters: what they show is what the package computes."""

import json
import re

import numpy as np
import pytest
from browser import served

from companion.site import calculator, sliders
from twolayer.regimes import scales

PAGES = {
    "noise": "gradient_flow",
    "dimension": "gradient_flow",
    "rate": "high_dimensional",
    "students": "mean_field",
    "phase": "intermediate",
}


def test_a_path_is_its_curve():
    """Points are read back from the picture, to its resolution."""
    t, risk = np.geomspace(0.1, 1e4, 7), np.geomspace(1e-5, 0.5, 7)
    drawn = sliders.path((t, risk), 1e-6, 1.0)
    x, y = np.array(re.findall(r"([\d.]+) ([\d.]+)", drawn), dtype=float).T
    right, bottom = sliders.WIDTH - sliders.RIGHT, sliders.HEIGHT - sliders.BOTTOM
    shares = (x - sliders.LEFT) / (right - sliders.LEFT)
    np.testing.assert_allclose(0.1 * 1e5**shares, t, rtol=0.02)
    shares = (bottom - y) / (bottom - sliders.TOP)
    np.testing.assert_allclose(1e-6 * 1e6**shares, risk, rtol=0.03)


@pytest.mark.parametrize("name", sliders.SLIDERS)
def test_a_slider_moves_by_keyboard_and_shows_the_packages_curves(browser, built_book, name):
    slider = sliders.SLIDERS[name]
    with served(built_book) as at:
        page = browser.new_page(viewport={"width": 360, "height": 740})
        page.goto(f"{at}{PAGES[name]}.html")
        box = page.locator(f"#slider-{name}")
        box.locator("input").focus()
        page.keyboard.press("End")
        shown = box.locator("svg > path:not(.slider-grid)")
        paths = [shown.nth(i).get_attribute("d") for i in range(shown.count())]
        said = box.locator("output").inner_text()
        assert box.locator("input").get_attribute("aria-valuetext") == said
        assert box.bounding_box()["width"] <= 360
        page.close()
    expected = slider.still(), slider.moved(slider.values[-1])
    assert paths == [sliders.path(curve, slider.low, slider.high) for curve in expected]
    assert f"{slider.values[-1]:g}"[0] in said


def test_the_picture_stands_without_the_script(built_book):
    for name, page in PAGES.items():
        text = (built_book / f"{page}.html").read_text("utf-8")
        box = text[text.index(f'id="slider-{name}"') :]
        data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', box)[1])
        slider = sliders.SLIDERS[name]
        still = sliders.path(slider.still(), slider.low, slider.high)
        assert all(f'd="{path}"' in box for path in (still, data["paths"][slider.begin]))


def test_the_calculator_says_what_the_package_says(browser, built_book):
    """In every regime, and on the boundary of two (d = 100, p = 100)."""
    places = (
        *((3, 5, 4, 0), (5, 2, 4, 2), (9, 9, 4, 0), (2, 10, 4, 0)),
        *((8, 0, 7, 0), (4, 7, 1, 3), (0, 0, 7, 0)),
    )
    seen = set()
    with served(built_book) as address:
        page = browser.new_page(viewport={"width": 360, "height": 740})
        page.goto(f"{address}triangle.html")
        for at in places:
            values = [row[2][index] for row, index in zip(calculator.SLIDERS, at, strict=True)]
            expected = scales(int(values[0]), int(values[1]), *values[2:])
            for number, index in enumerate(at):
                page.locator(".calculator input").nth(number).fill(str(index))
            said = page.locator(".calculator-answer").inner_text()
            assert said == f"{expected.regime}: {expected.description}"
            seen.add(expected.regime)
        page.close()
    assert len(seen) == len(places)
