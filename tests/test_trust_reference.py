"""Figures agree with the stored reference values; what does not is named."""

import json

import pytest
from conftest import ROOT

from twolayer import reference
from twolayer.errors import InvalidInput


def test_every_figure_agrees_with_its_reference(built_book):
    """Theory to 0.1 %; SGD statistically, with 3 % of false alarms for fresh random numbers.

    If a change was meant: ``python -m twolayer.reference --update`` shows and keeps it.
    """
    assert reference.check(ROOT) == []


CSV = "curve,t,excess_risk,low,high\n" + "".join(
    f"ODE,{t},{1 / t},{1 / t},{1 / t}\nSGD,{t},{1.01 / t},{0.99 / t},{1.03 / t}\n"
    for t in range(1, 30)
)


@pytest.fixture
def made(clone):
    """A clone with a figure, and its reference."""
    (clone / "tests").mkdir()
    (clone / "book/figures").mkdir()
    (clone / "book/figures/tiny.csv").write_text(CSV)
    notebook = {"metadata": {"twolayer": {"profile": "quick"}}}
    (clone / "book/figures/tiny.ipynb").write_text(json.dumps(notebook))
    assert "cannot be read" not in reference.update(clone)[0]
    assert reference.check(clone) == []
    return clone


def test_a_change_of_meaning_names_figure_curve_and_time(made, capsys):
    table = made / "book/figures/tiny.csv"

    def said(text):
        table.write_text(text)
        return reference.check(made)

    changed = CSV.replace(f"ODE,29,{1 / 29},", f"ODE,29,{1.002 / 29},")
    [line] = said(changed)
    assert line.startswith("figure tiny, ODE, t = 29: 0.0345517, but the reference is 0.0344828")
    assert said(CSV.replace(f"ODE,29,{1 / 29},", f"ODE,29,{1.0005 / 29},")) == []
    [line] = said(CSV.replace(f"SGD,1,{1.01},", f"SGD,1,{1.25},"))
    assert line.startswith("figure tiny, SGD, t = 1: 1.25")
    assert said(CSV.replace(f"SGD,1,{1.01},", f"SGD,1,{1.1},")) == []
    assert said(CSV.replace("SGD", "sgd")) == [
        "figure tiny, SGD: is gone",
        "figure tiny, sgd: is new",
    ]
    assert said(CSV.replace("ODE,29,", "ODE,31,")) == [
        "figure tiny, ODE: at other t than the reference"
    ]
    assert said(CSV.replace(f"ODE,1,{1 / 1},", "ODE,1,nan,"))
    with pytest.raises(InvalidInput, match=r"tiny\.csv"):
        said("a,b\n1,2\n")
    table.write_text(changed)
    assert reference.main(["--root", str(made)]) == 1
    assert "t = 29" in capsys.readouterr().out


def test_rows_and_rounding_do_not_matter(made):
    """Nor more points, but one place cannot have two values."""
    head, *rows = CSV.splitlines()
    table = made / "book/figures/tiny.csv"
    more = ["ODE,1.5,0.7,0.7,0.7", *(row.replace(",1,", ",1.0000001,") for row in reversed(rows))]
    table.write_text("\n".join([head, *more, rows[3]]))
    assert reference.check(made) == []
    table.write_text(f"{CSV}ODE,1,2,2,2\n")
    with pytest.raises(InvalidInput, match=r"several on 'ODE'.*one value at each t of a curve"):
        reference.check(made)


MAP = reference.Table((), ("x", "y"), "height", (), phase="phase")


@pytest.fixture
def made_map(made, monkeypatch):
    """A clone with a map of 1,600 points, of which half are wet; `write` gives it another coast."""
    monkeypatch.setitem(reference.TABLES, "tiny", MAP)

    def write(coast, rise=1.0):
        points = [(x / 40, y / 40) for y in range(40) for x in range(40)]
        rows = (f"{x},{y},{rise * x:.9g},{'wet' if x < coast else 'dry'}" for x, y in points)
        (made / "book/figures/tiny.csv").write_text("\n".join(["x,y,height,phase", *rows]))

    write(0.5)
    reference.update(made)
    return made, write


def test_a_map_keeps_values_and_shares_of_phases(made_map):
    """One point or two at a border are rounding; 40 are a change."""
    clone, write = made_map
    assert reference.check(clone) == []
    table = clone / "book/figures/tiny.csv"
    table.write_text(table.read_text().replace("wet", "dry", 3))
    assert reference.check(clone) == []
    write(0.55)
    lines = reference.check(clone)
    assert lines[0].startswith("figure tiny, share of wet: 0.55, but the reference is 0.5")
    assert len(lines) == 2
    write(0.5, rise=1.01)
    assert "x = 0.975, y = 0.975: 0.98475, but the reference is 0.975" in reference.check(clone)[-1]


def test_updating_shows_the_differences(made, capsys):
    (made / "book/figures/tiny.csv").write_text(CSV.replace("SGD", "sgd"))
    assert reference.main(["--update", "--root", str(made)]) == 0
    assert "figure tiny, sgd: is new" in capsys.readouterr().out
    assert reference.main(["--root", str(made)]) == 0
    assert "agrees" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "[]", "{", '{"tiny": 1}', '{"tiny": {"ODE": [[1]]}}', "1"])
def test_a_reference_that_is_none(made, text):
    reference.reference_file(made).write_text(text)
    with pytest.raises(InvalidInput, match="--update"):
        reference.check(made)


def test_figures_that_are_not_there_or_of_another_size(made):
    file = made / "book/figures/tiny.ipynb"
    content = json.loads(file.read_text())
    content["metadata"]["twolayer"]["profile"] = "paper"
    file.write_text(json.dumps(content))
    with pytest.raises(InvalidInput, match="made with profile quick"):
        reference.check(made)
    file.unlink()
    with pytest.raises(InvalidInput, match=r"figure tiny.*made"):
        reference.check(made)
