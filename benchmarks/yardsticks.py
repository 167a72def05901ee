r"""What the package is measured against, written as a competent user would write it.

- SGD sample by sample: NumPy with its buffers made once, PyTorch with autograd, JAX with
  `lax.scan`.
- The flow of the overlaps: explicit Euler steps, right-hand side compiled by numba,
  symmetries used and nothing computed twice.
- Mean field over all pairs of particles, in NumPy, a block of rows at a time.

All are for erf and double precision; formulas are those of Saad & Solla (1995) and
arXiv:2302.05882.  Nothing here is shared with the package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from math import asin, pi, sqrt
from typing import Any

import numpy as np
from numba import njit
from scipy.special import erf, roots_gegenbauer

Array = np.ndarray

#: Whether PyTorch and JAX can be measured; they are not needed for anything else.
HAS_TORCH, HAS_JAX = find_spec("torch") is not None, find_spec("jax") is not None
_SAMPLES = 512  # drawn at once


# --- SGD ----------------------------------------------------------------------------------


def samples(W_star: Array, noise: float, steps: int, seed: int) -> Iterator[tuple[Array, Array]]:
    """Chunks of samples x ~ N(0, I_d/d) and their noisy labels."""
    rng = np.random.default_rng(seed)
    k, d = W_star.shape
    for start in range(0, steps, _SAMPLES):
        n = min(_SAMPLES, steps - start)
        X = rng.standard_normal((n, d))
        X /= sqrt(d)
        y = erf(X @ W_star.T / sqrt(2)).sum(1) / k
        yield X, y + sqrt(noise) * rng.standard_normal(n)


def numpy_sgd(
    W: Array, W_star: Array, learning_rate: float, noise: float, steps: int, seed: int = 0
) -> Array:
    """The weights after so many steps, one sample at a time."""
    W = W.copy()
    p = len(W)
    change, fields = np.empty_like(W), np.empty(p)
    for X, y in samples(W_star, noise, steps, seed):
        for x, label in zip(X, y, strict=True):
            np.dot(W, x, out=fields)
            displacement = label - erf(fields * sqrt(0.5)).sum() / p
            np.square(fields, out=fields)
            fields *= -0.5
            np.exp(fields, out=fields)
            fields *= learning_rate / p * sqrt(2 / pi) * displacement
            np.multiply(fields[:, None], x, out=change)
            W += change
    return W


def torch_sgd(
    W: Array, W_star: Array, learning_rate: float, noise: float, steps: int, seed: int = 0
) -> Array:
    """The same with PyTorch's autograd and optimiser; small networks on one thread."""
    import torch

    threads = torch.get_num_threads()
    if W.size < 100_000:
        torch.set_num_threads(1)
    weights = torch.tensor(W, requires_grad=True)
    optimiser = torch.optim.SGD([weights], lr=learning_rate)
    for X, y in samples(W_star, noise, steps, seed):
        for x, label in zip(torch.from_numpy(X), torch.from_numpy(y), strict=True):
            optimiser.zero_grad(set_to_none=True)
            loss = 0.5 * (label - torch.erf(weights @ x * sqrt(0.5)).mean()) ** 2
            loss.backward()
            optimiser.step()
    torch.set_num_threads(threads)
    return weights.detach().numpy()


@cache
def _jax_steps() -> Callable[..., Any]:
    """Steps through a chunk of samples, compiled for each shape and precision."""
    import jax
    from jax import lax
    from jax import numpy as jnp
    from jax.scipy.special import erf as jax_erf

    jax.config.update("jax_enable_x64", True)

    def step(W: Any, sample: Any) -> Any:
        x, label, rate = sample
        fields = W @ x
        displacement = label - jax_erf(fields * sqrt(0.5)).mean()
        slope = jnp.exp(-0.5 * fields**2) * sqrt(2 / pi)
        return W + (rate / len(W) * displacement * slope)[:, None] * x, None

    return jax.jit(lambda W, X, y, rates: lax.scan(step, W, (X, y, rates))[0])


def jax_sgd(
    W: Array,
    W_star: Array,
    learning_rate: float,
    noise: float,
    steps: int,
    seed: int = 0,
    dtype: str = "float64",
) -> Array:
    """The same by `lax.scan`; steps of the last chunk that are too many have no rate."""
    advance, W = _jax_steps(), W.astype(dtype)
    for X, y in samples(W_star, noise, steps, seed):
        rates = np.zeros(_SAMPLES)
        rates[: len(y)] = learning_rate
        X, y = np.resize(X, (_SAMPLES, W.shape[1])), np.resize(y, _SAMPLES)
        W = advance(W, *(part.astype(dtype) for part in (X, y, rates)))
    return np.asarray(W)


# --- the flow of the overlaps -------------------------------------------------------------


@njit(cache=True, error_model="numpy")
def euler_rates(Omega: Array, p: int, learning_rate: float, noise: float, full: bool) -> Array:
    """The first p rows of dΩ/dt: (dQ/dt, dM/dt), with Ψ^Var if `full`."""
    n = len(Omega)
    k = n - p
    c = np.empty(n)
    c[:p], c[p:] = -1 / p, 1 / k
    root = np.empty((p, n))
    for j in range(p):
        for m in range(j, n):
            root[j, m] = 1 / sqrt((1 + Omega[j, j]) * (1 + Omega[m, m]) - Omega[j, m] ** 2)
            if m < p:
                root[m, j] = root[j, m]
    drift = np.empty((p, n))
    for j in range(p):
        own = 0.0
        for m in range(n):
            own += c[m] * root[j, m] * Omega[j, m]
        own /= 1 + Omega[j, j]
        for u in range(n):
            total = 0.0
            for m in range(n):
                total += c[m] * root[j, m] * Omega[u, m]
            drift[j, u] = 2 / pi * (total - own * Omega[j, u])
    rates = drift.copy()
    for i in range(p):
        for j in range(p):
            rates[i, j] += drift[j, i]
    if full:
        _add_variance(Omega, c, p, learning_rate / p, noise, rates)
    return rates


@njit(cache=True, error_model="numpy")
def _add_variance(Omega: Array, c: Array, p: int, scale: float, noise: float, rates: Array) -> None:
    """Add scale · Ψ^Var: one arcsine for each pair of pairs {i, j}, {m, n}."""
    n = len(Omega)
    inverse = np.empty(n)
    for i in range(p):
        for j in range(i, p):
            a, b, q = 1 + Omega[i, i], 1 + Omega[j, j], Omega[i, j]
            L4 = a * b - q * q
            for m in range(n):
                u, v = Omega[i, m], Omega[j, m]
                L1 = L4 * (1 + Omega[m, m]) - v * v * a - u * u * b + 2 * q * u * v
                inverse[m] = 1 / sqrt(L1)
            total = 0.0
            for m in range(n):
                u, v = Omega[i, m], Omega[j, m]
                for w in range(m, n):
                    x, y = Omega[i, w], Omega[j, w]
                    L0 = L4 * Omega[m, w] - v * y * a - u * x * b + q * (u * y + v * x)
                    term = c[m] * c[w] * asin(L0 * inverse[m] * inverse[w])
                    total += term if m == w else 2 * term
            value = scale * (4 / pi**2 * total + 2 / pi * noise) / sqrt(L4)
            rates[i, j] += value
            if i != j:
                rates[j, i] += value


@njit(cache=True, error_model="numpy")
def euler(
    Omega: Array,
    p: int,
    learning_rate: float,
    noise: float,
    full: bool,
    dt: float,
    record: Array,
) -> Array:
    """Explicit Euler from Ω at t = 0; states after the numbers of steps in `record`."""
    state = Omega.copy()
    out = np.empty((len(record), *Omega.shape))
    done = 0
    for r in range(len(record)):
        while done < record[r]:
            rates = euler_rates(state, p, learning_rate, noise, full)
            for i in range(p):
                for u in range(i, len(state)):
                    state[i, u] += dt * rates[i, u]
                    state[u, i] = state[i, u]
            done += 1
        out[r] = state
    return out


# --- mean field ---------------------------------------------------------------------------


def pairwise_erf(m: Array, q: Array, outside: float, nodes: int) -> tuple[Array, Array]:
    """(dm/dt, dq/dt) for erf, P = I and equal weights: every pair, at every value of Ξ_ij.

    `outside` is d − k; infinite for Ξ = I.  Ξ_ij has density ∝ (1 − ξ²)^((outside − 3)/2),
    so that Gauss-Gegenbauer nodes in ξ converge spectrally.
    """
    p, k = m.shape
    xi, weight = np.zeros(1), np.ones(1)
    if np.isfinite(outside):
        xi, weight = roots_gegenbauer(nodes, (outside - 2) / 2)
        weight = weight / weight.sum()
    one, root_q = 1 + (m**2).sum(1) + q, np.sqrt(q)
    dm, dq = np.empty((p, k)), np.empty(p)
    rows = max(1, 1_000_000 // (p * len(xi)))
    for start in range(0, p, rows):
        i = slice(start, min(start + rows, p))
        own = np.arange(p)[i]
        # Students: cov(λ_i, λ_j) depends on ξ, and Ξ_ii = 1.
        outer = (root_q[i, None] * root_q)[:, :, None] * xi
        outer[own - start, own] = q[i, None]
        C = (m[i] @ m.T)[:, :, None] + outer
        A = weight / np.sqrt((one[i, None] * one)[:, :, None] - C**2)
        total = np.einsum("ijx,ijx->i", A, C) / one[i]
        students = A.sum(2) @ m - total[:, None] * m[i]
        radial = np.einsum("ijx,ijx->i", A, outer) - total * q[i]
        # Targets, of norm one.
        A = 1 / np.sqrt(2 * one[i, None] - m[i] ** 2)
        total = (A * m[i]).sum(1) / one[i]
        targets = A - total[:, None] * m[i]
        dm[i] = 2 / pi * (targets / k - students / p)
        dq[i] = 4 / pi * (-total * q[i] / k - radial / p)
    return dm, dq


def pairwise_square(m: Array, q: Array, outside: float) -> tuple[Array, Array]:
    """(dm/dt, dq/dt) for square, P = I and equal weights, through the matrix Q̃ of all pairs."""
    p, k = m.shape
    dm, dq = np.empty((p, k)), np.empty(p)
    trace = (m**2).sum() + q.sum()
    rows = max(1, 4_000_000 // p)
    for start in range(0, p, rows):
        i = slice(start, min(start + rows, p))
        own = np.arange(p)[i]
        Q = m[i] @ m.T
        Q[own - start, own] += q[i]
        mean = 2 * (1 - trace / p)
        dm[i] = mean * m[i] + 4 * (m[i] / k - Q @ m / p)
        pairs = (root := np.sqrt(q))[i, None] * root  # E[Ξ_ij²] = 1/outside off the diagonal
        dq[i] = 2 * mean * q[i] - 8 / p * Q[own - start, own] * q[i]
        dq[i] -= 8 / p * ((pairs**2).sum(1) - q[i] ** 2) / outside
    return dm, dq
