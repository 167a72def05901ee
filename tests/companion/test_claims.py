"""Measurements, their verdicts, and the tables made of them."""

import json

import numpy as np
import pytest
from markdown_it import MarkdownIt

import twolayer as tl
from companion.claims import measurement as claims
from companion.claims import printed as paper
from companion.claims import tables
from companion.claims.measurement import Measurement


@pytest.mark.parametrize(
    ("value", "error", "verdict"),
    [
        (1.0, 0.01, "yes"),
        (1.0, 0.0, "yes"),
        (1.09, 0.01, "consistent"),
        (1.11, 0.01, "consistent"),
        (1.2, 0.01, "no"),
        (0.8, 0.04, "no"),
        (1.0, 10.0, "consistent"),
    ],
)
def test_verdict(value, error, verdict):
    assert Measurement(3, "", "", value, error, 0.9, 1.1).verdict == verdict


@pytest.mark.parametrize("changed", [{"claim": 11}, {"value": float("nan")}, {"error": "0.1"}])
def test_bad_measurements_are_refused(changed):
    good = {"claim": 3, "quantity": "", "paper": "", "value": 1.0, "error": 0.1}
    with pytest.raises(tl.InvalidInput, match=next(iter(changed))):
        Measurement(**(good | changed), low=0.0, high=2.0)


def test_exponent_of_noisy_power_laws_has_an_honest_error():
    """z-test at a false-alarm rate of 1e-6, for repeated rows and for a regression."""
    rng = np.random.default_rng(0)
    x = np.logspace(0, 3, 8)
    y = x**-0.5 * np.exp(0.1 * rng.standard_normal((30, 8)))
    for values in (y, y[0]):
        slope, error = claims.exponent(x, values)
        assert 0 < error < 0.05
        assert abs(slope + 0.5) < 4.9 * error


def test_tables_hold_what_was_published(tmp_path):
    measured = Measurement(5, "a slope", "one half", 0.51, 0.02, 0.4, 0.6, note="a remark")
    compared = {
        "figure": "5b",
        "curve": 100,
        "t": 1,
        "printed": 2.0,
        "as_printed": 2.0,
        "ours": 1.5,
    }
    content = {"results": {}, "claims": [measured.as_dict()], "comparisons": [compared]}
    (tmp_path / "rates.json").write_text(json.dumps(content))
    table = tables.claims_table(tmp_path)
    row = "| a slope | one half | 0.510\u00a0±\u00a00.020 | **yes** (0.4 to 0.6) | [rates]"
    assert row in table
    assert "1 measurements: 1 yes.  " in table
    assert "*a slope*: a remark" in table
    assert table.count("No figure made so far") == len(claims.CLAIMS) - 1
    table = tables.comparison_table(tmp_path)
    assert "| [rates](figures/rates.ipynb) | 1 | −25\u00a0% | +0\u00a0% |" in table
    assert "| rates | 100 | 1 | 2 | 2 | 1.5 |" in table
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(tl.InvalidInput, match=r"other\.json"):
        tables.claims_table(tmp_path)


def test_printed_values_are_all_of_the_figures():
    counts = {f: len(paper.printed_values(f)) for f in ("2-right", "3-left", "3-right", "4", "5a")}
    assert counts == {"2-right": 3, "3-left": 8, "3-right": 6, "4": 15, "5a": 4}
    with pytest.raises(tl.InvalidInput, match="figure"):
        paper.printed_values("5d")


def test_the_index_slip_is_what_its_formula_says():
    particles = tl.Particles([[0.5, 0.1], [-0.2, 0.7], [0.3, 0.3]], [0.4, 0.2, 0.9])
    mf = tl.solve_mean_field(tl.Task("square"), particles, np.eye(2), d=5, t_eval=[0.5])
    gram, q = mf.M[0] @ mf.M[0].T, mf.q[0]
    slip = sum(gram[j, m] * q[j] for j in range(3) for m in range(3))
    right = sum(gram[j, j] * q[j] for j in range(3))
    expected = mf.excess_risk[0] + 2 * (slip - right) / 9
    assert paper.risk_with_index_slip(mf)[0] == pytest.approx(expected, rel=1e-12)


def test_comparison_takes_exact_times_and_known_curves_only():
    grid = np.array([0.5, 1.0, 100.0])
    mf = tl.solve_mean_field(
        tl.Task("square"),
        tl.Particles.from_weights(tl.Weights.gaussian(p=100, k=2, d=5, seed=0)),
        np.eye(2),
        d=5,
        t_eval=grid,
        self_term="exact",
    )
    found = paper.compare("3-left", {100: mf, 7: mf}, {100: paper.risk_with_index_slip(mf)})
    assert [(c.curve, c.t) for c in found] == [(100, 1), (100, 100)]
    for c in found:
        assert c.as_printed == pytest.approx(c.printed, rel=2e-3)
        assert c.ours != pytest.approx(c.printed, rel=0.1)


def test_a_table_keeps_its_cells():
    """Whatever stands in them: Markdown ends a cell at every bare ``|``."""
    rows = [["max|Ω|", "`a|b`", r"$\|x\|$"], ["two\nlines", "", "1"]]
    made = tables.table("abc", rows)
    tokens = MarkdownIt("commonmark").enable("table").parse(made)
    texts = [t.content for t in tokens if t.type == "inline"]
    assert texts == ["a", "b", "c", *rows[0], "two lines", "", "1"]
    with pytest.raises(ValueError, match=r"rows: got .* 3 cells"):
        tables.table("abc", [["1", "2"]])
