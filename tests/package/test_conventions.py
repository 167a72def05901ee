"""The page "From your notation to ours", row by row: their step and ours, on the same samples.

And the page of what cannot be done, which says what the errors say.
"""

import re

import numpy as np
import pytest
from conftest import ROOT
from scipy.special import erf

import twolayer as tl
from twolayer.sgd.draws import Draws
from twolayer.support.limits import CANNOT

P, K, D, STEPS, NOISE = 3, 2, 30, 60, 0.04
CLOSE = {"rtol": 1e-11, "atol": 1e-12}


def g(x):
    return erf(x / np.sqrt(2))


def slope(x):
    return np.sqrt(2 / np.pi) * np.exp(-(x**2) / 2)


def unit_weights():
    rng = np.random.default_rng(1)
    return rng.standard_normal((P, D)) / np.sqrt(D), rng.standard_normal((K, D)) / np.sqrt(D)


def run(start, rate, eta=0.0, **options):
    """Our run, its samples ξ and label noise, as the stream of its seed has them."""
    t = STEPS * rate / (P * D)
    found = tl.simulate(
        tl.Task("erf", noise=NOISE),
        start,
        learning_rate=rate,
        second_layer_rate=eta,
        t_eval=[t],
        method="direct",
        seed=7,
        **options,
    )
    block = found.provenance["block"]
    draws, xi, noise = Draws(7, 0, block, D, 0), [], []
    while len(xi) * block < STEPS:
        normals = draws.blocks(1)[0][0].copy()  # the next are drawn in its place
        xi.append(normals[:-block].reshape(block, D))
        noise.append(np.sqrt(NOISE) * normals[-block:])
    return found, np.concatenate(xi)[:STEPS], np.concatenate(noise)[:STEPS]


def agree(found, J, J_star, a=None):
    np.testing.assert_allclose(found.Q[0, -1], J @ J.T, **CLOSE)
    np.testing.assert_allclose(found.M[0, -1], J @ J_star.T, **CLOSE)
    if a is not None:
        np.testing.assert_allclose(found.a[0, -1], a, **CLOSE)


@pytest.mark.parametrize("paper", ["Saad & Solla", "Biehl & Schwarze"])
def test_soft_committee_machines(paper):
    """Sums over hidden units; α = steps/N and our time is η α/p."""
    J, B = unit_weights()
    eta = 0.8
    start = tl.Weights(J, B, np.full(P, P), np.full(K, K), inputs="unit")
    found, samples, noise = run(start, eta)
    for xi, z in zip(samples, noise, strict=True):
        x, y = J @ xi, B @ xi
        delta = g(y).sum() + z - g(x).sum()
        J = J + eta / D * np.outer(slope(x) * delta, xi)
    agree(found, J, B)
    assert found.t[-1] == pytest.approx(eta * (STEPS / D) / P)


def test_goldt():
    """Both layers learn, and the first decays; weights of norm √N."""
    w, w_star = (np.sqrt(D) * J for J in unit_weights())
    v, v_star = np.array([0.5, -1.0, 2.0]), np.array([1.5, 0.7])
    eta, eta_v, kappa = 0.6, 0.9, 0.3
    start = tl.Weights(w, w_star, P * v, K * v_star)
    found, samples, noise = run(start, eta, P**2 * eta_v, weight_decay=kappa * P / eta)
    for xi, z in zip(samples, noise, strict=True):
        x = w @ xi / np.sqrt(D)
        lacks = v_star @ g(w_star @ xi / np.sqrt(D)) + z - v @ g(x)
        w, v = (
            (1 - kappa / D) * w + eta / np.sqrt(D) * np.outer(v * slope(x) * lacks, xi),
            v + eta_v / D * g(x) * lacks,
        )
    agree(found, w / np.sqrt(D), w_star / np.sqrt(D), P * v)


def test_veiga():
    w, w_star = (np.sqrt(D) * J for J in unit_weights())
    gamma = 2.0
    found, samples, noise = run(tl.Weights(w, w_star), gamma)
    for xi, z in zip(samples, noise, strict=True):
        x = w @ xi / np.sqrt(D)
        lacks = g(w_star @ xi / np.sqrt(D)).mean() + z - g(x).mean()
        w = w + gamma / (P * np.sqrt(D)) * np.outer(slope(x) * lacks, xi)
    agree(found, w / np.sqrt(D), w_star / np.sqrt(D))


def test_mei_montanari_nguyen():
    """Twice the rate, for their loss has no half; their time is half of ours."""
    w, w_star = unit_weights()
    a, s = np.array([1.0, -0.5, 2.0]), 0.01
    rate = 2 * s * P * D
    found, samples, noise = run(tl.Weights(w, w_star, a, inputs="unit"), rate, rate)
    for xi, z in zip(samples, noise, strict=True):
        x = w @ xi
        lacks = g(w_star @ xi).mean() + z - (a * g(x)).mean()
        w, a = (
            w + 2 * s * np.outer(a * slope(x) * lacks, xi),
            a + 2 * s * g(x) * lacks,
        )
    agree(found, w, w_star, a)
    assert found.t[-1] == pytest.approx(2 * s * STEPS)


def test_chizat_bach():
    """The flow −m ∇R of both layers, its gradient by differences of the risk."""
    w, w_star = unit_weights()
    a, task, h = np.array([1.0, -0.5, 2.0]), tl.Task("erf"), 1e-5

    def risk(w, a):
        return tl.excess_risk(task, tl.Weights(w, w_star, a, inputs="unit").overlaps())

    moves = h * np.eye(P * D).reshape(-1, P, D)
    of_w = np.array([risk(w + e, a) - risk(w - e, a) for e in moves]).reshape(P, D) / (2 * h)
    of_a = np.array([risk(w, a + e) - risk(w, a - e) for e in h * np.eye(P)]) / (2 * h)
    start = tl.Weights(w, w_star, a, inputs="unit").overlaps()
    dt = 1e-6
    path = tl.solve(
        task,
        start,
        terms="gradient-flow",
        learning_rate=1.0,
        second_layer_rate=1.0,
        t_eval=[0, dt],
    )
    moved = (-P * of_w) @ w_star.T
    np.testing.assert_allclose((path.M[1] - path.M[0]) / dt, moved, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose((path.a[1] - path.a[0]) / dt, -P * of_a, rtol=1e-4, atol=1e-7)


def test_every_row_of_the_page_is_tested():
    page = (ROOT / "book/conventions.md").read_text("utf-8")
    rows = re.findall(r"^\| ([A-Z][^(|]+) (?:et al\. )?\(", page, re.M)
    assert [name.split(" et al")[0] for name in rows] == [
        "Saad & Solla",
        "Biehl & Schwarze",
        "Goldt",
        "Veiga",
        "Mei, Montanari & Nguyen",
        "Chizat & Bach",
    ]


def test_momentum_in_high_dimension_is_a_larger_rate():
    """What the page of limits says: eight runs of SGD with memory against the ODE.

    The mean of eight runs lies within four standard errors, or 2 % for finite d, of the ODE at the
    larger rate: a false alarm in fewer than 1 of 100 (t with seven degrees of freedom).
    """
    d, beta, gamma, t_end = 600, 0.8, 0.2, 4.0
    start = tl.Weights.gaussian(p=2, k=1, d=d, seed=0)
    path = tl.solve(
        tl.Task("erf"), start.overlaps(), learning_rate=gamma / (1 - beta), t_eval=[0.0, t_end]
    )
    rng, steps, found = np.random.default_rng(3), round(t_end * 2 * d * (1 - beta) / gamma), []
    for _ in range(8):
        W, V = start.W, np.zeros_like(start.W)
        for _ in range(steps):
            x = rng.standard_normal(d) / np.sqrt(d)
            fields = W @ x
            lacks = g(start.W_star @ x).mean() - g(fields).mean()
            V = beta * V + np.outer(slope(fields) * lacks, x)
            W = W + gamma / 2 * V
        found.append(tl.excess_risk(tl.Task("erf"), tl.Weights(W, start.W_star).overlaps()))
    mean, error = np.mean(found), np.std(found, ddof=1) / np.sqrt(8)
    assert abs(mean - path.excess_risk[-1]) < 4 * error + 0.02 * path.excess_risk[-1]


CALLS = {
    tl.Task: ("erf",),
    tl.simulate: (tl.Task("erf"), tl.Weights.gaussian(2, 1, 4)),
    tl.solve: (tl.Task("erf"), tl.Weights.gaussian(2, 1, 4).overlaps()),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("what", CANNOT)
def test_what_cannot_be_done_is_answered(call, what):
    names, answer = CANNOT[what]
    for name in names:
        with pytest.raises(tl.InvalidInput, match=f"^{name}: .*left out") as caught:
            call(*CALLS[call], **{name: 1})
        assert answer in str(caught.value)


def test_another_unknown_name_is_pythons_affair():
    with pytest.raises(TypeError, match="unheard_of"):
        tl.Task("erf", unheard_of=1)


def test_the_page_says_what_the_errors_say():
    page = (ROOT / "book/limits.md").read_text("utf-8").lower()
    plain = re.sub(r"[`$\\]", "", page).replace("gamma", "learning_rate")
    plain = " ".join(plain.replace("$", "").split())
    for what, (_, answer) in CANNOT.items():
        assert f"\n{what}\n: " in page
        for part in re.split(r"; |, lambda", answer.lower().removeprefix("left out: ")):
            assert part in plain, part
