r"""The projected method where a block is one batch: its samples do not see each other.

With steps c^μ and samples x^μ = (in the span, outside it) the weights move by Cᵀ X.  Outside the
span the samples are normal and independent of C; with C = Q R their weighted sum is Rᵀ G with G
normal, and of G only the triangular factor T of G Gᵀ matters, a Wishart matrix of size p: in
p further coordinates the weights move by Rᵀ T.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy

from twolayer.activations.activation import Activation
from twolayer.kernels import sgd as kernels
from twolayer.kernels.scales import put_back


def advance(
    activation: Activation,
    samples: kernels.Samples,
    room: kernels.Room,
    rules: kernels.Rules,
    absorb_last: bool,
) -> tuple[int, int]:
    """As `kernels.sgd.advance`, with the last batch always added to the weights."""
    with np.errstate(all="ignore"):  # a run that blows up is told by its steps
        for block in range(len(samples.normals)):
            lost = _one(activation, samples, block, room, rules)
            if lost.size:
                return block, int(lost[0])
            if absorb_last or block < len(samples.normals) - 1:
                turn_back(room.students, rules.k)
    return len(samples.normals) - 1, rules.batch


def _one(
    activation: Activation,
    samples: kernels.Samples,
    block: int,
    room: kernels.Room,
    rules: kernels.Rules,
) -> np.ndarray:
    """One batch, into p further coordinates; the samples at which it blew up, if any."""
    (students, a), normals = room[:2], samples.normals[block]
    (p, D), B = students.shape, rules.batch
    n = p + rules.k
    inside = normals[: B * n].reshape(B, n)
    fields = inside @ students[:, :n].T
    values, slopes = respond(activation, fields)
    error = samples.labels[block] - values @ a / p
    steps = samples.rates[block] * error
    lost = np.flatnonzero(~np.isfinite(steps))
    if lost.size:
        return lost
    C = slopes * steps[:, None] * a
    multiples = rules.multiples
    if multiples.rates.size:
        C *= multiples.rates
        shrunk = samples.rates[block, 0] * multiples.decay * multiples.rates
        students[:, :n] *= (1.0 - shrunk)[:, None]
    factor, below = np.diag(samples.radii[block]), _below(D - n)
    factor[below] = normals[B * n : B * n + len(below[0])]
    students[:, :n] += C.T @ inside
    students[:, n:] = np.linalg.qr(C, mode="r").T @ factor
    put_back(students, multiples)
    if rules.second > 0.0:
        a += rules.second * (error @ values)
    return lost


@lru_cache(maxsize=2)
def _below(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The entries below the diagonal; to list them takes as long as all else at small size."""
    return np.tril_indices(size, -1)


def respond(activation: Activation, fields: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """σ and σ′ of pre-activations of any shape, compiled if the kernels know them."""
    if activation.code < 0:
        return activation.sigma(fields), activation.derivative(fields)
    values, slopes = np.empty(fields.size), np.empty(fields.size)
    kernels.respond(activation.code, fields.ravel(), values, slopes)
    return values.reshape(fields.shape), slopes.reshape(fields.shape)


def turn_back(students: np.ndarray, k: int) -> None:
    """Turn the rows so that they are lower triangular beyond column k, in place, by LAPACK."""
    p = len(students)
    triangle = scipy.linalg.qr(students[:, k:].T, mode="r", check_finite=False)[0]
    students[:, k : k + p] = triangle[:p].T
    students[:, k + p :] = 0.0
