"""SGD on samples of one's own: the same loop on the same samples, each used once."""

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from scipy.special import erf

import twolayer as tl

P, K, D = 3, 2, 12
STEPS = [0, 1, 17, 40, 41, 90]
START = tl.Weights.gaussian(p=P, k=K, d=D, seed=0)
TASK = tl.Task("erf")


def signs(rng, n):
    """Samples with independent entries ±1/√d."""
    return rng.choice([-1.0, 1.0], (n, D)) / np.sqrt(D)


def loop(samples, steps, batch=1, rate=0.5):
    """W after so many steps on these samples, one after another."""
    W, out = START.W.copy(), []
    for step in range(max(steps) + 1):
        if step in steps:
            out.append(W.copy())
        moved = np.zeros_like(W)
        for x in samples[step * batch : (step + 1) * batch]:
            fields = W @ x
            seen, told = erf(fields / np.sqrt(2)), erf(START.W_star @ x / np.sqrt(2))
            slope = np.sqrt(2 / np.pi) * np.exp(-(fields**2) / 2)
            moved += np.outer(slope * (told.mean() - seen.mean()), x)
        W += rate / P * moved / batch
    return out


def simulate(inputs, steps=STEPS, **more):
    more = {"learning_rate": 0.5, "steps": steps, "inputs": inputs} | more
    return tl.simulate(TASK, more.pop("start", START), **more)


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("spectrum", [None, tl.Spectrum([1.6, 0.4], [6, 6])])
def test_the_same_as_a_loop_on_the_same_samples(batch, spectrum):
    """Runs share the array: the first half is of the first run."""
    samples = signs(np.random.default_rng(1), 2 * 100 * batch)
    run = simulate(samples, runs=2, batch=batch, spectrum=spectrum)
    for number, part in enumerate(np.split(samples, 2)):
        for time, W in enumerate(loop(part, STEPS, batch)):
            seen = tl.observe(TASK, W, START.W_star, spectrum)
            for name in ("Q", "M"):
                found = getattr(run, name)[number, time]
                np.testing.assert_allclose(found, getattr(seen, name), rtol=1e-11, atol=1e-12)
            assert run.excess_risk[number, time] == pytest.approx(seen.excess_risk, rel=1e-10)


def test_what_a_function_draws_depends_on_seed_and_run_alone():
    """Also beyond the samples that it is asked for at once."""
    steps = [0, 900, 1500, 2300]
    one = simulate(signs, steps, runs=2, seed=3)
    assert (one.Q[1] == simulate(signs, [*steps, 2400], runs=3, seed=3).Q[1, :4]).all()
    with ThreadPoolExecutor(2) as pool:
        assert (one.Q == simulate(signs, steps, runs=2, seed=3, executor=pool).Q).all()
    assert one.parameters["inputs"] == "signs"
    assert np.abs(one.M[0] - one.M[1])[1:].min() > 0
    asked = []

    def listened(rng, n):
        asked.append(n)
        return signs(rng, n)

    drawn = simulate(listened, steps, seed=3)
    assert (drawn.Q[0] == one.Q[0]).all()
    assert sum(asked[1:]) >= 2300


@pytest.mark.parametrize("inputs", [signs, signs(np.random.default_rng(0), 500)])
def test_a_checkpoint_goes_on_bit_for_bit(inputs, tmp_path):
    kept = {"checkpoint": tmp_path / "kept"}
    simulate(inputs, [0, 40, 100], **kept)
    later = simulate(inputs, [0, 40, 100, 300], **kept)
    assert (later.Q == simulate(inputs, [0, 40, 100, 300]).Q).all()
    with pytest.raises(tl.InvalidInput, match="inputs"):
        simulate(signs(np.random.default_rng(9), 500), [0, 40, 100, 300], **kept)


def test_gaussian_samples_of_ones_own_are_those_of_the_package():
    """In law: the mean risk of 400 runs each, within four standard errors (1e-3 false alarms)."""

    def gaussian(rng, n):
        return rng.standard_normal((n, D)) / np.sqrt(D)

    how = {"runs": 400, "steps": [20, 80]}
    both = [simulate(gaussian, **how), tl.simulate(TASK, START, learning_rate=0.5, **how)]
    means = [run.excess_risk.mean(0) for run in both]
    errors = [run.excess_risk.std(0) / 20 for run in both]
    assert (np.abs(means[0] - means[1]) < 4 * np.hypot(*errors)).all()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"inputs": np.ones((90, D)) / np.sqrt(D), "runs": 2},
            "90 samples.*2 x 90 = 180",
        ),
        ({"inputs": np.ones((20, D)) / np.sqrt(D)}, "20 samples.*at least 90"),
        ({"inputs": np.ones((200, D))}, r"a mean ‖x‖² of 12.*divide by 3\.4641"),
        ({"inputs": np.ones((200, D + 1))}, "inputs"),
        ({"inputs": [[np.nan] * D]}, "inputs"),
        ({"inputs": lambda n: np.ones((n, D))}, r"a function of \(rng, n\)"),
        ({"inputs": lambda rng, n: signs(rng, n)[1:]}, "inputs"),
        ({"inputs": "digits"}, "inputs"),
        ({"inputs": signs, "method": "projected"}, "'direct' or 'auto'"),
        ({"inputs": signs, "start": START.overlaps(), "d": D}, "have coordinates"),
    ],
)
def test_what_cannot_be_used_is_refused(more, message):
    with pytest.raises(tl.InvalidInput, match=message):
        simulate(**more)


def test_a_lambda_cannot_be_sent_to_a_process():
    with (
        ProcessPoolExecutor(1) as pool,
        pytest.raises(tl.InvalidInput, match=r"inputs: .*defined in a module"),
    ):
        simulate(lambda rng, n: signs(rng, n), executor=pool)


def test_samples_are_turned_with_the_weights():
    rng = np.random.default_rng(0)
    samples = rng.standard_normal((400, D)) * np.linspace(2, 0.1, D) @ rng.standard_normal((D, D))
    samples /= np.sqrt(np.square(samples).sum(1).mean())
    spectrum = tl.Spectrum.from_samples(samples)
    turned = spectrum.turned(samples)
    assert D * turned.T @ turned / 400 == pytest.approx(np.diag(spectrum.eigenvalues), abs=1e-10)
    np.testing.assert_allclose(
        turned @ spectrum.turned(START).W.T, samples @ START.W.T, rtol=1e-10, atol=1e-10
    )
    with pytest.raises(tl.InvalidInput):
        spectrum.turned(samples[:, 1:])
