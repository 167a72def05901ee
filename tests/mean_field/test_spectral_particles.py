"""Particles under inputs with a spectrum: the flow of overlaps whose outside is orthogonal."""

import math

import numpy as np
import pytest

import twolayer as tl

SPECTRUM = tl.Spectrum([2.4, 1.2, 0.2], [500, 500, 1000])
TASKS = {
    "erf": tl.Task("erf"),
    "square": tl.Task("square"),
    "relu": tl.Task("relu"),
    "tanh": tl.Task("tanh", "he3", noise=0.1),
}


def state(p=4, k=2, seed=0):
    """Overlaps in the eigenspaces, orthogonal outside the span of the targets; the particles."""
    rng, share = np.random.default_rng(seed), SPECTRUM.dimensions / SPECTRUM.d
    P = share[:, None, None] * np.array([[1.0, 0.3], [0.3, 0.8]])
    M = 0.4 * share[:, None, None] * rng.standard_normal((3, p, k))
    q = share * rng.uniform(0.5, 1.0, (p, 3))
    inside = M @ np.linalg.inv(P) @ M.swapaxes(1, 2)
    Q = inside + np.array([np.diag(each) for each in q.T])
    a, a_star = rng.uniform(0.5, 1.5, p), np.array([1.0, 0.7])
    ov = tl.SpectralOverlaps(SPECTRUM, Q, M, P, a, a_star)
    return ov, tl.SpectralParticles(SPECTRUM, M.swapaxes(0, 1), q, a=a)


@pytest.mark.parametrize("name", TASKS)
def test_it_is_the_flow_of_overlaps_that_are_orthogonal_outside(name):
    """Over a short time: what is not of second order in it agrees."""
    ov, particles = state()
    t, how = 1e-4, {"t_eval": [1e-4], "progress": False}
    net = tl.solve(TASKS[name], ov, terms="gradient-flow", rtol=1e-11, atol=1e-14, **how)
    mf = tl.solve_mean_field(
        TASKS[name], particles, ov.P_blocks, a_star=ov.a_star, self_term="exact",
        rtol=1e-11, atol=1e-14, **how,
    )  # fmt: skip
    moved = (mf.M_blocks[0].swapaxes(0, 1) - ov.M_blocks) / t
    expected = (net.M_blocks[0] - ov.M_blocks) / t
    np.testing.assert_allclose(moved, expected, rtol=2e-3, atol=2e-3 * np.abs(expected).max())
    inverse = np.linalg.inv(ov.P_blocks)

    def outside(Q, M):
        inside = np.einsum("gpr,grs,gps->gp", M, inverse, M)
        return np.diagonal(Q, axis1=1, axis2=2) - inside

    drained = outside(net.Q_blocks[0], net.M_blocks[0]) - outside(ov.Q_blocks, ov.M_blocks)
    found = (mf.q_blocks[0].T - particles.q.T) / t
    np.testing.assert_allclose(found, drained / t, rtol=5e-3, atol=5e-3 * np.abs(found).max())
    assert mf.excess_risk[0] == pytest.approx(net.excess_risk[0], rel=1e-4)


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("self_term", ["none", "exact"])
def test_one_eigenspace_is_the_isotropic_limit(name, self_term):
    w = tl.Weights.gaussian(p=6, k=2, d=40, seed=1)
    one, how = tl.Spectrum([1.0], [40]), {"t_eval": [0.3, 3.0], "self_term": self_term}
    plain = tl.solve_mean_field(
        TASKS[name], tl.Particles.from_weights(w), w.overlaps().P, d=math.inf, **how
    )
    particles = tl.SpectralParticles.from_weights(w, one)
    blocks = tl.solve_mean_field(TASKS[name], particles, w.overlaps(one).P_blocks, **how)
    np.testing.assert_allclose(blocks.M, plain.M, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(blocks.q, plain.q, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(blocks.excess_risk, plain.excess_risk, rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(blocks.cosines, plain.cosines, rtol=1e-6, atol=1e-9)


def test_many_students_follow_it():
    """A network of 100 in 2000 dimensions, within the 1/√p of theorem 2."""
    spectrum = tl.Spectrum.two_level(2000, 16.0)
    w = tl.Weights.gaussian(p=100, k=1, d=2000, seed=0)
    start, how = w.overlaps(spectrum), {"t_eval": [0.0, 1.0, 10.0], "progress": False}
    net = tl.solve(tl.Task("erf"), start, terms="gradient-flow", **how)
    particles = tl.SpectralParticles.from_weights(w, spectrum)
    mf = tl.solve_mean_field(tl.Task("erf"), particles, start.P_blocks, **how)
    np.testing.assert_allclose(mf.excess_risk, net.excess_risk, rtol=0.1)


def test_results_are_saved_and_gone_on_from(tmp_path):
    ov, particles = state()
    how = {"a_star": ov.a_star, "progress": False}
    whole = tl.solve_mean_field(TASKS["erf"], particles, ov.P_blocks, t_eval=[1.0, 4.0], **how)
    assert type(whole).load(whole.save(tmp_path / "mf.nc")) == whole
    first = tl.solve_mean_field(TASKS["erf"], particles, ov.P_blocks, t_eval=[1.0], **how)
    then = tl.solve_mean_field(TASKS["erf"], first, t_eval=[4.0], progress=False)
    np.testing.assert_allclose(then.M_blocks[0], whole.M_blocks[1], rtol=1e-6, atol=1e-10)
    level = float(whole.risk.mean())
    assert whole.t[0] < whole.time_to(level) < whole.t[1]
    assert whole.to_xarray()["M_blocks"].dims == ("time", "particle", "group", "target")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"d": 2000}, "d: got 2000; it must be math.inf"),
        ({"P": np.eye(2)}, "P"),
        ({"P": None}, "P: got None"),
        ({"task": tl.Task(tl.Activation.of(np.floor, kinks=tuple(range(-9, 10))))}, "over pairs"),
    ],
)
def test_what_cannot_be_used_is_refused(changed, message):
    ov, particles = state()
    arguments = {"task": TASKS["erf"], "particles": particles, "P": ov.P_blocks} | changed
    with pytest.raises(tl.InvalidInput, match=message):
        tl.solve_mean_field(**arguments, t_eval=[1.0])


@pytest.mark.parametrize(
    "changed",
    [{"q": [[-1.0, 0, 0]]}, {"weight": [0.5]}, {"m": np.ones((1, 2, 2))}, {"spectrum": None}],
)
def test_particles_that_are_none_are_refused(changed):
    good = {"spectrum": SPECTRUM, "m": np.ones((1, 3, 2)), "q": np.ones((1, 3))}
    with pytest.raises(tl.InvalidInput, match=next(iter(changed))):
        tl.SpectralParticles(**good | changed)
