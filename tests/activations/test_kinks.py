"""Jumps and corners are found, measured and taken out; what cannot be resolved is refused."""

import numpy as np
import pytest

import twolayer as tl
from twolayer.activations import OTHERS, Activation, get
from twolayer.activations.kinks import Slope, find_kinks, split
from twolayer.support.checks import InvalidInput

#: Functions of every kind: kinks and bends between −4 and 4.
FUNCTIONS = {
    "sign": (np.sign, [0], []),
    "heaviside": (lambda x: np.heaviside(x, 0.5), [0], []),
    "floor": (np.floor, range(-3, 4), []),
    "indicator": (lambda x: (np.abs(x) < 1) * 1.0, [-1, 1], []),
    "leaky ReLU": (lambda x: np.where(x > 0, x, 0.1 * x), [0], []),
    "abs": (np.abs, [0], []),
    "square wave": (lambda x: np.sign(np.sin(np.pi * x)), range(-3, 4), []),
    "triangle wave": (lambda x: np.abs(x - 2 * np.round(x / 2)), range(-3, 4), []),
    "hard tanh": (lambda x: np.clip(x, -1, 1), [-1, 1], []),
    "jump and corner": (lambda x: np.where(x > 0.3, x + 0.5, -0.2 * x), [0.3], []),
    "two in a cell": (lambda x: 1.0 * (x > 0.3) + 1.0 * (x > 0.31), [0.3, 0.31], []),
    "small step": (lambda x: np.tanh(x) + 1e-3 * (x > 0.5), [0.5], []),
    "soft threshold": (lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0), [-0.5, 0.5], []),
    "elu": (lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), [], [0]),
    "squared ReLU": (lambda x: np.maximum(x, 0) ** 2, [], [0]),
    "tanh": (np.tanh, [], []),
    "steep": (lambda x: np.tanh(50 * x), [], []),
    "waves": (lambda x: np.sin(20 * x), [], []),
    "steep polynomial": (lambda x: x**7, [], []),
    "exp": (np.exp, [], []),
    "single precision": (lambda x: np.tanh(x).astype(np.float32), [], []),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_kinks_are_found_and_taken_out(name):
    function, kinks, bends = FUNCTIONS[name]
    found, bent = find_kinks(function)
    near = [[x for x in of if abs(x) < 4 - 1e-3] for of in (found, bent)]
    np.testing.assert_allclose(near[0], list(kinks), atol=1e-8)
    np.testing.assert_allclose(near[1], list(bends), atol=2e-5)
    of = split(function, Slope(function, found), found)
    for kink in near[0]:
        beside = of.rest(kink + 1e-5 * np.array([-2.0, -1.0, 1.0, 2.0]))
        assert np.ptp(beside) < 1e-3
        assert abs(np.diff(beside)[[0, 2]] @ [1, -1]) < 1e-9


def test_kinks_that_are_given_are_measured():
    own = Activation.of(np.sign, np.zeros_like, kinks=(0.0,))
    assert own.kinks == (0.0,)
    assert own.split.jumps == pytest.approx([2.0])
    half = Activation.of(lambda x: np.clip(x, -1, 1), kinks=(-1.0,))
    assert half.kinks == (-1.0, 1.0)  # the other one is found


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.sqrt(np.abs(x)),
        np.cbrt,
        lambda x: np.sign(np.sin(300 * x)),
        lambda x: 1.0 * (x > 0.3) + 1.0 * (x > 0.303),
        lambda x: np.floor(1 / np.where(x == 0, 1, x)),
        lambda x: np.random.default_rng(0).standard_normal(x.shape),
    ],
    ids=["root", "cube root", "fast wave", "too near", "endless", "noise"],
)
def test_what_cannot_be_resolved_is_refused_with_a_way_out(function):
    for task in (lambda: tl.Task(function), lambda: tl.Task("erf", function)):
        with pytest.raises(InvalidInput, match="kinks="):
            task()


def test_one_who_knows_better_may_give_the_kinks():
    assert Activation.of(np.cbrt, Slope(np.cbrt, (0.0,)), kinks=(0.0,)).kinks == (0.0,)


@pytest.mark.parametrize("name", ["erf", "square", *OTHERS])
def test_our_own_kinks_and_slopes_are_right(name):
    ours = get(name)
    again = Activation.of(ours.sigma, ours.derivative)
    assert again.kinks == ours.kinks
    assert again.bends == ours.bends


@pytest.mark.parametrize(
    ("sigma", "derivative"),
    [
        (np.tanh, np.ones_like),
        (np.sin, lambda x: -np.cos(x)),
        (np.abs, lambda x: np.heaviside(x, 0.5)),
        (lambda x: np.maximum(x, 0), lambda x: np.where(x > 0, 1.0, 0.01)),
        (lambda x: x**3, lambda x: 3 * x**2 * (np.abs(x) < 5)),
        (np.sign, lambda x: np.exp(-(x**2))),
    ],
)
def test_a_derivative_of_something_else_is_refused(sigma, derivative):
    with pytest.raises(InvalidInput, match=r"derivative: got .* at x = ") as caught:
        Activation.of(sigma, derivative)
    assert caught.value.argument == "derivative"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_differences_do_not_reach_across_kinks(name):
    function, _, _ = FUNCTIONS[name]
    own = Activation.of(function)
    x = np.linspace(-3, 3, 311) + 1e-3
    beside = np.array([*own.kinks, *own.bends, 1e9])
    x = x[np.abs(x[:, None] - beside).min(1) > 5e-4]
    # A cubic through four points within the same piece
    h = 2e-5
    expected = 8 * (function(x + h) - function(x - h)) - function(x + 2 * h) + function(x - 2 * h)
    scale = np.abs(own.derivative(x)).max() + 1
    rounding = 1e-2 if name == "single precision" else 1e-6
    np.testing.assert_allclose(own.derivative(x), expected / (12 * h), atol=rounding * scale)
