"""Functions of one's own as machine code: the same values, or NumPy's."""

import functools
import time

import numpy as np
import pytest
import scipy

from twolayer.activations import Activation, machine_code
from twolayer.activations.frozen import Changeable, frozen

TABLE, STEEP, COEFFICIENTS = np.array([1.0, 0.5]), 1.5, (0.1, 0.0, 1.0)


def steep(x):
    return np.tanh(STEEP * x)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def silu(x):
    return x * sigmoid(x)


def polynomial(x, extra=0.5):
    out = 0.0 * x
    for c in COEFFICIENTS:
        out = out * x + c
    return out + extra


def masked(x):
    out = np.zeros_like(x)
    out[x > 0] = x[x > 0]
    return out


def refuses(x):
    if x.ndim > 9:
        raise ValueError
    return np.tanh(x)


def says(x):
    print(end="")
    return np.tanh(x)


class Scaled:
    def __init__(self):
        self.factor = 2.0

    def __call__(self, x):
        return np.tanh(self.factor * x)

    def method(self, x):
        return np.tanh(self.factor * x)


def counted():
    calls = 0

    def count(x):
        nonlocal calls
        calls += 1
        return np.tanh(x)

    return count


COMPILED = {
    "ufunc": np.tanh,
    "a number of the module's": steep,
    "a function that calls another": silu,
    "a loop over numbers": polynomial,
    "where": lambda x: np.where(x > 0, x, 0.1 * x),
    "clip": lambda x: np.clip(x, -1, 1),
    "heaviside": lambda x: np.heaviside(x - 1, 0.5) + x,
    "maximum": lambda x: np.maximum(x, 0),
    "comparison": lambda x: (x > 0) * x,
    "power": lambda x: x**3 - 3 * x,
    "jump": lambda x: np.sign(x),
    "softplus": lambda x: np.logaddexp(0, x),
}
LEFT = {
    "an array": lambda x: TABLE[0] * np.tanh(x),
    "SciPy": lambda x: scipy.special.erf(x),
    "vectorize": np.vectorize(lambda x: float(x > 0) * x, otypes=[float]),
    "partial": functools.partial(np.multiply, 2.0),
    "an object": Scaled(),
    "a method": Scaled().method,
    "a counter": counted(),
    "an error": refuses,
    "print": says,
    "a mask": masked,
    "the time": lambda x: np.tanh(x) + 0 * time.time(),
    "chance": lambda x: np.tanh(x) + 0 * np.random.rand(),  # noqa: NPY002
    "a function within": lambda x: sum(f(x) for f in (np.tanh,)),
    "other values": lambda x: x * (1.0 * ((x > 0) + (x > 1))),  # or of arrays, sum of numbers
}


@pytest.mark.parametrize("name", COMPILED)
def test_the_same_values(name):
    activation = Activation.of(COMPILED[name])
    code = machine_code.machine_code(activation)
    x = np.random.default_rng(0).normal(0, 3, 500)
    value, slope = np.empty_like(x), np.empty_like(x)
    by_ctypes(code)(x, value, slope)
    np.testing.assert_allclose(value, activation.sigma(x), rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(slope, activation.derivative(x), rtol=1e-10, atol=1e-10)


def by_ctypes(code):
    """A call from Python, through a kernel as the simulator's."""
    import numba

    @numba.njit
    def call(code, x, value, slope):
        code(x, value, slope)

    return functools.partial(call, code)


@pytest.mark.parametrize("name", LEFT)
def test_what_is_left_to_numpy(name):
    assert machine_code.machine_code(Activation.of(LEFT[name])) is None


def test_one_of_two_is_not_enough():
    of = Activation.of(np.tanh, lambda x: TABLE[0] * (1 - np.tanh(x) ** 2))
    assert machine_code.machine_code(of) is None


def test_the_derivative_that_is_given():
    of = Activation.of(np.tanh, lambda x: 1 - np.tanh(x) ** 2)
    x = np.linspace(-5, 5, 100)
    value, slope = np.empty_like(x), np.empty_like(x)
    by_ctypes(machine_code.machine_code(of))(x, value, slope)
    np.testing.assert_allclose(slope, 1 - np.tanh(x) ** 2, atol=1e-15)


def test_once_as_long_as_nothing_changes(monkeypatch):
    compiled, both = [], machine_code._both
    monkeypatch.setattr(machine_code, "_both", lambda *of: compiled.append(of) or both(*of))
    monkeypatch.setattr(machine_code, "_kept", {})
    monkeypatch.setitem(globals(), "STEEP", 0.7)
    first = machine_code.machine_code(Activation.of(steep))
    assert machine_code.machine_code(Activation.of(steep)) is first
    assert len(compiled) == 1
    of = Activation.of(steep)
    monkeypatch.setitem(globals(), "STEEP", 0.9)
    x = np.ones(3)
    value, slope = np.empty_like(x), np.empty_like(x)
    by_ctypes(machine_code.machine_code(of))(x, value, slope)
    assert value == pytest.approx(np.tanh(0.9))
    assert len(compiled) == 2


def test_what_is_left_is_seen_before_anything_is_compiled(monkeypatch):
    monkeypatch.setattr(machine_code, "_both", lambda *_: pytest.fail("compiled"))
    seen_late = ("a mask", "other values")
    for name in LEFT.keys() - set(seen_late):
        assert machine_code.machine_code(Activation.of(LEFT[name])) is None


def test_machine_code_that_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(machine_code, "_both", lambda *_: None)
    monkeypatch.setattr(machine_code, "_kept", {})
    for n in range(40):
        machine_code.machine_code(Activation("own", lambda x, n=n: n * x, lambda x, n=n: n))
    assert len(machine_code._kept) == machine_code._KEPT


def test_numbers_of_two_kinds_are_two():
    def by(c):
        return lambda x: c * x

    assert frozen(by(1)) != frozen(by(1.0)) != frozen(by(True))
    assert frozen(by(0.0)) != frozen(by(-0.0))
    assert frozen(by(np.nan)) == frozen(by(float("nan")))


def test_a_function_that_calls_itself():
    def again(x):
        return again(x)

    with pytest.raises(Changeable, match="again, or what it refers to, may change"):
        frozen(again)
