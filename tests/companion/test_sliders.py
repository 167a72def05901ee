"""The sliders of the chapters: what they show is what the package computes."""

import json
import re

import numpy as np
import pytest
from browser import served

from companion.site import sliders

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
