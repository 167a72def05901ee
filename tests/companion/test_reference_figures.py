"""Figures agree with the stored reference values; what does not is named."""

import json

import figure_points
import pytest
from conftest import ROOT
from figure_points import Table, differences, read

from twolayer.support.checks import InvalidInput


def test_every_figure_agrees_with_its_reference(built_book, file_regression):
    """Theory to 0.1 %; SGD statistically, with 3 % of false alarms for fresh random numbers.

    If a change was meant, ``--force-regen`` keeps the values of now; git shows what moved.
    """
    now = figure_points.collect(ROOT)

    def agrees(_, kept):
        assert differences(json.loads(kept.read_text("utf-8")), now) == []

    file_regression.check(
        figure_points.text(now),
        encoding="utf-8",
        fullpath=ROOT / "tests/reference_figures.json",
        check_fn=agrees,
    )


CSV = "curve,t,excess_risk,low,high\n" + "".join(
    f"ODE,{t},{1 / t},{1 / t},{1 / t}\nSGD,{t},{1.01 / t},{0.99 / t},{1.03 / t}\n"
    for t in range(1, 30)
)


@pytest.fixture
def moved(tmp_path):
    """What differs from the reference of a table, if it is another one now."""
    file = tmp_path / "tiny.csv"

    def of(now, was=CSV):
        found = []
        for table in (was, now):
            file.write_text(table)
            found.append({"tiny": read("tiny", file)})
        return differences(json.loads(figure_points.text(found[0])), found[1])

    return of


def test_a_change_of_meaning_names_figure_curve_and_time(moved):
    assert moved(CSV) == []
    [line] = moved(CSV.replace(f"ODE,29,{1 / 29},", f"ODE,29,{1.002 / 29},"))
    assert line.startswith("figure tiny, ODE, t = 29: 0.0345517, but the reference is 0.0344828")
    assert moved(CSV.replace(f"ODE,29,{1 / 29},", f"ODE,29,{1.0005 / 29},")) == []
    [line] = moved(CSV.replace(f"SGD,1,{1.01},", f"SGD,1,{1.25},"))
    assert line.startswith("figure tiny, SGD, t = 1: 1.25")
    assert moved(CSV.replace(f"SGD,1,{1.01},", f"SGD,1,{1.1},")) == []
    assert moved(CSV.replace("SGD", "sgd")) == [
        "figure tiny, SGD: is gone",
        "figure tiny, sgd: is new",
    ]
    assert moved(CSV.replace("ODE,29,", "ODE,31,")) == [
        "figure tiny, ODE: at other t than the reference"
    ]
    assert moved(CSV.replace(f"ODE,1,{1 / 1},", "ODE,1,nan,"))
    with pytest.raises(InvalidInput, match=r"tiny\.csv"):
        moved("a,b\n1,2\n")


def test_rows_and_rounding_do_not_matter(moved):
    """Nor more points, but one place cannot have two values."""
    head, *rows = CSV.splitlines()
    more = ["ODE,1.5,0.7,0.7,0.7", *(row.replace(",1,", ",1.0000001,") for row in reversed(rows))]
    assert moved("\n".join([head, *more, rows[3]])) == []
    with pytest.raises(InvalidInput, match=r"several on 'ODE'.*one value at each t of a curve"):
        moved(f"{CSV}ODE,1,2,2,2\n")


def test_a_map_keeps_values_and_shares_of_phases(moved, monkeypatch):
    """Of 1,600 points, half of them wet, one or two at a border are rounding; 40 are a change."""
    monkeypatch.setitem(
        figure_points.TABLES, "tiny", Table((), ("x", "y"), "height", (), phase="phase")
    )

    def chart(coast, rise=1.0):
        points = [(x / 40, y / 40) for y in range(40) for x in range(40)]
        rows = (f"{x},{y},{rise * x:.9g},{'wet' if x < coast else 'dry'}" for x, y in points)
        return "\n".join(["x,y,height,phase", *rows])

    was = chart(0.5)
    assert moved(was, was) == []
    assert moved(was.replace("wet", "dry", 3), was) == []
    lines = moved(chart(0.55), was)
    assert lines[0].startswith("figure tiny, share of wet: 0.55, but the reference is 0.5")
    assert len(lines) == 2
    line = moved(chart(0.5, rise=1.01), was)[-1]
    assert "x = 0.975, y = 0.975: 0.98475, but the reference is 0.975" in line
