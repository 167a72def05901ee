"""What a dispersed spectrum does to the plateau, and what a power law does to the risk."""

import numpy as np
import pytest
from scipy.optimize import brentq

import twolayer as tl
from twolayer.problem.task import coefficients

D = 1000
SPECTRA = {
    "isotropic": tl.Spectrum([1.0], [D]),
    "two levels": tl.Spectrum.two_level(D, 10.0),
    "spikes": tl.Spectrum.spiked(D, 20.0, D // 20),
    "power law": tl.Spectrum.power_law(D, 0.5, groups=8),
}
HOW = {"terms": "gradient-flow", "rtol": 1e-10, "atol": 1e-14, "progress": False}
APART = np.array([[1, -1], [-1, 1]]) / 2


def alike(spectrum, kappa, gap=0.0):
    """Two students at kappa times the sum of two targets, but for a difference."""
    share, M = (spectrum.dimensions / D)[:, None, None], kappa + gap * APART
    return tl.SpectralOverlaps(spectrum, share * (M @ M.T), share * M, share * np.eye(2))


@pytest.fixture(scope="module", params=["erf", "tanh"])
def plateau(request):
    """A task, and where its students stand still."""
    task = tl.Task(request.param)
    path = tl.solve(task, alike(SPECTRA["isotropic"], 0.1), t_eval=[300.0], **HOW)
    return task, path.M[-1, 0, 0]


def held_and_drawn(task, kappa):
    """The coefficients a and c of the page: of a difference itself, and of what it feels."""
    c = coefficients(np.ones(2), np.ones(2))

    def B(gap):
        return task.forms.coefficients(alike(SPECTRA["isotropic"], kappa, gap).Omega, c, 2)

    slope = (B(1e-5) - B(-1e-5)) / 2e-5
    # The overlap of the differences is twice the gap, and each target has half of theirs.
    return B(0.0)[0, 1] - B(0.0)[0, 0], slope[0, 2] - slope[1, 2]


@pytest.mark.parametrize("name", SPECTRA)
def test_the_plateau_is_left_as_derived(plateau, name):
    (task, kappa), spectrum = plateau, SPECTRA[name]
    a, c = held_and_drawn(task, kappa)
    s, share = spectrum.eigenvalues, spectrum.dimensions / D
    least = max(0.0, -a * s.max()) + 1e-6
    expected = brentq(lambda r: c * (share * s**2 / (r + a * s)).sum() - 1, least, 100)
    t = np.linspace(0, 11 / expected, 200)
    path = tl.solve(task, alike(spectrum, kappa, 1e-7), t_eval=t, **HOW)
    gap = path.M[:, 0, 0] - path.M[:, 0, 1]
    linear = (gap > 1e-5) & (gap < 1e-3)
    assert np.polyfit(t[linear], np.log(gap[linear]), 1)[0] == pytest.approx(expected, rel=2e-4)
    if task.closed:  # erf: nothing holds a student that stands still
        assert abs(a) < 1e-6
        assert expected == pytest.approx(c * spectrum.moment(2), rel=1e-4)


@pytest.mark.parametrize("alpha", [2.0, 4.0])
def test_a_power_law_of_eigenvalues_is_one_of_the_risk(alpha):
    spectrum = tl.Spectrum.power_law(1_000_000, alpha, groups=48)
    P = (spectrum.dimensions / spectrum.d)[:, None, None]
    t = np.geomspace(0.5, 50, 31)
    path = tl.solve(tl.Task("erf"), tl.SpectralOverlaps(spectrum, P / 4, P / 2, P), t_eval=t, **HOW)
    slope = np.polyfit(np.log(t), np.log(path.excess_risk), 1)[0]
    assert slope == pytest.approx(1 / alpha - 1, abs=0.01)


def test_scales_say_when_isotropy_is_fair():
    two = tl.Spectrum.two_level
    small, large = (tl.regimes.scales(D, 4, 0.01, spectrum=two(D, ratio)) for ratio in (1.2, 4.0))
    assert small.dispersion < tl.regimes.SMALL < large.dispersion == pytest.approx(0.36)
    assert "eigenspaces" in large.description
    assert "eigenspaces" not in small.description
    with pytest.raises(tl.InvalidInput, match="spectrum"):
        tl.regimes.scales(D + 1, 4, 0.01, spectrum=two(D, 4.0))
