"""The explorer's computation, and its widget without a browser."""

import json
import threading
import time

import numpy as np
import pytest
from heard import Heard

import twolayer as tl
from companion.site import triangle_grid as grid
from twolayer import explorer
from twolayer.explorer import triangle
from twolayer.explorer.call import python_call
from twolayer.explorer.request import Request

SMALL = {"p": 4, "d": 12, "t_max": 20.0, "noise": 0.05}


def test_answers_are_what_the_package_computes():
    answer = explorer.compute(SMALL | {"theories": ["gradient-flow+noise", "full"], "runs": 3})
    json.dumps(answer, allow_nan=False)
    asked = answer["request"]
    task = tl.Task("erf", noise=asked["noise"])
    start = tl.Weights.gaussian(p=4, k=2, d=12, seed=asked["seed"])
    for curve in answer["curves"]:
        sol = tl.solve(
            task,
            start.overlaps(),
            learning_rate=asked["learning_rate"],
            terms=curve["theory"],
            t_eval=answer["t"],
        )
        np.testing.assert_allclose(curve["excess_risk"], sol.excess_risk, rtol=1e-5)
    assert answer["frames"][-1] == len(answer["t"]) - 1
    np.testing.assert_allclose(answer["M"][-1], sol.M[-1], atol=0.05)
    run = tl.simulate(
        task, start, learning_rate=0.5, t_eval=answer["sgd"]["t"], runs=3, seed=asked["seed"]
    )
    np.testing.assert_array_equal(answer["sgd"]["median"], np.median(run.excess_risk, axis=0))


@pytest.mark.parametrize("activation", ["erf", "square"])
def test_the_copied_call_makes_the_same_curves(activation):
    theories = ["full", "mean-field", "mean-field-orthogonal"]
    request = SMALL | {"activation": activation, "theories": theories, "runs": 2}
    request["learning_rate"] = 0.1
    answer = explorer.compute(request)
    names: dict = {}
    exec(answer["call"], names)
    for curve in answer["curves"]:
        made = names[curve["theory"].replace("-", "_")]
        np.testing.assert_array_equal(curve["excess_risk"], np.maximum(made.excess_risk, 1e-18))
    median = np.median(names["sgd"].excess_risk, axis=0)
    np.testing.assert_array_equal(answer["sgd"]["median"], np.maximum(median, 1e-18))


@pytest.mark.parametrize("name", explorer.PRESETS)
def test_presets_can_be_asked_for(name):
    title, request = explorer.PRESETS[name]
    asked = Request.from_dict(request)
    assert title
    assert Request.from_dict(json.loads(json.dumps(asked.as_dict()))) == asked
    compile(python_call(asked), name, "exec")
    assert asked.sgd_times().size > 10


def test_every_figure_of_the_paper_has_a_preset():
    wanted = {"1", "2 left", "2 right", "3 left", "3 right", "4", "5 a", "5 b", "5 c", "5 d"}
    assert set(explorer.PRESETS) == wanted


@pytest.mark.parametrize(
    ("request_", "argument"),
    [
        ({"p": 0}, "p"),
        ({"p": 65}, "p"),
        ({"p": 1001, "theories": ["mean-field"]}, "p"),
        ({"p": "8"}, "p"),
        ({"p": 60, "d": 10**6}, "p d"),
        ({"k": 9}, "k"),
        ({"d": 1}, "d"),
        ({"noise": -1.0}, "noise"),
        ({"noise": float("nan")}, "noise"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"start": "embed"}, "start"),
        ({"start": "__class__"}, "start"),
        ({"activation": "relu"}, "activation"),
        ({"theories": []}, "theories"),
        ({"theories": "full"}, "theories"),
        ({"theories": ["mean-field-limit"], "start": "in_target_span"}, "theories"),
        ({"t_max": 1e9}, "t_max"),
        ({"runs": 1000}, "runs"),
        ({"triangle": [1, 1, 1]}, "triangle"),
        ({"triangle": "abc"}, "triangle"),
        ({"gamma": 1}, "request"),
        ([], "request"),
    ],
)
def test_bad_requests_are_refused_by_name(request_, argument):
    with pytest.raises(tl.InvalidInput, match=f"^{argument}: "):
        explorer.compute(request_)


def test_a_divergent_run_is_a_note():
    answer = explorer.compute(
        {"activation": "square", "p": 2, "learning_rate": 500.0, "theories": ["full"], "runs": 1}
    )
    assert any("ODE, all terms" in note for note in answer["notes"])
    assert any("SGD" in note for note in answer["notes"])
    json.dumps(answer, allow_nan=False)


def test_points_of_the_triangle_and_back():
    for weights in ((1, 0, 0), (0, 1, 0), (0, 0, 1), (0.3, 0.3, 0.4)):
        back = triangle.weights(*triangle.numbers(*weights))
        assert back == pytest.approx(weights, abs=0.05)


@pytest.mark.parametrize("at", [[1, 0, 0], [0, 1, 0], [0, 0, 1]])
def test_a_corner_is_what_it_is_called(at):
    name = ("gradient flow", "high-dimensional", "mean field")[at.index(1)]
    asked = Request.from_dict(grid.COMMON | {"triangle": at})
    sizes = tl.regimes.scales(asked.d, asked.p, asked.learning_rate, asked.noise, k=asked.k)
    assert sizes.regime.startswith(name)
    assert ("full" in asked.theories) == (asked.p <= 64)  # beyond, what it leaves out is small
    assert "full" in asked.theories or sizes.variance < 0.01


@pytest.mark.parametrize("name", explorer.PRESETS)
def test_a_preset_is_in_the_regime_that_the_book_names(name):
    """The page "One triangle" says the same of the figures of the paper."""
    asked = Request.from_dict(explorer.PRESETS[name][1])
    at = {"k": asked.k, "activation": asked.activation}
    found = tl.regimes.scales(asked.d, asked.p, asked.learning_rate, asked.noise, **at).regime
    expected = {"3 right": "mean field, high-dimensional"} | dict.fromkeys(
        ("3 left", "5 a", "5 b", "5 c", "5 d"), "mean field, low-dimensional"
    )
    assert found == expected.get(name, "gradient flow, then a plateau")


def test_a_small_grid_is_complete_and_thin():
    shares = []
    made = grid.triangle_grid(1, jobs=1, done=shares.append)
    assert set(made["points"]) == {"0,0", "0,1", "1,0"}
    assert shares[-1] == 1
    text = json.dumps(made, allow_nan=False)
    assert len(text) < 3 * 20_000
    point = made["points"]["0,1"]
    whole = explorer.compute(grid.point(0, 1, 1))
    for thin, full in zip(point["curves"], whole["curves"], strict=True):
        np.testing.assert_allclose(thin["excess_risk"], full["excess_risk"][::2], rtol=1e-3)
    assert point["call"] == whole["call"]
    assert point["t"][point["frames"][-1]] == pytest.approx(300)


@pytest.mark.parametrize("name", ["erf", "square"])
def test_a_first_answer_comes_before_and_is_nearly_right(name):
    shown = []
    request = {"p": 8, "activation": name, "theories": ["full", "mean-field"], "runs": 2}
    answer = explorer.compute(request | {"d": 20, "t_max": 300.0}, show=shown.append)
    assert [len(first["curves"]) for first in shown] == [1, 2]
    first = shown[-1]
    assert first["request"] == answer["request"]
    assert first["sgd"] is None
    assert len(answer["sgd"]["t"]) > 1
    for early, late in zip(first["curves"], answer["curves"], strict=True):
        risks = early["excess_risk"], late["excess_risk"]
        np.testing.assert_allclose(*risks, rtol=1e-3, atol=1e-5)


def test_of_a_long_request_the_beginning_comes_first():
    shown = []
    request = {"p": 4, "d": 20, "t_max": 1e4, "theories": ["full", "gradient-flow"]}
    answer = explorer.compute(request, show=shown.append)
    soon = sum(t <= 300 for t in answer["t"])
    lengths = [[len(curve["excess_risk"]) for curve in first["curves"]] for first in shown]
    assert lengths == [[soon], [soon] * 2, [97], [97] * 2]
    assert {len(first["t"]) for first in shown} == {97}
    assert {len(first["frames"]) for first in shown} == {len(answer["frames"])}


def test_the_widget_answers_and_explains():
    widget = Heard(SMALL)
    widget._hear(None, {"type": "hello"}, [])
    assert widget.wait_for("hello")
    widget._hear(None, {"type": "compute", "id": 1, "request": SMALL | {"p": 3}}, [])
    assert widget.wait_for("answer")["answer"]["request"]["p"] == 3
    assert widget.wait_for("first")["answer"]["request"]["p"] == 3
    widget._hear(None, {"type": "compute", "id": 2, "request": {"p": 0}}, [])
    assert widget.wait_for("failed")["reason"].startswith("p: ")


def test_a_long_run_reports_and_is_cancelled():
    widget = Heard(SMALL)
    long = {"p": 30, "d": 1000, "runs": 64, "t_max": 1e4, "theories": ["full"]}
    before = threading.active_count()
    widget._hear(None, {"type": "compute", "id": 1, "request": long}, [])
    progress = widget.wait_for("progress")
    assert 0 <= progress["share"] <= 1
    widget._hear(None, {"type": "cancel"}, [])
    until = time.monotonic() + 120
    while threading.active_count() > before and time.monotonic() < until:
        time.sleep(0.05)
    assert threading.active_count() <= before
    assert not [m for m in widget.said if m["type"] == "answer"]
    widget._hear(None, {"type": "compute", "id": 2, "request": SMALL}, [])
    assert widget.wait_for("answer")["id"] == 2
