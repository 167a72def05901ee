"""The flow under inputs with a spectrum: its limits, its derivation, and single steps of SGD."""

import numpy as np
import pytest

import twolayer as tl
from twolayer.flow.spectral_field import SpectralFlow

TASK = tl.Task("erf", noise=0.05)
#: Rates at which nothing blows up.
RATES = {"erf": 3.0, "square": 0.2, "relu": 0.5}


def gaussian(d, p=2, k=1, seed=0):
    """Students, then targets, with independent N(0, 1) entries."""
    rng = np.random.default_rng(seed)
    return tl.Weights(rng.standard_normal((p, d)), rng.standard_normal((k, d)))


def test_the_table_of_the_derivation():
    """Excess risks at t = 1, 5, 10, 20 that a prototype found by LSODA at 1e-8, as written down."""
    weights, t = gaussian(200), [1.0, 5.0, 10.0, 20.0]
    spectrum = tl.Spectrum([1.8, 0.2], [100, 100])
    found = tl.solve(TASK, weights.overlaps(spectrum), learning_rate=3.0, t_eval=t).excess_risk
    np.testing.assert_allclose(found, [0.1315, 0.03173, 0.01911, 0.01280], rtol=4e-4)
    plain = tl.solve(TASK, weights.overlaps(), learning_rate=3.0, t_eval=t).excess_risk
    np.testing.assert_allclose(plain, [0.1502, 0.03946, 0.01517, 0.00980], rtol=4e-4)


@pytest.mark.parametrize("options", [{}, {"d": 60}, {"terms": "gradient-flow"}, {"batch": 3}])
def test_one_eigenspace_is_the_isotropic_flow_bit_for_bit(options):
    weights = gaussian(60, p=3, k=2)
    common = {"learning_rate": 2.0, "t_eval": [0.0, 0.5, 3.0], **options}
    one = tl.solve(TASK, weights.overlaps(tl.Spectrum([1.0], [60])), **common)
    plain = tl.solve(TASK, weights.overlaps(), **common)
    for name in ("Q", "M", "P", "excess_risk"):
        np.testing.assert_array_equal(getattr(one, name), getattr(plain, name))
    np.testing.assert_array_equal(one.Q_blocks[:, 0], plain.Q)
    np.testing.assert_array_equal(one.M_blocks[:, 0], plain.M)


@pytest.mark.parametrize("name", ["erf", "square", "relu"])
@pytest.mark.parametrize(
    "options",
    [{}, {"d": 50}, {"terms": "gradient-flow+noise"}, {"second_layer_rate": 0.3}, {"batch": 2}],
    ids=["full", "d", "noise", "second layer", "batch"],
)
def test_two_halves_of_an_isotropic_space_are_the_isotropic_flow(name, options):
    """All of the equation, the correction by 1/d included, is linear in what is summed here."""
    weights = gaussian(50)
    halves = weights.overlaps(tl.Spectrum([1.0, 1.0], [20, 30]))
    last = 0.3 if name == "relu" and "d" in options else 2.0
    common = {"learning_rate": RATES[name], "t_eval": [0.0, last / 4, last], **options}
    two = tl.solve(tl.Task(name, noise=0.05), halves, **common)
    plain = tl.solve(tl.Task(name, noise=0.05), weights.overlaps(), **common)
    for each in ("Q", "M", "a", "excess_risk"):
        wanted = getattr(plain, each)
        np.testing.assert_allclose(getattr(two, each), wanted, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", ["erf", "square"])
def test_at_finite_d_the_flow_is_the_mean_of_one_step(name):
    """In every eigenspace, with second layers and batches of one, against 4 million samples.

    The mean change of Q^g and M^g in one step is γ/(p d) times the right-hand side with d.
    z-test for each of the entries, Bonferroni, false-alarm rate 1e-5.
    """
    from scipy.stats import norm

    task, rate, samples = tl.Task(name, noise=0.3), RATES[name], 4_000_000
    spectrum = tl.Spectrum([3.0, 0.5], [1, 4])
    plain = gaussian(5, seed=4)
    weights = tl.Weights(plain.W, plain.W_star, a=[1.0, -0.7], a_star=[1.3])
    flow = SpectralFlow(task, weights.overlaps(spectrum), "full", lambda t: rate, d=5)
    dQ, dM, _ = flow.unpack(flow.derivative(0.0, flow.start))
    rng = np.random.default_rng(0)
    scale = np.sqrt(np.repeat(spectrum.eigenvalues, [1, 4]) / 5)
    sums = np.zeros((2, 2, 5))
    for _ in range(samples // 10**6):
        x = rng.standard_normal((10**6, 5)) * scale
        fields = x @ weights.W.T
        error = task.target_activation.sigma(x @ weights.W_star.T) @ weights.a_star
        error += np.sqrt(0.3) * rng.standard_normal(10**6)
        error -= task.activation.sigma(fields) @ weights.a / 2
        step = rate / 2 * weights.a * task.activation.derivative(fields) * error[:, None]
        changes = []
        for here in spectrum.columns():
            y, w, v = x[:, here], weights.W[:, here], weights.W_star[:, here]
            moved = step[:, :, None] * y[:, None, :]
            cross = np.einsum("nia,ja->nij", moved, w)
            of_Q = cross + cross.swapaxes(1, 2) + moved @ moved.swapaxes(1, 2)
            upper = of_Q[:, [0, 0, 1], [0, 1, 1]]
            changes.append(np.concatenate((upper, moved @ v[0]), axis=1))
        changes = np.array(changes).transpose(1, 0, 2) / 5
        sums += changes.sum(0), (changes**2).sum(0)
    mean = sums[0] / samples
    off = np.sqrt((sums[1] / samples - mean**2) / samples)
    wanted = np.concatenate((dQ[:, [0, 0, 1], [0, 1, 1]], dM[:, :, 0]), axis=1) * rate / (2 * 5)
    assert (np.abs(mean - wanted) < norm.isf(1e-5 / 2 / mean.size) * off).all()


def test_the_jacobian_is_that_of_the_drift():
    ov = gaussian(40, p=3, k=2).overlaps(tl.Spectrum.two_level(40, 9))
    flow = SpectralFlow(TASK, ov, "gradient-flow", lambda t: 1.0)
    y, h = flow.start, 1e-6
    columns = [
        (flow.descent(0.0, y + h * e) - flow.descent(0.0, y - h * e)) / (2 * h)
        for e in np.eye(y.size)
    ]
    np.testing.assert_allclose(flow.jacobian(0.0, y), np.transpose(columns), atol=1e-6)


@pytest.mark.parametrize("method", ["LSODA", "DOP853", "Radau", "CVODE"])
def test_all_integrators_agree(method):
    pytest.importorskip("sksundae") if method == "CVODE" else None
    ov = gaussian(100).overlaps(tl.Spectrum.power_law(100, 0.5, 6))
    common = {"learning_rate": 1.0, "t_eval": [1.0, 20.0]}
    found = tl.solve(TASK, ov, method=method, **common)
    np.testing.assert_allclose(found.risk, tl.solve(TASK, ov, **common).risk, rtol=1e-7)


def test_doubling_the_groups_of_a_power_law_shows_the_error_of_the_cut():
    """Weights of d = 4000 that know nothing of the spectrum; from 8 groups on below 1 %."""
    weights = gaussian(4000)
    risks = []
    for groups in (4, 8, 16, 32):
        ov = weights.overlaps(tl.Spectrum.power_law(4000, 0.6, groups))
        risks.append(tl.solve(TASK, ov, learning_rate=2.0, t_eval=[1, 5, 20]).excess_risk)
    change = np.abs(np.diff(risks, axis=0) / risks[-1]).max(1)
    assert change[1] < 0.05
    assert change[2] < 0.02


def test_results_are_saved_and_gone_on_from(tmp_path):
    ov = gaussian(60).overlaps(tl.Spectrum.two_level(60, 5))
    common = {"learning_rate": 1.0}
    whole = tl.solve(TASK, ov, t_eval=[0.0, 2.0, 5.0], **common)
    back = tl.SpectralTrajectory.load(whole.save(tmp_path / "flow.nc"))
    assert back == whole
    assert back.spectrum == whole.spectrum
    half = tl.solve(TASK, ov, t_eval=[2.0], **common)
    on = tl.solve(TASK, half, t_eval=[5.0], **common)
    np.testing.assert_allclose(on.Q_blocks[-1], whole.Q_blocks[-1], rtol=1e-8)
    np.testing.assert_allclose(tl.excess_risk(TASK, back), whole.excess_risk, rtol=1e-14)
    when = whole.time_to(0.1)
    there = tl.solve(TASK, ov, t_eval=[when], **common)
    assert there.risk[-1] == pytest.approx(0.1, rel=1e-8)
    data = whole.to_xarray("asked")
    assert data["Q_blocks"].dims == ("time", "group", "neuron", "neuron_2")
    with pytest.raises(tl.InvalidInput, match="format"):
        tl.Trajectory.load(tmp_path / "flow.nc")


def test_a_dimension_other_than_the_spectrum_has_is_refused():
    ov = gaussian(60).overlaps(tl.Spectrum.two_level(60, 5))
    with pytest.raises(tl.InvalidInput, match="60, that of the spectrum"):
        tl.solve(TASK, ov, learning_rate=1.0, t_eval=[1.0], d=61)
    with pytest.raises(tl.InvalidInput, match=r"twolayer\.Overlaps"):
        tl.fixed_point(TASK, ov, learning_rate=1.0)
