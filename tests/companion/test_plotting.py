"""The figures' visual language: colours that differ for all eyes, one mark of SGD, legible text."""

import json
import re
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from companion.drawing.colours import COLOURS, REGIMES, SGD, readable, shades, tint
from companion.drawing.legible import check_legible, contrast
from companion.drawing.plotting import label_ends, quantile_band, sgd_points
from companion.figures.publishing import publish
from twolayer.support.checks import InvalidInput

TEMPLATES = sorted((ROOT / "notebooks").glob("[!.]*.ipynb"))
#: What the two commonest kinds of colour blindness see, in linear RGB (Machado et al. 2009).
SEEN = {
    "all": np.eye(3),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.01182, 0.04294, 0.968881],
        ]
    ),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
}


def linear(colour):
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIE L*a*b* of linear sRGB."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(np.array(to_xyz) @ np.clip(rgb, 0, 1) / (0.9505, 1, 1.089))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eyes", SEEN)
def test_colours_differ_for_all_eyes(eyes):
    seen = {c: lab(SEEN[eyes] @ linear(c)) for c in (*REGIMES.values(), SGD, "#000000")}
    for one, other in combinations(seen, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 20, (one, other)


@pytest.mark.parametrize("colour", [*REGIMES.values(), SGD])
@pytest.mark.parametrize("number", range(1, 8))
def test_shades_darken_by_equal_steps_of_contrast(colour, number):
    found = [contrast(c) for c in shades(colour, number)]
    np.testing.assert_allclose(found, np.geomspace(3, 12, number), rtol=0.03)
    names = [contrast(readable(c)) for c in shades(colour, number)]
    assert min(names) >= 4.5
    assert found == sorted(found)


def test_there_are_as_many_shades_as_differ():
    for colour, number in ((SGD, 0), (SGD, 8), ("red", 2)):
        with pytest.raises(InvalidInput):
            shades(colour, number)


def test_every_colour_of_a_line_is_seen_on_white():
    assert min(contrast(c) for c in (*COLOURS, SGD, *REGIMES.values())) > 3
    assert tint("#000000", 0.0) == (1, 1, 1)


def test_text_is_darker_than_a_line_where_it_must_be():
    for colour in (*COLOURS, *REGIMES.values(), "black"):
        assert contrast(readable(colour)) >= 4.5
    assert readable(SGD) == SGD


def test_pale_text_is_not_published():
    figure = Figure(figsize=(6, 4))
    figure.add_subplot(title="p = 2").title.set_color(shades(SGD, 2)[0])
    with pytest.raises(InvalidInput, match="p = 2"):
        check_legible(figure)


def test_names_of_curves_do_not_cover_each_other():
    figure = Figure(layout="constrained")
    ax = figure.add_subplot(yscale="log", ylim=(1e-3, 1))
    label_ends(ax, [(1, y, f"y = {y}", "black") for y in (0.5, 0.49, 0.48, 0.1, 0.099)])
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_sgd_is_an_open_circle_however_it_is_drawn():
    ax = Figure().add_subplot()
    quantile_band(ax, np.arange(3.0), np.ones((2, 3)))
    sgd_points(ax, [1.0], [1.0], [0.1])
    circles = [line for line in ax.lines if line.get_marker() == "o"]
    assert len(circles) == 2
    assert {c.get_markerfacecolor() for c in circles} == {"white"}
    assert {c.get_linestyle() for c in circles} == {"None"}


def test_small_text_is_not_published(tmp_path):
    wide = Figure(figsize=(14, 4))
    wide.add_subplot(xlabel="time")
    with pytest.raises(InvalidInput, match="pixels"):
        publish("wide", wide, pd.DataFrame(), {}, {}, folder=tmp_path)
    assert not list(tmp_path.iterdir())
    narrow = Figure(figsize=(6, 4))
    narrow.add_subplot(xlabel="time")
    check_legible(narrow)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.stem)
def test_templates_speak_the_language(template):
    """No colour of its own, no small text, at most two panels side by side."""
    cells = json.loads(template.read_text("utf-8"))["cells"]
    code = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    assert not re.findall(r"#[0-9A-Fa-f]{6}", code)
    assert all(float(size) >= 10 for size in re.findall(r"fontsize=([\d.]+)", code))
    assert not re.findall(r"subplots\(\s*\w+,\s*[3-9]", code)
    assert "MARKERS" not in code
    labels = re.findall(r'label=r?"(?:excess risk|time)', code)
    assert not labels  # plotting.RISK and plotting.TIME
