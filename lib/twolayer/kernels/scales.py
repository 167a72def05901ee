r"""Scales beside the students: what a step multiplies a weight by, within a block.

With weight decay, or norms that are put back, a step is A_i ← f_i (s_i A_i + c_i x).  A student is
kept as S_i B_i, a scale and a row.  With T_i = s_i S_i the row moves by what is added alone,

    B_i ← B_i + c̃_i x,  c̃_i = c_i/T_i,  S_i ← f_i T_i,

so that the recursion of `kernels.sgd` holds for B and c̃, with pre-activations S_i B_i·x.  To put
the norm R_i back takes S_i = R_i/‖B_i‖, and ‖B_i‖² grows by c̃_i (2 B_i·x + c̃_i ‖x‖²).
"""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

import numpy as np

from twolayer.kernels.compiler import compiled


class Multiples(NamedTuple):
    """What multiplies: in a run it does not change.

    Multiples `rates` (p,) of γ, or (0,) where nothing is scaled; the `norms` (p,) that are put
    back, or (0,); weight decay times the batch.
    """

    rates: np.ndarray
    norms: np.ndarray
    decay: float


class Scales(NamedTuple):
    """Memory beside the rows of a block.

    S `now` and T `within` a batch, ‖B‖² `sizes` and pre-activations `fields`, all (p,); S `after`
    each sample (B, p).  All empty where nothing is scaled.
    """

    now: np.ndarray
    within: np.ndarray
    sizes: np.ndarray
    fields: np.ndarray
    after: np.ndarray


@compiled()
def begin(scales: Scales, norms: np.ndarray) -> None:
    """The scales at the start of a block, where the rows are the weights."""
    for i in range(scales.now.size):
        scales.now[i] = 1.0
    for i in range(norms.size):
        scales.sizes[i] = norms[i] * norms[i]


@compiled()
def to_fields(scales: Scales, row: np.ndarray) -> None:
    """Write the pre-activations S_i B_i·x of a sample, given its B·x."""
    for i in range(row.size):
        scales.fields[i] = scales.now[i] * row[i]


@compiled()
def to_steps(
    v: int,
    size: float,
    batch: int,
    C: np.ndarray,
    K: np.ndarray,
    row: np.ndarray,
    multiples: Multiples,
    scales: Scales,
) -> None:
    """Turn the step c of sample v, in row v of C, into c̃; at the end of its batch move the scales.

    `size` is γ/(p d b), `row` the sample's B·x, K the scalar products of the block.
    """
    rates, norms, first = multiples.rates, multiples.norms, v - v % batch
    p = rates.size
    if v == first:
        for i in range(p):
            scales.within[i] = scales.now[i] * (1.0 - size * multiples.decay * rates[i])
    for i in range(p):
        C[v, i] *= rates[i] / scales.within[i]
    for i in range(norms.size):
        scales.sizes[i] += C[v, i] * (2.0 * row[i] + K[v, v] * C[v, i])
        for u in range(first, v):
            scales.sizes[i] += 2.0 * C[v, i] * K[v, u] * C[u, i]
    for i in range(p):
        if (v + 1) % batch == 0:
            scales.now[i] = scales.within[i]
            if norms.size and rates[i] > 0.0:
                scales.now[i] = norms[i] / sqrt(scales.sizes[i])
        scales.after[v, i] = scales.now[i]


@compiled()
def put_back(students: np.ndarray, multiples: Multiples) -> None:
    """Give the students that move their norms, if these are fixed."""
    for i in range(multiples.norms.size):
        if multiples.rates[i] > 0.0:
            square = 0.0
            for c in range(students.shape[1]):
                square += students[i, c] * students[i, c]
            factor = multiples.norms[i] / sqrt(square)
            for c in range(students.shape[1]):
                students[i, c] *= factor


@compiled()
def to_weights(students: np.ndarray, scales: Scales, multiples: Multiples) -> None:
    """Turn the rows at the end of a block into the weights: S B, of the norms that are fixed."""
    for i in range(scales.now.size):
        for c in range(students.shape[1]):
            students[i, c] *= scales.now[i]
    put_back(students, multiples)
