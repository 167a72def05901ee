"""The Jacobian of the whole flow by differences: against closed forms, and along the flow."""

import numpy as np
import pytest

import twolayer as tl
from twolayer.activations.quadrature import Quadrature
from twolayer.flow.jacobian import jacobian
from twolayer.flow.slopes import whole_jacobian
from twolayer.flow.vector_field import Flow


def layered(ov):
    return tl.Overlaps(ov.Q, ov.M, ov.P, np.linspace(0.5, 1.5, ov.p), np.linspace(0.7, -1.2, ov.k))


@pytest.mark.parametrize("name", ["erf", "square"])
@pytest.mark.parametrize(("p", "off"), [(2, 1e-3), (4, 1e-3), (8, 1e-2)])  # 8: by random points
@pytest.mark.parametrize("make", [tl.Weights.gaussian, tl.Weights.in_target_span])
def test_against_closed_forms(name, p, off, make):
    ov, task = layered(make(p=p, k=2, d=100, seed=1).overlaps()), tl.Task(name, noise=0.1)
    rate, b = 2.0 * p, 2
    exact = jacobian(task, ov.P, "full", ov.a, ov.a_star, b)(ov.Q, ov.M, rate)
    sigma = task.activation
    found = whole_jacobian(task.with_forms(Quadrature(sigma, sigma)), ov.Omega, ov, rate / b)
    assert np.abs(found - exact).max() < off * np.abs(exact).max()


@pytest.mark.parametrize(
    ("student", "target"), [("relu", "relu"), ("relu", np.sign), ("tanh", "relu"), ("he3", "he2")]
)
def test_along_the_flow(student, target):
    """How the flow changes along itself, by central differences of the flow alone."""
    ov, rate, h = layered(tl.Weights.gaussian(p=3, k=1, d=20, seed=2).overlaps()), 3.0, 1e-4
    flow = Flow(tl.Task(student, target, noise=0.1), ov, "full", lambda _: rate)
    y = flow.start
    ahead = flow.derivative(0.0, y)
    ahead /= np.linalg.norm(ahead)
    change = flow.derivative(0.0, y + h * ahead) - flow.derivative(0.0, y - h * ahead)
    found = whole_jacobian(flow.task, ov.Omega, ov, rate) @ ahead
    assert found == pytest.approx(change / (2 * h), abs=2e-3 * np.abs(change / (2 * h)).max())
