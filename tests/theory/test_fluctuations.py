"""The covariance of SGD around the ODE: its equation, its integral, and SGD itself."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.stats import chi2, norm

import twolayer as tl
from twolayer.flow import jacobian
from twolayer.problem.matrices import assemble
from twolayer.problem.task import coefficients, excess_risk_of
from twolayer.support.unknowns import Unknowns
from twolayer.theory import linear_noise
from twolayer.theory.diffusion import diffusion, sampling_error
from twolayer.theory.linear_noise import fluctuations

START = tl.Weights.gaussian(p=4, k=2, d=100, seed=1).overlaps()
SPAN = tl.Weights.in_target_span(p=4, k=2, d=5, seed=1).overlaps()  # Ω is singular
SETTINGS = {"erf": (tl.Task("erf", noise=0.1), 2.0), "square": (tl.Task("square", noise=0.1), 0.1)}


def layered(ov):
    """The same overlaps with second layers."""
    return tl.Overlaps(ov.Q, ov.M, ov.P, np.linspace(1.5, -0.7, ov.p), np.linspace(0.8, 1.2, ov.k))


#: Of each test that draws random numbers.
FALSE_ALARM = 1e-4


def increments(task, overlaps, learning_rate, samples, seed, batch=1):
    """One step's increments over δt as d → ∞, (samples, N), written out with loops."""
    rng = np.random.default_rng(seed)
    p, k, rows = overlaps.p, overlaps.k, overlaps.factor()
    fields = rng.standard_normal((batch * samples, rows.shape[1])) @ rows.T
    students, targets = fields[:, :p], fields[:, p:]
    slope = task.activation.derivative(students)
    error = sum(overlaps.a_star[r] * task.target_activation.sigma(targets[:, r]) for r in range(k))
    error = error / k - sum(
        overlaps.a[i] * task.activation.sigma(students[:, i]) / p for i in range(p)
    )
    slope = slope * overlaps.a
    error += np.sqrt(task.noise) * rng.standard_normal(len(error))
    columns = []
    for i in range(p):
        for j in range(i, p):
            linear = slope[:, i] * students[:, j] + slope[:, j] * students[:, i]
            both = slope[:, i] * slope[:, j]
            columns.append(linear * error + learning_rate / batch / p * both * error**2)
    columns += [slope[:, i] * targets[:, r] * error for i in range(p) for r in range(k)]
    return np.array(columns).T.reshape(samples, batch, -1).mean(1)


STEPS = {
    **{name: (*of, START, 1) for name, of in SETTINGS.items()},
    **{f"{name}, singular": (*of, SPAN, 1) for name, of in SETTINGS.items()},
    "layers and batches": (*SETTINGS["erf"], layered(START), 4),
    "relu and sign": (tl.Task("relu", np.sign, noise=0.1), 1.0, layered(SPAN), 2),
}


@pytest.mark.parametrize("name", STEPS)
def test_one_step_has_this_covariance(name):
    """Every entry, against Monte Carlo with its own standard error and that of the points."""
    task, rate, start, b = STEPS[name]
    D = diffusion(task, start, learning_rate=rate, batch=b, points=2**14)
    F = increments(task, start, rate, 200_000, seed=3, batch=b)
    F -= F.mean(0)
    batches = np.array([part.T @ part / len(part) for part in np.split(F, 100)])
    error = batches.std(0, ddof=1) / 10
    others = [diffusion(task, start, learning_rate=rate, batch=b, seed=s) for s in range(1, 5)]
    points = np.std(others, 0)
    entries = len(D) * (len(D) + 1) // 2
    bound = norm.isf(FALSE_ALARM / entries / 2)
    # At 2¹⁴ points the error is below that of 2¹².  The batches have heavy tails, and their own
    # spread is known to a tenth: a quarter more.
    assert (np.abs(batches.mean(0) - D) <= 1.25 * bound * np.hypot(error, points)).all()


@pytest.mark.parametrize("name", SETTINGS)
def test_the_mean_step_is_the_flow(name):
    """What the increments' mean must be, so that the loops above test the right covariance."""
    task, rate = SETTINGS[name]
    F = increments(task, START, rate, 200_000, seed=4)
    dQ, dM = tl.flow.right_hand_side(task, START.P, rate, "full")(START.Q, START.M)
    drift = Unknowns(START.Q.shape, START.M.shape, triangle=True).pack(dQ, dM)
    bound = norm.isf(FALSE_ALARM / len(drift) / 2)
    assert (np.abs(F.mean(0) - drift) <= bound * F.std(0) / np.sqrt(len(F))).all()


@pytest.mark.parametrize("name", SETTINGS)
def test_the_points_are_enough(name):
    task, rate = SETTINGS[name]
    errors = [
        sampling_error(task, START.Omega, START, rate, 1, points, 0)
        for points in (2**10, 2**12, 2**14)
    ]
    assert errors[1] < 0.04
    assert errors[2] < 0.02
    assert errors[2] < errors[0]


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("start", [START, SPAN], ids=["free", "singular"])
def test_the_integral_converges(name, start):
    """Against the linear equation by an explicit method of high order, same points for D."""
    task, rate = SETTINGS[name]
    state, N = Unknowns(start.Q.shape, start.M.shape, triangle=True), 18
    J = jacobian.jacobian(task, start.P, "full")
    rhs = tl.flow.right_hand_side(task, start.P, rate, "full")

    def derivative(_, y):
        Q, M = state.unpack(y[:N])
        sigma, slopes = y[N:].reshape(N, N), J(Q, M, rate)
        here = tl.Overlaps(Q, M, start.P)
        D = diffusion(task, here, learning_rate=rate, points=512)
        moved = slopes @ sigma + sigma @ slopes.T + D
        return np.concatenate((state.pack(*rhs(Q, M)), moved.ravel()))

    y = np.concatenate((state.pack(start.Q, start.M), np.zeros(N * N)))
    exact = solve_ivp(derivative, (0, 0.5), y, "DOP853", rtol=1e-7, atol=1e-9).y[N:, -1]
    exact = exact.reshape(N, N) * rate / (4 * 1000)
    errors = []
    for rtol in (1e-3, 1e-5):
        found = fluctuations(
            task, start, learning_rate=rate, d=1000, t_eval=[0.5], points=512, rtol=rtol
        )
        errors.append(np.abs(found.covariance[0] - exact).max() / np.abs(exact).max())
    assert errors[0] < 1e-2
    assert errors[1] < 3e-4


def test_it_is_a_covariance_and_proportional_to_one_over_d():
    task, rate = SETTINGS["erf"]
    t = [0.0, 1.0, 100.0]
    near, far = (fluctuations(task, START, learning_rate=rate, d=d, t_eval=t) for d in (10, 1000))
    assert near.covariance == pytest.approx(100 * far.covariance, rel=1e-12)
    assert (np.linalg.eigvalsh(near.covariance) >= -1e-12).all()
    assert near.distance[0] == 0
    assert near.distance[1] > 0
    assert (near.Q_std == near.Q_std.swapaxes(1, 2)).all()


SMALL = tl.Weights.gaussian(p=2, k=1, d=100, seed=1).overlaps()
RUNS = {
    **{name: (task, START, {"learning_rate": rate}) for name, (task, rate) in SETTINGS.items()},
    "second layer": (SETTINGS["erf"][0], layered(START), {"learning_rate": 2.0}),
    "batches": (SETTINGS["erf"][0], START, {"learning_rate": 4.0, "batch": 4}),
    "schedule": (SETTINGS["erf"][0], START, {"learning_rate": lambda t: 4 / (1 + 10 * t)}),
    "relu": (tl.Task("relu", noise=0.1), SMALL, {"learning_rate": 0.5}),
    "tanh": (tl.Task("tanh", noise=0.1), SMALL, {"learning_rate": 2.0}),
    "all at once": (
        tl.Task("sigmoid", "relu", noise=0.1),
        layered(SMALL),
        {"learning_rate": lambda t: 8 / (1 + 5 * t), "batch": 2},
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_sgd_fluctuates_as_predicted(name):
    """Standard deviations of 300 runs, with a false-alarm rate of 1e-4 over all of them.

    The variance of R runs is that of χ² over R − 1; on top of it the linear theory itself is off
    by a few δt^½ of the state, for which eight per cent are allowed.
    """
    task, start, how = RUNS[name]
    runs, d, t = 300, 3000, [0.1, 0.5]
    found = fluctuations(task, start, d=d, t_eval=t, **how)
    run = tl.simulate(task, start, d=d, t_eval=t, runs=runs, seed=7, progress=False, **how)
    ratios = np.concatenate(
        [
            (run.excess_risk.std(0, ddof=1) / found.risk_std).ravel(),
            (run.Q.std(0, ddof=1) / found.Q_std).ravel(),
            (run.M.std(0, ddof=1) / found.M_std).ravel(),
        ]
    )
    tail = FALSE_ALARM / ratios.size / 2
    low, high = np.sqrt(chi2.ppf([tail, 1 - tail], runs - 1) / (runs - 1))
    assert (ratios > 0.92 * low).all()
    assert (ratios < 1.08 * high).all()


def test_a_schedule_that_does_not_change_is_a_learning_rate():
    task, how = SETTINGS["erf"][0], {"d": 100, "t_eval": [0.5, 1.0], "points": 256}
    held = fluctuations(task, SMALL, learning_rate=2.0, **how)
    same = fluctuations(task, SMALL, learning_rate=lambda _: 2.0, **how)
    assert same.covariance == pytest.approx(held.covariance, rel=1e-9)


@pytest.mark.parametrize("name", ["erf", "relu"])
def test_the_gradient_of_the_risk(name):
    """By differences, in every overlap."""
    task, ov, h = tl.Task(name, "tanh"), layered(START), 1e-5
    state = Unknowns(ov.Q.shape, ov.M.shape, triangle=True)
    c, y = coefficients(ov.a, ov.a_star), state.pack(ov.Q, ov.M)

    def risk(at):
        return excess_risk_of(task, assemble(*state.unpack(at), ov.P), ov.p, c)

    moves = h * np.eye(len(y))
    slopes = [(risk(y + move) - risk(y - move)) / (2 * h) for move in moves]
    assert linear_noise._risk_gradient(task, ov.Omega, ov, state) == pytest.approx(slopes, abs=1e-6)


def test_minutes_are_warned_of(monkeypatch):
    monkeypatch.setattr(linear_noise, "_USUAL", 10**9)
    with pytest.warns(tl.CostWarning, match="a Jacobian with its D") as said:
        fluctuations(tl.Task("erf"), SMALL, learning_rate=0.1, d=100, t_eval=[1e-3])
    assert said[0].filename == __file__
