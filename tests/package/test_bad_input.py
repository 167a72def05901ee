"""Over two thousand bad inputs: each works correctly or raises the error that names the argument.

For every argument of every public function all of `trials.ODD_VALUES` are tried in turn, and
hypothesis draws more.  None may hang, return NaN, or end in an error of another library.
"""

import contextlib
import inspect
import io
import os
import signal
import warnings

import numpy as np
import pytest
import trials
from conftest import FIGURES_YML
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import twolayer as tl
from companion.claims import measurement as claims
from companion.claims import printed as paper
from companion.figures import catalogue
from companion.figures import make as figures
from companion.figures.__main__ import main
from twolayer import activations, flow, regimes, schedules
from twolayer.theory import clocks, diffusion, escape, exit_runs, exits, powers
from twolayer.theory.linear_noise import fluctuations

TASK, SQUARE = tl.Task("erf", noise=0.1), tl.Task("square")
WEIGHTS = tl.Weights.gaussian(p=3, k=2, d=20, seed=0)
OVERLAPS = WEIGHTS.overlaps()
PARTICLES = tl.Particles.from_weights(WEIGHTS)
SOLUTION = tl.solve(TASK, OVERLAPS, learning_rate=0.1, t_eval=[0.0, 1.0])
LEVEL = float(SOLUTION.risk.mean())  # between the two
MEAN_FIELD = tl.solve_mean_field(SQUARE, PARTICLES, OVERLAPS.P, d=20, t_eval=[0.0, 0.1])
SPECTRUM = tl.Spectrum.from_covariance([[1.5, 0.0], [0.0, 0.5]])
SECONDS = 20  # no bad input is looked at for longer


VALUES = trials.ODD_VALUES


def sweep(solver, over, executor, folder, progress, t_eval, start):
    """`tl.sweep` takes its solver's arguments by name, too."""
    rest = {"executor": executor, "folder": folder, "progress": progress, "t_eval": t_eval}
    return tl.sweep(solver, task=SQUARE, overlaps=start, learning_rate=0.1, over=over, **rest)


#: Every public function with arguments that are good.
GOOD = {
    tl.Task: {
        "activation": "erf",
        "target_activation": None,
        "noise": 0.1,
        "order": 48,
        "points": 1024,
        "tolerance": 1e-6,
    },
    tl.Activation.of: {"sigma": np.tanh, "derivative": None, "kinks": (), "name": None},
    tl.Overlaps: {
        "Q": np.eye(2),
        "M": [[0.5], [0.0]],
        "P": [[1.0]],
        "a": None,
        "a_star": None,
    },
    tl.Weights: {
        "W": np.eye(2),
        "W_star": [[1.0, 0.0]],
        "a": None,
        "a_star": None,
        "inputs": "scaled",
    },
    tl.Weights.gaussian: {
        "p": 2,
        "k": 1,
        "d": 5,
        "seed": 0,
        "orthonormal_target": True,
        "norm": None,
    },
    tl.Spectrum: {"eigenvalues": [1.5, 0.5], "dimensions": [1, 1], "vectors": np.eye(2)},
    tl.Spectrum.from_covariance: {"covariance": 2 * np.eye(2), "groups": 2, "normalise": True},
    tl.Spectrum.from_samples: {"x": 2 * np.eye(2), "groups": 2, "normalise": True},
    tl.Spectrum.power_law: {"d": 50, "alpha": 0.5, "groups": 4},
    tl.Spectrum.two_level: {"d": 50, "ratio": 4.0, "share": 0.5},
    tl.Spectrum.spiked: {"d": 50, "strength": 4.0, "spikes": 2},
    SPECTRUM.turned: {"weights": tl.Weights(np.eye(2), [[1.0, 0.0]])},
    SPECTRUM.moment: {"order": 2},
    WEIGHTS.overlaps: {"spectrum": tl.Spectrum.two_level(20, 4.0)},
    tl.SpectralOverlaps: {
        "spectrum": SPECTRUM,
        "Q_blocks": np.ones((2, 1, 1)),
        "M_blocks": np.zeros((2, 1, 1)),
        "P_blocks": np.zeros((2, 1, 1)),
        "a": None,
        "a_star": None,
    },
    tl.SpectralParticles: {
        "spectrum": SPECTRUM,
        "m": np.ones((1, 2, 1)),
        "q": np.ones((1, 2)),
        "weight": None,
        "a": None,
    },
    tl.SpectralParticles.from_weights: {
        "weights": tl.Weights([[1.0, 2.0]], [[1.0, 1.0]]),
        "spectrum": SPECTRUM,
    },
    tl.Weights.in_target_span: {"p": 2, "k": 1, "d": 5, "seed": 0},
    OVERLAPS.embed: {"d": 9, "seed": 0},
    tl.risk: {"task": TASK, "overlaps": OVERLAPS, "a_star": None},
    tl.excess_risk: {"task": TASK, "overlaps": OVERLAPS, "a_star": None},
    tl.observe: {
        "task": TASK,
        "W": WEIGHTS.W,
        "W_star": WEIGHTS.W_star,
        "spectrum": tl.Spectrum.two_level(20, 4.0),
        "a": None,
        "a_star": None,
    },
    tl.citation: {"result": None},
    tl.solve: {
        "task": TASK,
        "overlaps": OVERLAPS,
        "t_eval": [0.0, 1.0],
        "steps": None,
        "learning_rate": 0.1,
        "terms": "full",
        "d": 5,
        "a_star": None,
        "second_layer_rate": 0.0,
        "batch": 1,
        "weight_decay": 0.0,
        "norm": "free",
        "neuron_rates": None,
        "rtol": 1e-6,
        "atol": 1e-9,
        "method": "LSODA",
        "stop_at_risk": None,
        "progress": False,
    },
    tl.simulate: {
        "task": TASK,
        "start": WEIGHTS,
        "learning_rate": 0.1,
        "t_eval": [0.0, 1.0],
        "steps": None,
        "second_layer_rate": 0.0,
        "batch": 1,
        "weight_decay": 0.0,
        "norm": "free",
        "neuron_rates": None,
        "d": None,
        "spectrum": None,
        "inputs": None,
        "a_star": None,
        "runs": 1,
        "seed": 0,
        "method": "auto",
        "record": "overlaps",
        "on_divergence": "raise",
        "stop_at_risk": None,
        "executor": None,
        "progress": False,
        "checkpoint": None,
    },
    tl.jacobian: {
        "task": TASK,
        "overlaps": OVERLAPS,
        "learning_rate": 0.1,
        "terms": "full",
        "d": 5,
        "batch": 1,
    },
    tl.fixed_point: {
        "task": TASK,
        "guess": tl.Overlaps(np.eye(2), np.eye(2), np.eye(2)),
        "learning_rate": 0.1,
        "terms": "full",
        "d": 5,
        "batch": 1,
        "tolerance": 1e-6,
    },
    tl.plateaus: {"result": SOLUTION, "slope": 0.1, "length": 3.0},
    sweep: {
        "solver": tl.solve,
        "over": {"batch": [1, 2]},
        "executor": None,
        "folder": None,
        "progress": False,
        "t_eval": [0.0, 0.1],
        "start": OVERLAPS,
    },
    schedules.constant: {"rate": 0.1},
    schedules.cosine: {"first": 1.0, "last": 0.1, "t": None, "steps": 100, "samples": None},
    schedules.power: {"first": 1.0, "exponent": 0.5, "t0": 10.0, "in_": "t"},
    schedules.warmup: {
        "target": 1.0,
        "over": 10,
        "then": schedules.constant(0.1),
        "first": 0.1,
        "in_": "steps",
    },
    schedules.piecewise: {"pieces": {0: 1.0, 10: 0.1}, "in_": "steps"},
    fluctuations: {
        "task": TASK,
        "overlaps": OVERLAPS,
        "learning_rate": 0.1,
        "d": 20,
        "t_eval": [0.0, 1.0],
        "batch": 1,
        "points": 128,
        "seed": 0,
        "rtol": 1e-2,
    },
    diffusion.diffusion: {
        "task": TASK,
        "overlaps": OVERLAPS,
        "learning_rate": 0.1,
        "batch": 1,
        "points": 128,
        "seed": 0,
    },
    tl.solve_mean_field: {
        "task": SQUARE,
        "particles": PARTICLES,
        "P": OVERLAPS.P,
        "d": 20,
        "t_eval": [0.0, 0.1],
        "a_star": None,
        "second_layer_ratio": 0.0,
        "self_term": "none",
        "nodes": 6,
        "rtol": 1e-6,
        "atol": 1e-9,
        "method": "DOP853",
        "stop_at_risk": None,
        "progress": False,
    },
    tl.Particles: {"m": [[0.5], [0.0]], "q": [0.7, 1.0], "weight": None, "finite": True, "a": None},
    tl.Particles.from_weights: {"weights": WEIGHTS},
    tl.Particles.quadrature: {"P": [[1.0]], "d": 3, "order": 4},
    SOLUTION.overlaps: {"time": 0, "run": 0},
    tl.time_to: {"result": SOLUTION, "risk": LEVEL, "learning_rate": None},
    SOLUTION.time_to: {"risk": LEVEL, "learning_rate": None},
    SOLUTION.to_xarray: {"time": "recorded"},
    MEAN_FIELD.to_xarray: {"time": "recorded"},
    SOLUTION.save: {"path": "result.nc"},
    tl.Trajectory.load: {"path": "result.nc", "task": None},
    tl.MeanFieldTrajectory.load: {"path": "mean_field.nc", "task": None},
    regimes.scales: {
        "d": 10,
        "p": 2,
        "learning_rate": 0.1,
        "noise": 0.1,
        "k": 2,
        "activation": "erf",
        "overlaps": None,
        "spectrum": tl.Spectrum.two_level(10, 4.0),
    },
    regimes.half_way: {"p": 2, "k": 1},
    regimes.phase: {"kappa": 0.1, "delta": 0.1},
    clocks.clock_coefficients: {"s": 0.5, "d": 100.0},
    clocks.approach: {"s": 0.5},
    clocks.clock_flow: {
        "task": TASK,
        "overlaps": OVERLAPS,
        "rate_per_student": 0.5,
        "A": 1.0,
        "B": 0.1,
        "tau": [0.0, 1.0],
    },
    powers.one_step: {"task": TASK, "overlaps": OVERLAPS, "samples": 100, "seed": 0},
    powers.count_powers: {
        "small": [1.0, 1.0, 1.0],
        "large": [0.1, 0.1, 0.1],
        "factor": 10.0,
        "resolution": 0.0,
    },
    powers.in_strip: {"kappa": 1.0, "delta": -1.2},
    flow.psi_M: {"task": TASK, "overlaps": OVERLAPS},
    flow.psi_GF: {"task": TASK, "overlaps": OVERLAPS},
    flow.psi_noise: {"task": TASK, "overlaps": OVERLAPS},
    flow.psi_Var: {"task": TASK, "overlaps": OVERLAPS, "d": 5},
    flow.psi_a: {"task": TASK, "overlaps": OVERLAPS},
    flow.right_hand_side: {
        "task": TASK,
        "P": OVERLAPS.P,
        "learning_rate": 0.1,
        "terms": "full",
        "d": None,
        "a_star": None,
        "batch": 1,
    },
    escape.plateau: {"learning_rate": 0.05, "noise": 0.1, "p": 1, "spherical": False},
    escape.largest_learning_rate: {"noise": 0.1, "p": 1, "spherical": False},
    escape.start_variance: {"learning_rate": 0.05, "noise": 0.1, "p": 1, "spherical": False},
    escape.spherical_drift: {"cosine": [0.1, 0.2], "learning_rate": 0.05, "noise": 0.1},
    escape.spherical_exit_time: {
        "squared_cosine": [0.1, 0.2],
        "learning_rate": 0.05,
        "noise": 0.1,
        "threshold": 0.5,
    },
    exits.exit_time: {
        "task": SQUARE,
        "overlaps": OVERLAPS,
        "learning_rate": 0.05,
        "terms": "full",
        "spherical": False,
        "threshold": 0.5,
        "t_max": 10.0,
    },
    exits.exit_quantiles: {
        "d": 100,
        "levels": [0.2, 0.5],
        "learning_rate": 0.05,
        "noise": 0.1,
        "p": 1,
        "spherical": False,
        "threshold": 0.5,
    },
    exits.mean_exit_time: {
        "d": 100,
        "learning_rate": 0.05,
        "noise": 0.1,
        "spherical": False,
        "threshold": 0.5,
    },
    exit_runs.exit_times: {
        "d": 100,
        "learning_rate": 0.05,
        "noise": 0.1,
        "spherical": False,
        "threshold": 0.5,
        "runs": 1,
        "seed": 0,
        "t_max": 1e-12,  # at d = 10^12 a unit of time is a week
        "executor": None,
    },
    paper.printed_values: {"figure": "4"},
    claims.Measurement: {
        "claim": 1,
        "quantity": "q",
        "paper": "p",
        "value": 1.0,
        "error": 0.1,
        "low": 0.0,
        "high": 2.0,
        "note": "",
    },
    claims.with_error: {"value": 1.0, "error": 0.1},
    claims.exponent: {"x": [1.0, 2.0, 3.0], "y": [1.0, 2.0, 3.0]},
    claims.mean_and_error: {"values": [1.0, 2.0]},
    activations.get: {"activation": "erf"},
}
NEVER_WRONG = ("path", "target_activation", "checkpoint", "quantity", "folder")
CASES = [(call, name) for call, good in GOOD.items() for name in good]


@contextlib.contextmanager
def no_hang():
    def ring(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def numbers_of(result):
    """Everything numerical that a result holds."""
    if isinstance(result, (float, int, np.ndarray)):
        return [np.asarray(result)]
    names = (
        "t",
        "Q",
        "M",
        "P",
        "W",
        "W_star",
        "a",
        "a_star",
        "m",
        "q",
        "weight",
        "excess_risk",
        "variance",
    )
    return [np.asarray(getattr(result, n)) for n in names if hasattr(result, n)]


def try_one(call, name, value):
    """Call with one argument replaced; returns whether it was refused."""
    good, caught, result = GOOD[call], None, None
    try:
        with no_hang(), warnings.catch_warnings():
            warnings.simplefilter("error")
            result = call(**{**good, name: value})
    except (tl.InvalidInput, tl.Divergence, OSError) as error:
        caught = error
    if isinstance(caught, tl.InvalidInput):
        # If two arguments do not fit together, either may be named.
        assert caught.argument in {*good, "Q, M, P", "Q_blocks, M_blocks, P_blocks", "overlaps"}, (
            caught
        )
        assert str(caught).startswith(f"{caught.argument}: got ")
    elif isinstance(caught, tl.Divergence):
        assert all(np.isfinite(array).all() for array in numbers_of(caught.trajectory))
        return False
    elif caught is not None:  # of `save` and `load`, as documented
        assert name == "path"
        assert str(caught).startswith(("cannot save to", "there is no file")), caught
    for array in numbers_of(result):
        never = name == "risk" and call in (tl.time_to, SOLUTION.time_to)  # NaN says that
        bad = array.dtype.kind == "f" and np.isnan(array).any()
        assert never or not bad, (call, name, value)
    return caught is not None


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    SOLUTION.save("result.nc")
    tl.solve_mean_field(**GOOD[tl.solve_mean_field]).save("mean_field.nc")


@pytest.mark.parametrize(
    ("call", "name"), CASES, ids=[f"{call.__qualname__}-{name}" for call, name in CASES]
)
def test_every_value_for_every_argument(call, name):
    refused = sum(try_one(call, name, value) for value in VALUES)
    assert refused >= 1 or name in NEVER_WRONG, refused


def test_there_are_enough_of_them():
    assert len(CASES) * len(VALUES) > 2000


def test_no_public_function_is_left_out():
    """All of `twolayer.__all__` and of the API page, and each argument of these."""
    for call, good in GOOD.items():
        if call is not activations.get:
            assert set(inspect.signature(call).parameters) - {"self"} == set(good), call
    public = {getattr(tl, name) for name in tl.__all__}
    left = {each for each in public if not inspect.ismodule(each)} - set(GOOD)
    assert left - {tl.sweep} == {
        tl.Activation,
        tl.Divergence,
        tl.InvalidInput,
        tl.MeanFieldTrajectory,
        tl.Observation,
        tl.SpectralMeanFieldTrajectory,
        tl.CostWarning,
        tl.QuadratureWarning,
        tl.SpectralTrajectory,
        tl.Trajectory,
    }


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=20),
    st.binary(max_size=5),
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
LIGHT = [case for case in CASES if case[1] != "path"]


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(case=st.sampled_from(LIGHT), value=anything)
def test_whatever_hypothesis_thinks_of(case, value):
    call, name = case
    big = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) > 1e4
    if big and call in (tl.simulate, tl.solve) and name in ("runs",):
        return  # a valid order for very long work
    try_one(call, name, value)


# --- the command line and figures.yml -----------------------------------------------

ARGUMENTS = [
    *([name] for name in ("9-left", "../tiny", "", "tiny ", "TINY", "*", "\n", "é")),
    *(["--profile", name] for name in ("fast", "", "QUICK", "../x", "quick\n", "1")),
    *(["--jobs", number] for number in ("0", "-1", "1.5", "x", "", "1e3", "nan", "9" * 30)),
    *(["--root", place] for place in ("/nowhere", "\0", "/etc/passwd", "x" * 5000, "/proc/1")),
    *(["--dask", address] for address in ("nowhere", "tcp://127.0.0.1:1", "ftp://x")),
    *([option] for option in ("--unknown", "--profile", "--jobs", "--root", "-x", "--dask")),
    ["--list", "--profile", "fast"],
    ["tiny", "nope", "--list", "--jobs", "z"],
]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
def test_command_line(clone, arguments, monkeypatch, capsys):
    """A message on standard error and an exit code, never a traceback."""
    monkeypatch.chdir(clone)
    monkeypatch.setattr(figures, "_run", lambda *_: pytest.fail("work began"))
    monkeypatch.setattr("twolayer.support.cluster._PATIENCE", 0.2)
    with no_hang():
        try:
            code = main(arguments)
        except SystemExit as stop:  # argparse
            code = stop.code
    said = capsys.readouterr().err
    assert code in (1, 2)
    assert "error: " in said


YML = [
    "",
    "[]",
    "1",
    "null",
    "'text'",
    "{",
    "\t",
    "a: b: c",
    "\x00",
    "tiny:\n",
    "tiny: 1\n",
    "tiny: []\n",
    "? [a]\n: 1\n",
    "? {a: 1}\n: 1\n",
    FIGURES_YML + FIGURES_YML,
    FIGURES_YML.replace("tiny:", "'':"),
    FIGURES_YML.replace("tiny:", "-:"),
    FIGURES_YML.replace("tiny:", "a/b:"),
    FIGURES_YML.replace("tiny:", "..:"),
    FIGURES_YML.replace("tiny:", "'a\\nb':"),
    FIGURES_YML.replace("tiny:", "a" * 5000 + ":"),
    FIGURES_YML.replace("tiny:", "a b:"),
    *(
        FIGURES_YML.replace("template: tiny.ipynb", f"template: {t}")
        for t in (
            *("../tiny.ipynb", "/etc/passwd", "~/x.ipynb", "none.ipynb", ".", "..", "''", "null"),
            *("1", "[]", "{}", "figures.yml", "link.ipynb", "sub/../../x.ipynb", "'a\\0b'", "loop"),
            *("damaged.ipynb", "binary.ipynb", "empty.ipynb", "a" * 5000, "sub", "sub.ipynb"),
            *("deep.ipynb", "no-cells.ipynb", "file:///etc/passwd", "http://x/y.ipynb", "tiny"),
        )
    ),
    *(
        FIGURES_YML.replace("title: A tiny figure", f"title: {t}")
        for t in ("1", "[]", "{a: 1}", "null", "2020-01-01", "!!binary aGk=", "true")
    ),
    *(
        FIGURES_YML.replace("quick: {a: 2}", f"quick: {t}")
        for t in (
            *("1", "[]", "null", "text", "{c: 1}", "{a: .nan}", "{a: .inf}", "{a: 2020-01-01}"),
            *("{a: 1, a: 2}", "{1: 2}", "{a: {1: 2}}", "{a: [[.inf]]}", "{a: !!binary aGk=}"),
            *("{a: !!set {x}}", "{null: 1}", "{a: {b: 1, b: 2}}", "{'a b': 1}", "{[a]: 1}"),
            *("!!python/object/apply:os.system ['true']", "!!python/name:os.system", "!x {a: 1}"),
            *("{a: !!python/object/new:os.system [true]}", "{<<: {a: 1}, <<: {b: 2}}"),
            *("{a: &x [1], b: *x}", "&x {a: *x}", "{a: " + "[" * 3000 + "]" * 3000 + "}", "{a: 1"),
        )
    ),
    FIGURES_YML.replace("  title: A tiny figure\n", ""),
    FIGURES_YML.replace("  title", "  subtitle"),
    FIGURES_YML.replace("paper:", "papers:"),
    FIGURES_YML + "  more: 1\n",
    FIGURES_YML + "other: 1\n",
    "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n" + FIGURES_YML,
    "# " + "x" * 1_100_000 + "\n" + FIGURES_YML,
]


@pytest.fixture
def hostile_clone(clone):
    folder = clone / "notebooks"
    (folder / "link.ipynb").symlink_to("/etc/passwd")
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "sub.ipynb").mkdir()
    (folder / "sub").mkdir()
    text = (folder / "tiny.ipynb").read_text()
    (folder / "damaged.ipynb").write_text(text[: len(text) // 2])
    (folder / "binary.ipynb").write_bytes(bytes(range(256)))
    (folder / "empty.ipynb").write_text("")
    (folder / "deep.ipynb").write_text("[" * 100_000)
    (folder / "no-cells.ipynb").write_text('{"nbformat": 4, "metadata": {}}')
    return clone


def test_figures_yml(hostile_clone, monkeypatch, capsys):
    """Every bad list is refused, by the function and on the command line alike."""
    monkeypatch.setattr(figures, "_run", lambda *_: pytest.fail("work began"))
    file = hostile_clone / "notebooks/figures.yml"
    assert len(set(YML)) == len(YML) > 80
    for text in YML:
        file.write_text(text)
        with no_hang(), pytest.raises(tl.InvalidInput, match=r"^figures\.yml"):
            catalogue.load(hostile_clone)
    file.write_bytes(b"\xff\xfe\x00tiny")
    assert main(["--root", str(hostile_clone)]) == 1
    assert "error: figures.yml" in capsys.readouterr().err


def test_a_clone_whose_notebooks_lie_elsewhere(clone, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "notebooks"
    os.rename(clone / "notebooks", elsewhere)
    (clone / "notebooks").symlink_to(elsewhere)
    with pytest.raises(tl.InvalidInput, match="template"):
        catalogue.load(clone)


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_mutations_of_figures_yml(clone, data):
    """Bytes changed, cut out or put in: a list that is read, or refused."""
    content = bytearray(FIGURES_YML.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        piece = data.draw(st.binary(max_size=6))
        content[at : at + data.draw(st.integers(0, 6))] = piece
    (clone / "notebooks/figures.yml").write_bytes(bytes(content))
    with contextlib.suppress(tl.InvalidInput), no_hang(), contextlib.redirect_stderr(io.StringIO()):
        assert isinstance(catalogue.load(clone), dict)
