"""The Python code shown on pages runs as it stands, after a preamble where it needs one."""

import re

import matplotlib
import numpy as np
import pytest
from conftest import ROOT

import twolayer as tl


def run(page, names):
    text = (ROOT / f"book/{page}.md").read_text("utf-8")
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(code, page, "exec"), names)
    return names


COOKBOOK = re.findall(
    r"^## (.*?)\n(.*?)(?=^## |\Z)", (ROOT / "book/cookbook.md").read_text("utf-8"), re.M | re.S
)


@pytest.mark.parametrize(("question", "recipe"), COOKBOOK, ids=[q for q, _ in COOKBOOK])
def test_a_recipe_stands_alone(question, recipe, tmp_path, monkeypatch, capsys):
    """Each has one block of code, which runs by itself and shows something."""
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    (code,) = re.findall(r"```python\n(.*?)```", recipe, re.DOTALL)
    exec(compile(code, question, "exec"), {"__name__": "recipe"})
    assert capsys.readouterr().out.strip() or list(tmp_path.glob("*.svg"))


def test_your_own_problem(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run("own_problem", {})
    sgd, full, field = names["sgd"], names["full"], names["field"]
    late = full.t > 0.5
    assert sgd.excess_risk.mean(0)[late] == pytest.approx(full.excess_risk[late], rel=0.3)
    assert (names["back"].Q == full.Q).all()
    assert field.excess_risk[-1] < field.excess_risk[0]


def test_how_to_cite(capsys):
    run("cite", {})
    assert "@article{bartlett1933," in capsys.readouterr().out


def test_a_second_layer_and_steps():
    drawn = tl.Weights.gaussian(p=3, k=2, d=5, seed=0)
    names = {"np": np, "tl": tl, "task": tl.Task("erf", noise=0.1), "t": np.array([0.1, 1.0])}
    names |= {"W": drawn.W, "W_star": drawn.W_star, "P": np.eye(2)}
    names |= {"a": np.array([0.5, 1.0, 1.5]), "a_star": np.array([1.0, 0.5])}
    names = run("second_layer", names)
    assert names["sol"].a.shape == names["run"].a[0].shape == names["mf"].a.shape == (2, 3)
    run("steps", names)
