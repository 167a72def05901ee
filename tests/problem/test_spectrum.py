"""Spectra of inputs, their cut into groups, and overlaps in their eigenspaces."""

import pickle

import numpy as np
import pytest

import twolayer as tl
from twolayer.problem.cut import cut


def law_of(d, alpha):
    s = np.arange(1, d + 1) ** -alpha
    return s / s.mean()


@pytest.mark.parametrize("alpha", [0.3, 0.5, 1.0, 1.5])
@pytest.mark.parametrize("d", [7, 200, 5000])
@pytest.mark.parametrize("groups", [2, 5, 8, 32])
def test_a_power_law_keeps_its_moments(d, alpha, groups):
    """Orders 0 to 2 to rounding; the dimensions add up, and there are no more groups than asked."""
    spectrum, law = tl.Spectrum.power_law(d, alpha, groups), law_of(d, alpha)
    assert spectrum.d == d
    assert len(spectrum) <= groups
    assert (spectrum.eigenvalues >= 0).all()
    for order in (0, 1, 2):
        assert spectrum.moment(order) == pytest.approx((law**order).mean(), rel=1e-12)


def test_more_groups_bring_the_other_moments_too():
    law = law_of(3000, 0.7)
    off = [
        max(
            abs(tl.Spectrum.power_law(3000, 0.7, groups).moment(n) / (law**n).mean() - 1)
            for n in (3, 4)
        )
        for groups in (4, 8, 16, 32)
    ]
    assert (np.diff(off) < 0).all()
    assert off[-1] < 1e-3


@pytest.mark.parametrize("seed", range(5))
def test_any_eigenvalues_are_cut_to_the_same_moments(seed):
    rng = np.random.default_rng(seed)
    s = np.sort(rng.exponential(size=300) * (rng.random(300) < 0.6))[::-1]
    for groups in (2, 3, 10, 50, 400):
        values, dimensions = cut(s, groups)
        assert dimensions.sum() == 300
        assert dimensions.min() >= 1
        assert len(values) <= groups
        assert values.min() >= 0
        for order in (1, 2):
            assert dimensions @ values**order == pytest.approx((s**order).sum(), rel=1e-12)


def test_two_levels_and_spikes_have_what_was_asked_for():
    two = tl.Spectrum.two_level(d=1000, ratio=9.0, share=0.3)
    np.testing.assert_array_equal(two.dimensions, [300, 700])
    assert two.eigenvalues[0] / two.eigenvalues[1] == pytest.approx(9)
    assert two.shares.sum() == pytest.approx(1)
    spiked = tl.Spectrum.spiked(d=10**6, strength=50.0, spikes=2)
    np.testing.assert_array_equal(spiked.dimensions, [2, 10**6 - 2])
    assert spiked.eigenvalues[0] / spiked.eigenvalues[1] == pytest.approx(51)


def test_a_covariance_gives_its_spectrum_and_turns_weights():
    """Pre-activations of turned weights have the covariance that W Σ Wᵀ/d says."""
    d, rng = 12, np.random.default_rng(0)
    root = rng.standard_normal((d, d))
    sigma = root @ root.T
    with pytest.raises(tl.InvalidInput, match=f"divide by {np.trace(sigma) / d:.2f}"):
        tl.Spectrum.from_covariance(sigma)
    spectrum = tl.Spectrum.from_covariance(sigma, normalise=True)
    sigma *= d / np.trace(sigma)
    weights = tl.Weights.gaussian(p=3, k=2, d=d, seed=0)
    overlaps = spectrum.turned(weights).overlaps(spectrum)
    every = np.concatenate((weights.W, weights.W_star))
    np.testing.assert_allclose(overlaps.Omega, every @ sigma @ every.T / d, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(
        overlaps.blocks.sum(0), weights.overlaps().Omega, rtol=1e-11, atol=1e-13
    )
    few = tl.Spectrum.from_covariance(sigma, groups=4)
    assert len(few) == 4
    assert few.moment(2) == pytest.approx(spectrum.moment(2), rel=1e-12)
    assert pickle.loads(pickle.dumps(spectrum)) == spectrum != few


def test_samples_give_their_second_moments():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((500, 6)) * np.array([2, 1, 1, 1, 0.5, 0.5])
    spectrum = tl.Spectrum.from_samples(x, normalise=True)
    x /= np.sqrt((x**2).sum(1).mean())
    assert tl.Spectrum.from_samples(x) == spectrum or np.allclose(
        tl.Spectrum.from_samples(x).eigenvalues, spectrum.eigenvalues, rtol=1e-12
    )
    expected = np.sort(np.linalg.eigvalsh(6 * x.T @ x / 500))[::-1]
    np.testing.assert_allclose(spectrum.eigenvalues, expected, rtol=1e-12)


def test_equal_eigenvalues_are_one_group():
    spectrum = tl.Spectrum.from_covariance(np.diag([0.5, 2.0, 0.5, 1.0]))
    np.testing.assert_allclose(spectrum.eigenvalues, [2, 1, 0.5])
    np.testing.assert_array_equal(spectrum.dimensions, [1, 1, 2])


GOOD = tl.Spectrum([1.8, 0.2], [10, 10])


@pytest.mark.parametrize(
    ("make", "argument", "says"),
    [
        (lambda: tl.Spectrum([2.1, -0.1], [10, 10]), "eigenvalues", "negative"),
        (lambda: tl.Spectrum([1.8, 0.4], [10, 10]), "eigenvalues", "divide by 1.1"),
        (lambda: tl.Spectrum([1.0, np.nan], [10, 10]), "eigenvalues", "finite"),
        (lambda: tl.Spectrum([1.0], [10, 10]), "dimensions", "shape"),
        (lambda: tl.Spectrum([1.8, 0.2], [10.5, 10.5]), "dimensions", "integers"),
        (lambda: tl.Spectrum([1.0, 1.0], [10, 0]), "dimensions", "integers"),
        (lambda: tl.Spectrum([1.8, 0.2], [1, 1], np.ones((2, 2))), "vectors", "orthonormal"),
        (lambda: tl.Spectrum.from_covariance([[1, 0.5], [0.4, 1]]), "covariance", "symmetric"),
        (lambda: tl.Spectrum.from_covariance([[1, 2], [2, 1]]), "covariance", "semi-definite"),
        (lambda: tl.Spectrum.from_covariance(2 * np.eye(3)), "covariance", "divide by 2"),
        (lambda: tl.Spectrum.from_covariance(np.ones((2, 3))), "covariance", "symmetric"),
        (lambda: tl.Spectrum.from_samples(np.zeros((3, 2))), "x", "vanish"),
        (lambda: tl.Spectrum.from_samples(2 * np.eye(2)), "x", "divide by 2"),
        (lambda: tl.Spectrum.power_law(100, 0.5, groups=1), "groups", "more than 1"),
        (lambda: tl.Spectrum.two_level(10, ratio=2.0, share=1.0), "share", "below 1"),
        (lambda: tl.Spectrum.spiked(10, strength=1.0, spikes=10), "spikes", "integer"),
        (lambda: tl.Weights.gaussian(2, 1, 19).overlaps(GOOD), "spectrum", "19"),
        (lambda: tl.Weights.gaussian(2, 1, 20).overlaps([1.8, 0.2]), "spectrum", "Spectrum"),
        (lambda: GOOD.turned(tl.Weights.gaussian(2, 1, 20)), "spectrum", "eigenvectors"),
    ],
)
def test_what_is_no_spectrum_is_refused(make, argument, says):
    with pytest.raises(tl.InvalidInput, match=says) as caught:
        make()
    assert caught.value.argument == argument


def test_blocks_that_no_vectors_have_are_refused():
    one = tl.Spectrum([5.5, 0.5], [1, 9])
    Q, M, P = np.array([np.eye(2)] * 2), np.zeros((2, 2, 1)), np.ones((2, 1, 1))
    with pytest.raises(tl.InvalidInput, match="rank 3 in 1 dimensions"):
        tl.SpectralOverlaps(one, Q, M, P)
    with pytest.raises(tl.InvalidInput, match="semi-definite"):
        tl.SpectralOverlaps(GOOD, -Q, M, P)
    with pytest.raises(tl.InvalidInput, match="transpose"):
        tl.SpectralOverlaps(GOOD, Q + np.eye(2, k=1), M, P)
    with pytest.raises(tl.InvalidInput, match="M_blocks"):
        tl.SpectralOverlaps(GOOD, Q, M[:1], P)


def test_the_risk_is_that_of_the_pre_activations():
    """Against a million samples of x itself; z-test, false-alarm rate 1e-6."""
    spectrum = tl.Spectrum([2.5, 0.5], [2, 6])
    weights = tl.Weights.gaussian(p=2, k=1, d=8, seed=3)
    task = tl.Task("erf", noise=0.2)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((10**6, 8)) * np.sqrt(np.repeat(spectrum.eigenvalues, [2, 6]) / 8)
    sigma = task.activation.sigma
    square = (sigma(x @ weights.W.T).mean(1) - sigma(x @ weights.W_star.T).mean(1)) ** 2 / 2
    exact = tl.excess_risk(task, weights.overlaps(spectrum))
    assert abs(square.mean() - exact) < 4.9 * square.std() / 1e3
    assert tl.risk(task, weights.overlaps(spectrum)) == pytest.approx(exact + 0.1)
