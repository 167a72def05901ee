"""Fixed points of the flow, their eigenvalues, and plateaus, against the flow itself."""

import numpy as np
import pytest

import twolayer as tl

TASK = tl.Task("erf")


def far(p, k, d, seed=0):
    """Random students whose overlaps with the targets and each other are of order 1/√d."""
    start, apart = tl.Weights.gaussian(p=p, k=k, d=1000, seed=seed).overlaps(), np.sqrt(1000 / d)
    return tl.Overlaps(start.Q * np.where(np.eye(p), 1, apart), start.M * apart, start.P)


@pytest.mark.parametrize("activation", ["erf", "square", "tanh", "he2"])
@pytest.mark.parametrize("terms", ["gradient-flow", "gradient-flow+noise", "full"])
def test_the_jacobian_is_the_derivative_of_the_flow(activation, terms):
    """Against one-sided differences of `right_hand_side`, for any activation."""
    from twolayer.flow import right_hand_side

    task = tl.Task(activation, noise=0.1)
    overlaps = tl.Weights.gaussian(p=2, k=2, d=9, seed=1).overlaps()
    J = tl.jacobian(task, overlaps, learning_rate=0.3, terms=terms)
    rhs = right_hand_side(task, overlaps.P, 0.3, terms)
    upper = np.triu_indices(2)

    def packed(Q, M):
        return np.concatenate((Q[upper], M.ravel()))

    here = packed(*rhs(overlaps.Q, overlaps.M))
    for n, (i, j) in enumerate(zip(*upper, strict=True)):
        Q = overlaps.Q.copy()
        Q[i, j] += 1e-6
        Q[j, i] = Q[i, j]
        found = (packed(*rhs(Q, overlaps.M)) - here) / 1e-6
        np.testing.assert_allclose(J[:, n], found, atol=2e-4)


def test_a_stable_fixed_point_is_where_the_flow_ends():
    """Label noise and all of Ψ^Var: against the solution at a late time."""
    task = tl.Task("erf", noise=0.05)
    start = tl.Weights.in_target_span(p=2, k=2, d=20, seed=1).overlaps()
    end = tl.solve(task, start, learning_rate=0.5, t_eval=[200.0, 2000.0])
    point = tl.fixed_point(task, end.overlaps(0), learning_rate=0.5)
    assert point.unstable == ()
    assert point.residual < 1e-12
    np.testing.assert_allclose(point.overlaps.Q, end.Q[-1], atol=1e-8)
    assert point.excess_risk == pytest.approx(end.excess_risk[-1], rel=1e-6)
    # What is left decays at the slowest eigenvalue.
    gap = [np.abs(end.M[n] - point.overlaps.M).max() for n in (0, 1)]
    assert gap[1] < 1e-8 or np.log(gap[0] / gap[1]) / 1800 < -1.1 * point.eigenvalues[0].real


def test_an_unstable_direction_grows_as_its_eigenvalue_says():
    """From 1e-6 beside the fixed point, by a factor of 100."""
    alike = tl.Overlaps(np.full((2, 2), 0.6), np.full((2, 2), 0.5), np.eye(2))
    point = tl.fixed_point(TASK, alike, terms="gradient-flow")
    [leave] = point.unstable
    Q, M = (
        at + 1e-6 * along
        for at, along in ((point.overlaps.Q, leave.Q), (point.overlaps.M, leave.M))
    )
    span = np.log(100) / leave.rate
    path = tl.solve(TASK, tl.Overlaps(Q, M, np.eye(2)), terms="gradient-flow", t_eval=[span])
    moved = np.abs(path.M[0] - point.overlaps.M).max() / (1e-6 * np.abs(leave.M).max())
    assert moved == pytest.approx(100, rel=1e-2)


def test_the_unspecialised_plateau_of_five_students_and_three_targets():
    """Each factor of 10 in √d lengthens it by ln(10)/rate; (k − 1)(p − 1) directions end it."""
    t, ends = np.logspace(-1, 4, 600), []
    for d in (1e8, 1e10, 1e12):
        path = tl.solve(TASK, far(5, 3, d), terms="gradient-flow", t_eval=t)
        first = tl.plateaus(path)[0]
        state = path.overlaps(np.searchsorted(t, first.flattest))
        point = tl.fixed_point(TASK, state, terms="gradient-flow")
        ends.append(first.end)
        assert first.height == pytest.approx(point.excess_risk, rel=0.03)
    rates = [direction.rate for direction in point.unstable]
    assert len(rates) == 8
    assert max(rates) == pytest.approx(min(rates), rel=1e-6)
    np.testing.assert_allclose(np.diff(ends), np.log(10) / rates[0], rtol=0.1)


def test_plateaus_of_runs_and_of_what_has_none():
    t = np.logspace(-2, 2, 100)
    start = tl.Weights.in_target_span(p=2, k=2, d=20, seed=1)
    path = tl.solve(tl.Task("square"), start.overlaps(), terms="gradient-flow", t_eval=t)
    assert tl.plateaus(path) == []
    runs = tl.simulate(TASK, start, learning_rate=0.1, t_eval=[0.1, 1.0, 2.0], runs=3)
    assert len(tl.plateaus(runs)) == 3


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: tl.fixed_point(TASK, far(2, 2, 100)), "learning_rate: got None"),
        (lambda: tl.fixed_point(TASK, 3, learning_rate=1.0), "guess: got 3"),
        (lambda: tl.jacobian(TASK, far(2, 2, 100), learning_rate=1.0, terms="all"), "terms"),
        (
            lambda: tl.fixed_point(tl.Task("erf", noise=5.0), far(2, 2, 100), learning_rate=50.0),
            "nearer to a fixed point",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(call, match):
    with pytest.raises(tl.InvalidInput, match=match):
        call()


@pytest.mark.parametrize(("copies", "k"), [(2, 1), (3, 1), (2, 2), (2, 4)])
def test_copies_part_at_the_derived_rate(copies, k):
    """The fastest direction at the plateau of equal copies: 8/(3π√3) γΔ/p, to first order in both.

    Derived on the page "High dimension" for one target, and the same for more.
    """
    p, rate, noise = copies * k, 0.001, 1e-3
    M = np.eye(k)[np.arange(p) % k]
    guess = tl.Overlaps((1 + k * rate * noise / 2) * M @ M.T, M, np.eye(k))
    point = tl.fixed_point(tl.Task("erf", noise=noise), guess, learning_rate=rate * p)
    expected = 8 / (3 * np.pi * np.sqrt(3)) * rate * noise
    assert point.unstable[0].rate == pytest.approx(expected, rel=5e-3)


def test_strong_noise_pairs_students():
    """Beyond γΔ of order one the fixed point of p = k = 4 grows pairs of opposite sign."""
    guess, found = tl.Overlaps(np.eye(4), np.eye(4), np.eye(4)), []
    for strength in (0.2, 0.4, 0.6, 0.8, 0.9, 1.0):
        task = tl.Task("erf", noise=strength / 0.4)
        point = tl.fixed_point(task, guess, learning_rate=0.4)
        guess = point.overlaps
        found.append(len(point.unstable))
    assert found == [0, 0, 0, 0, 0, 2]
    pairs = point.unstable[0].Q
    assert np.abs(np.diag(pairs)).max() < 1e-6 * np.abs(pairs).max()
    assert np.abs(pairs.sum(0)).max() < 1e-6 * np.abs(pairs).max()  # some fall, some rise
