"""How results are looked at: short texts, tables, a figure; and when two of them are equal."""

import copy
import html.parser
import pickle
import subprocess
import sys
import tomllib
import typing

import matplotlib
import numpy as np
import pytest
from conftest import ROOT

import twolayer as tl
from twolayer.activations.known import ACTIVATIONS, OTHERS, Name
from twolayer.flow.terms import TERMS, Terms
from twolayer.problem.update import NORMS, Norm
from twolayer.results import picture
from twolayer.support.integrate import ODE_METHODS, Integrator

matplotlib.use("Agg")

TASK = tl.Task("erf", noise=0.1)
WEIGHTS = tl.Weights.gaussian(p=3, k=2, d=100, seed=0)
OVERLAPS, PARTICLES = WEIGHTS.overlaps(), tl.Particles.from_weights(WEIGHTS)
HOW = {"learning_rate": 0.5, "t_eval": [0.0, 0.5, 1.0]}


def results():
    yield "solve", tl.solve(TASK, OVERLAPS, **HOW)
    yield "trained", tl.solve(TASK, OVERLAPS, second_layer_rate=0.5, **HOW)
    yield "simulate", tl.simulate(TASK, WEIGHTS, runs=3, **HOW)
    yield "norms", tl.simulate(TASK, WEIGHTS, record="norms", **HOW)
    yield "mean field", tl.solve_mean_field(TASK, PARTICLES, OVERLAPS.P, d=100, t_eval=[0, 1.0])


RESULTS = dict(results())


# --- in a line, in a table ----------------------------------------------------------------


def test_a_state_is_one_line():
    assert repr(WEIGHTS) == "Weights(p=3, k=2, d=100)"
    assert repr(OVERLAPS) == "Overlaps(p=3, k=2)"
    assert repr(PARTICLES) == "Particles(p=3, k=2)"
    limit = tl.Particles.quadrature([[1.0]], d=3, order=4)
    assert repr(limit) == "Particles(p=16, k=1, finite=False)"


class Cells(html.parser.HTMLParser):
    """The texts of a table; every tag that is opened is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.texts = [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def softplus(x):
    return np.logaddexp(0.0, x)


@pytest.mark.parametrize("shown", [TASK, WEIGHTS, OVERLAPS, PARTICLES, *RESULTS.values()], ids=repr)
def test_a_notebook_has_a_table(shown):
    cells = Cells(shown._repr_html_())
    assert cells.texts[0] == repr(shown)
    assert len(cells.texts) > 4


def test_what_a_table_says_is_text():
    hostile = tl.Activation.of(softplus, name="<script>alert('&')</script>")
    text = tl.Task(hostile)._repr_html_()
    assert "<script" not in text
    assert "<script>alert('&')</script>" in Cells(text).texts


@pytest.mark.parametrize("name", RESULTS)
def test_a_summary_says_what_was_run_and_how(name):
    result = RESULTS[name]
    text = result.summary()
    assert text.splitlines()[0] == repr(result)
    first = np.atleast_2d(result.risk)[:, 0].mean()
    for part in (f"{first:.4g}", "t = 0", "t = 1", str(result.provenance["seconds"])):
        assert part in text
    assert result.provenance["method"] in text
    assert result.provenance.get("why", "") in text
    for parameter, value in result.parameters.items():
        assert value is None or f"{parameter}={value!r}" in text
    assert ("60 steps" in text or "600 steps" in text) == (
        getattr(result, "steps", None) is not None
    )


def test_a_summary_of_what_is_hardly_there():
    shapes = {"Q": (0, 1, 1), "M": (0, 1, 1), "P": (1, 1), "excess_risk": (0,)}
    arrays = {name: np.ones(shape) for name, shape in shapes.items()}
    empty = tl.Trajectory(t=np.empty(0), task=TASK, **arrays)
    assert empty.summary().splitlines()[1:] == ["  times  none"]
    with pytest.raises(tl.InvalidInput, match="recorded times"):
        empty.plot()


def test_runs_that_diverged_are_named():
    start = tl.Weights.gaussian(p=2, k=1, d=10, seed=0)
    with np.errstate(all="ignore"):
        run = tl.simulate(
            *(tl.Task("square"), start),
            **{"learning_rate": 30.0, "t_eval": [0.0, 400.0], "on_divergence": "keep"},
        )
    assert "runs [0] diverged" in run.summary()
    assert "nothing known at t = 400" in run.summary()
    assert run.plot()


# --- in a figure --------------------------------------------------------------------------


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", RESULTS)
def test_a_plot_shows_what_was_recorded(name):
    import matplotlib.pyplot as plt

    result = RESULTS[name]
    figure = result.plot()
    risk, overlaps, neurons = figure.axes
    runs = np.atleast_2d(result.risk)
    for line, values in zip(risk.lines, runs, strict=False):
        np.testing.assert_array_equal(line.get_xydata().T, [result.t, values])
    M = result.M[0] if result.M.ndim == 4 else result.M
    drawn = [line.get_ydata() for line in overlaps.lines]
    np.testing.assert_array_equal(drawn, M.transpose(2, 1, 0).reshape(6, -1))
    if name == "mean field":
        norms = result.q_total
    else:
        norms = result.Q if name == "norms" else np.diagonal(result.Q, axis1=-2, axis2=-1)
    norms = norms[0] if norms.ndim == 3 else norms
    drawn = [line.get_ydata() for line in neurons.lines if line.get_linestyle() == "-"]
    np.testing.assert_array_equal(drawn, norms.T)
    assert (len(neurons.lines) == 6) == (name == "trained")
    figure.canvas.draw()
    plt.close(figure)


def test_of_many_neurons_some_are_drawn():
    import matplotlib.pyplot as plt

    wide = tl.Weights.gaussian(p=300, k=2, d=5, seed=0)
    sol = tl.solve_mean_field(
        TASK, tl.Particles.from_weights(wide), np.eye(2), d=5, t_eval=[0.0, 0.1]
    )
    figure = sol.plot()
    assert max(len(ax.lines) for ax in figure.axes) <= 70
    assert "30 of 300" in figure.axes[1].get_title()
    plt.close(figure)


def test_the_colours_remain_distinct_under_colour_blindness():
    """Under any of the three kinds (Machado et al. 2009, severity 1) they stay apart in RGB."""
    from matplotlib.colors import to_rgb

    seen = {
        "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
        "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                   [-0.011820, 0.042940, 0.968881]],
        "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
    }  # fmt: skip
    srgb = np.array([to_rgb(colour) for colour in picture.COLOURS])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    for matrix in seen.values():
        light = np.clip(linear @ np.array(matrix).T, 0, 1)
        back = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
        apart = np.linalg.norm(back[:, None] - back[None], axis=-1) + 9 * np.eye(len(back))
        assert apart.min() > 0.1, apart.min()


WITHOUT = """
import sys
import twolayer as tl
assert not {"matplotlib", "numba", "xarray"} & set(sys.modules)
sys.modules["matplotlib"] = None
start = tl.Overlaps([[1.0]], [[0.5]], [[1.0]])
sol = tl.solve(tl.Task("erf"), start, terms="gradient-flow", t_eval=[0.0, 1.0])
try:
    sol.plot()
except ImportError as error:
    print(error)
"""


def test_without_matplotlib_plot_says_how_to_have_it():
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True)
    assert "pip install twolayer[figures]" in done.stdout, done.stderr


# --- equal --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RESULTS)
def test_results_are_equal_by_what_they_hold(name, tmp_path):
    result, again = RESULTS[name], dict(results())[name]
    assert result == again
    assert (result != again) is False
    assert result == copy.deepcopy(result) == pickle.loads(pickle.dumps(result))
    assert result == type(result).load(result.save(tmp_path / "a.nc"))
    copied = pickle.loads(pickle.dumps(result))
    assert result == type(result).load(copied.save(tmp_path / "copied.nc"))
    others = [other for key, other in RESULTS.items() if key != name]
    assert not any(result == other for other in [*others, None, 3, "x"])
    with pytest.raises(TypeError, match="unhashable"):
        hash(result)


def changed(result, **values):
    out = copy.copy(result)
    out.__dict__.update(values)
    return out


def test_every_array_the_task_and_the_parameters_count_and_provenance_does_not():
    for result in RESULTS.values():
        arrays = {n: value for n, value in vars(result).items() if isinstance(value, np.ndarray)}
        for name, values in arrays.items():
            moved = values.copy()
            moved.flat[-1] += 1
            assert result != changed(result, **{name: moved}), name
        assert result != changed(result, task=tl.Task("erf"))
        assert result != changed(result, parameters={**result.parameters, "d": 7})
        assert result == changed(result, provenance={})


def test_nan_equals_nan():
    risk = RESULTS["simulate"].excess_risk.copy()
    risk[1, 2] = np.nan
    first, second = (changed(RESULTS["simulate"], excess_risk=risk.copy()) for _ in range(2))
    assert first == second != RESULTS["simulate"]


def test_tasks_of_ones_own_functions():
    flow = {"terms": "gradient-flow", "t_eval": [0.0, 0.1]}
    one, two = (tl.solve(tl.Task(softplus), OVERLAPS, **flow) for _ in range(2))
    namesake = tl.Activation.of(lambda x: softplus(x) + 1, name="softplus")
    assert one == two
    assert one != tl.solve(tl.Task(namesake), OVERLAPS, **flow)


# --- names --------------------------------------------------------------------------------


def test_public_names_only():
    assert set(dir(tl)) == set(tl.__all__)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert tl.__version__ == project["version"]


def test_choices_are_literal_types():
    """Which a type checker knows, and which are those that the checks at run time allow."""
    options = {
        tl.solve: {"terms": Terms, "method": Integrator, "norm": Norm},
        tl.solve_mean_field: {"method": Integrator},
    }
    for function, wanted in options.items():
        hints = typing.get_type_hints(function)
        assert {name: hints[name] for name in wanted} == wanted
    assert typing.get_args(Terms) == tuple(TERMS)
    assert typing.get_args(Norm) == NORMS
    assert typing.get_args(Integrator) == ("auto", *ODE_METHODS)
    assert typing.get_args(Name) == (*ACTIVATIONS, *OTHERS)
    assert Name in typing.get_args(typing.get_type_hints(tl.Task.__init__)["activation"])
    for name in ("method", "record", "on_divergence", "norm"):
        values = typing.get_args(typing.get_type_hints(tl.simulate)[name])
        for value in values:
            tl.simulate(TASK, WEIGHTS, learning_rate=0.1, t_eval=[0], **{name: value})
        with pytest.raises(tl.InvalidInput):
            tl.simulate(TASK, WEIGHTS, learning_rate=0.1, t_eval=[0], **{name: values[0] + "s"})
    assert (ROOT / "lib/twolayer/py.typed").is_file()
