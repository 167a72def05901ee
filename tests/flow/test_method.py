"""The method that `solve` takes by itself, and CVODE among the integrators."""

import numpy as np
import pytest

import twolayer as tl
from twolayer.activations.erf import Erf
from twolayer.activations.square import Square
from twolayer.flow import method as choice
from twolayer.flow.equation import flow_at_any_rate
from twolayer.flow.terms import TERMS
from twolayer.support import integrate as integrating
from twolayer.support import progress
from twolayer.support.arrays import writable

TIMES = np.concatenate(([0.0], np.logspace(-2, 4, 25)))


def start(p, k=2, d=5):
    return tl.Weights.gaussian(p=p, k=k, d=d, seed=0).overlaps()


def solve(overlaps, activation="erf", t_eval=TIMES, **options):
    options = {"terms": "gradient-flow", "learning_rate": 0.1, **options}
    return tl.solve(
        tl.Task(activation, noise=options.pop("noise", 0.0)), overlaps, t_eval=t_eval, **options
    )


@pytest.mark.parametrize(
    ("p", "d", "t", "terms", "expected"),
    [
        (10, 5, 1e3, "gradient-flow", (("LSODA",), False, "75 unknowns, few")),
        (40, 5, 1e3, "gradient-flow", (("CVODE",), True, "200 coordinates")),
        (40, 5, 10.0, "gradient-flow", (("DOP853", "CVODE"), True, "200 coordinates")),
        (40, 60, 1e3, "gradient-flow", (("CVODE",), False, "900 unknowns")),
        (40, 5, 1e3, "full", (("CVODE",), False, "900 unknowns")),
    ],
)
def test_the_number_of_unknowns_and_the_last_time_decide(p, d, t, terms, expected):
    found = choice.method_for("auto", start(p, d=d), terms, False, t)
    assert (found.names, found.in_span) == expected[:2]
    assert found.why.startswith(expected[2])


def test_the_result_says_which_method_and_why():
    found = solve(start(20), t_eval=[0.0, 100.0])
    assert found.parameters["method"] == "auto"
    assert found.provenance["method"] == "CVODE"
    assert found.provenance["why"].startswith("100 coordinates of the weights")


@pytest.mark.parametrize("activation", ["erf", "square"])
@pytest.mark.parametrize("terms", TERMS)
def test_no_matrix_gives_the_same(activation, terms):
    """To 1e-4 down to a risk of 1e-9, of weights as of overlaps."""
    overlaps = start(18)
    options = {"activation": activation, "terms": terms, "noise": 1e-3 * (terms != "gradient-flow")}
    by_matrix = solve(overlaps, method="LSODA", **options).excess_risk
    found = solve(overlaps, **options)
    assert found.provenance["method"] == "CVODE"
    known = by_matrix > 1e-9
    np.testing.assert_allclose(found.excess_risk[known], by_matrix[known], rtol=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"second_layer_rate": 0.05},
        {"learning_rate": lambda t: 0.1 / (1 + t)},
        {"batch": 4, "terms": "full"},
        {"d": 40, "terms": "full"},
        {"activation": "tanh", "t_eval": [0.0, 1.0, 40.0]},
    ],
    ids=["second layer", "schedule", "batch", "d", "tanh"],
)
def test_no_matrix_whatever_the_problem(options):
    options = {"t_eval": [0.0, 1.0, 200.0], **options}
    found = [solve(start(6), method=method, **options) for method in ("CVODE", "LSODA")]
    for name in ("Q", "M", "a"):
        np.testing.assert_allclose(getattr(found[0], name), getattr(found[1], name), atol=1e-7)


def test_an_explicit_method_hands_over_where_it_is_stiff():
    weights = tl.Weights.gaussian(p=20, k=2, d=5, seed=0)
    overlaps = tl.Weights(6 * weights.W, 6 * weights.W_star).overlaps()
    found = solve(overlaps, "square", t_eval=[1.0, 25.0])
    assert found.provenance["method"] == "DOP853 then CVODE"
    by_matrix = solve(overlaps, "square", t_eval=[1.0, 25.0], method="LSODA")
    np.testing.assert_allclose(found.excess_risk, by_matrix.excess_risk, rtol=1e-4)


def test_without_scikit_sundae(monkeypatch):
    """As in a browser: a Jacobian while it is small, else an explicit method."""
    for module in (choice, integrating):
        monkeypatch.setattr(module, "HAS_CVODE", False)
    assert solve(start(20), t_eval=[0.0, 1.0]).provenance["method"] == "LSODA"
    found = solve(start(60), t_eval=[0.0, 1.0])
    assert found.provenance["method"] == "DOP853"
    assert "scikit-sundae" in found.provenance["why"]
    with pytest.raises(tl.InvalidInput, match="pip install scikit-sundae"):
        solve(start(4), method="CVODE")


def test_a_matrix_that_does_not_fit_is_refused():
    overlaps = tl.Overlaps(np.eye(400), np.zeros((400, 1)), np.eye(1))
    for method in integrating.DENSE:
        with pytest.raises(tl.InvalidInput, match=r"GB of numbers do not fit"):
            solve(overlaps, method=method)


@pytest.mark.parametrize(
    ("error", "arrives"),
    [(KeyboardInterrupt, KeyboardInterrupt), (ZeroDivisionError, tl.InvalidInput)],
)
def test_what_is_raised_within_a_step_arrives(error, arrives):
    calls = []

    def rate(t):
        calls.append(t)
        if len(calls) == 300:
            raise error
        return 0.1

    def run(t_eval):
        calls.clear()
        return solve(start(4), learning_rate=rate, terms="full", t_eval=t_eval, method="CVODE")

    with pytest.raises(arrives):
        run([1e3])
    if error is KeyboardInterrupt:
        with pytest.warns(RuntimeWarning, match="interrupted"):
            assert run([0.0, 0.1, 1e3]).t.tolist() == [0.0, 0.1]


def test_what_will_take_minutes_is_said_before(monkeypatch):
    monkeypatch.setattr(progress, "LONG", 0.0)
    with pytest.warns(tl.CostWarning, match="some 79 of them are likely to be needed") as heard:
        solve(start(3), t_eval=[0.0, 1.0])
    assert heard[0].filename == __file__
    particles = tl.Particles.from_weights(tl.Weights.gaussian(p=3, k=2, d=5, seed=0))
    with pytest.warns(tl.CostWarning):
        tl.solve_mean_field(tl.Task("square"), particles, np.eye(2), d=5, t_eval=[1.0])
    with pytest.warns(tl.CostWarning, match="2 runs of 60 steps, on one core") as heard:
        tl.simulate(tl.Task("erf"), start(3), d=20, learning_rate=0.1, t_eval=[0.1], runs=2)
    assert heard[0].filename == __file__


@pytest.mark.parametrize("forms", [Erf(), Square()], ids=["erf", "square"])
@pytest.mark.parametrize(("p", "k"), [(1, 1), (3, 5), (30, 2), (70, 3)])
def test_the_compiled_flow_is_the_one_in_numpy(forms, p, k):
    """For one state; NumPy has many at once, and those of a browser."""
    overlaps = tl.Weights.gaussian(p=p, k=k, d=9, seed=1).overlaps()
    task = tl.Task("erf" if isinstance(forms, Erf) else "square", noise=0.3)
    a, a_star = np.linspace(-1, 2, p), np.linspace(1, 2, k)
    for terms in TERMS:
        flow = flow_at_any_rate(task, overlaps.P, terms, a_star=a_star)
        one = flow(overlaps.Q, overlaps.M, a, 0.2)
        many = flow(np.array([overlaps.Q]), np.array([overlaps.M]), a, 0.2)
        for x, y in zip(one, many, strict=True):
            np.testing.assert_allclose(x, y[0], rtol=1e-12, atol=1e-13)
    A, c = overlaps.factor(), np.linspace(-1, 1, p + k)
    expected = forms.coefficients(overlaps.Omega[None], c, p)[0] @ A
    np.testing.assert_allclose(forms.drift_in_span(A, c, p), expected, rtol=1e-10, atol=1e-12)


def test_arrays_for_kernels_are_contiguous_and_can_be_written():
    array = np.arange(6.0).reshape(2, 3)
    assert writable(array) is array
    assert writable(array.T).flags.c_contiguous
    array.setflags(write=False)
    assert writable(array).flags.writeable
