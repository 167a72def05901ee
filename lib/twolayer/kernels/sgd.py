r"""The inner loops of the simulator.

One block of B fresh samples is written as rows of X in the coordinates in which the weights
are kept, A = W/√d; then, exactly as sample by sample,

    λ^ν = A x^ν + Σ_{μ<ν} K_νμ c^μ,   K = X Xᵀ,
    c^μ_i = γ/(p d) a_i σ'(λ^μ_i) 𝓔^μ,
    A ← A + Cᵀ X  at the end of the block.

In mini-batches the sum goes over the samples of the batches before, and γ is divided by their size.
With weight decay, fixed norms or rates of each student's own the rows are not W/√d: see `scales`.

Nothing here depends on which times are recorded.  `tests/reference.py` does the same sample by
sample.
"""

from __future__ import annotations

from math import isfinite
from typing import Any, NamedTuple

import numpy as np

from twolayer.kernels.compiler import FAST, compiled
from twolayer.kernels.functions import respond, respond_by, scalar_product
from twolayer.kernels.products import add_product, add_transposed_product, scalar_products
from twolayer.kernels.rotation import to_lower_triangle
from twolayer.kernels.scales import (
    Multiples,
    Scales,
    begin,
    put_back,
    to_fields,
    to_steps,
    to_weights,
)


class Samples(NamedTuple):
    """Of some blocks: what `draws.Draws` gives; labels, and γ/(p d b), both (blocks, B)."""

    normals: np.ndarray
    radii: np.ndarray
    labels: np.ndarray
    rates: np.ndarray


class Room(NamedTuple):
    """What blocks move and work in: memory that is asked for anew at every call costs too much.

    Students W/√d (p, D) and second layer (p,); samples X (B, D), steps C (B, p) and, if a is
    trained, a after each sample, `past` (B, p); K (B, B), pre-activations `fields` (B, p), scales.
    """

    students: np.ndarray
    a: np.ndarray
    X: np.ndarray
    C: np.ndarray
    past: np.ndarray
    K: np.ndarray
    fields: np.ndarray
    scales: Scales


class Rules(NamedTuple):
    """What does not change in a run.

    Number k of targets, whose coordinates come first if projected; samples b of a step, of which B
    is a multiple; η/(p d b); the code of σ; what students are multiplied by; and machine code for
    a σ that has none.
    """

    k: int
    batch: int
    second: float
    projected: bool
    code: int
    multiples: Multiples
    sigma: Any = None


#: Samples between which the recursion is done one by one; those before come as a product.
_NEAR = 16


@compiled()
def place(normals: np.ndarray, radii: np.ndarray, X: np.ndarray, projected: bool) -> None:
    """Write a block of samples, √d x ~ N(0, I_d), into X (B, D).

    `normals` and `radii` are as `draws.Draws` gives them.

    Projected, the first n = D − B coordinates span all weights, and of the d − n others only
    the Gram matrix of the block matters: a Wishart matrix, by its Bartlett factor (lower
    triangular, chi on the diagonal, in `radii`, normal below).
    """
    B, D = X.shape
    if not projected:
        for v in range(B):
            for a in range(D):
                X[v, a] = normals[v * D + a]
        return
    n, used = D - B, (D - B) * B
    for v in range(B):
        for a in range(n):
            X[v, a] = normals[v * n + a]
        for a in range(v):
            X[v, n + a] = normals[used + a]
        used += v
        X[v, n + v] = radii[v]
        for a in range(n + v + 1, D):
            X[v, a] = 0.0


@compiled(FAST, inner=True)
def add_products(row: np.ndarray, C: np.ndarray, out: np.ndarray, first: int, stop: int) -> None:
    """Out += Σ_{first ≤ μ < stop} K_νμ c^μ, given the row K_ν."""
    for u in range(first, stop):
        product = row[u]
        for i in range(out.size):
            out[i] += product * C[u, i]


@compiled()
def train(
    a: np.ndarray,
    values: np.ndarray,
    push: np.ndarray,
    step: float,
    ends_batch: bool,
    out: np.ndarray,
) -> None:
    """Collect step · σ(λ) in `push`; at the end of a batch move the second layer a by it.

    In any case a is written to `out`: by a loop, for assigning arrays takes seconds to compile.
    """
    for i in range(a.size):
        push[i] += step * values[i]
        if ends_batch:
            a[i] += push[i]
            push[i] = 0.0
        out[i] = a[i]


@compiled()
def absorb(room: Room, rules: Rules) -> None:
    """End a block: add Cᵀ X to the students and, if projected, return to p + k coordinates."""
    add_transposed_product(room.C, room.X, room.students)
    to_weights(room.students, room.scales, rules.multiples)
    if rules.projected:
        to_lower_triangle(room.students, rules.k)


@compiled()
def advance(samples: Samples, room: Room, rules: Rules, absorb_last: bool) -> tuple[int, int]:
    """Run through one block for each row of the samples; the last one, and its number of steps.

    Students and second layer are moved, and X, C and `past` left as of the last block, which ends
    with `absorb` only if asked for.  A run that blows up ends inside a block, with fewer than B
    steps, none of them absorbed.
    """
    students, a, X, C = room.students, room.a, room.X, room.C
    K, fields, batch = room.K, room.fields, rules.batch
    B, p = len(X), len(students)
    own, push = np.empty(p), np.zeros(p)
    near = batch * max(1, _NEAR // batch)
    scaled, fixed = rules.multiples.rates.size > 0, rules.multiples.norms.size > 0
    for block in range(len(samples.normals)):
        place(samples.normals[block], samples.radii[block], X, rules.projected)
        if batch < B or fixed:
            scalar_products(X, X, K)
        scalar_products(X, students, fields)
        if scaled:
            begin(room.scales, rules.multiples.norms)
        for start in range(0, B, near):
            stop = min(start + near, B)
            if start > 0:
                add_product(K[start:stop, :start], C[:start], fields[start:stop])
            for v in range(start, stop):
                seen = fields[v]
                add_products(K[v], C, seen, start, v - v % batch)
                if scaled:
                    to_fields(room.scales, fields[v])
                    seen = room.scales.fields
                respond_by(rules.sigma, rules.code, seen, own, C[v])
                error = samples.labels[block, v] - scalar_product(a, own) / p
                step = samples.rates[block, v] * error
                if not isfinite(step):
                    return block, v
                for i in range(p):
                    C[v, i] *= step * a[i]
                if scaled:
                    size = samples.rates[block, v]
                    to_steps(v, size, batch, C, K, fields[v], rules.multiples, room.scales)
                if rules.second > 0.0:
                    ends = (v + 1) % batch == 0
                    train(a, own, push, rules.second * error, ends, room.past[v])
        if absorb_last or block < len(samples.normals) - 1:
            absorb(room, rules)
    return len(samples.normals) - 1, B


@compiled()
def advance_batches(
    samples: Samples, room: Room, rules: Rules, absorb_last: bool
) -> tuple[int, int]:
    """As `advance` where a block is one batch; `sgd.batches` says how, and does the same in NumPy.

    The last batch is always added to the weights, of p further coordinates.
    """
    students, a, batch = room.students, room.a, rules.batch
    p, D = students.shape
    n, gram = p + rules.k, D - p - rules.k
    inside, fields = np.empty((batch, n)), np.empty((batch, p))
    values, slopes = np.empty(p), np.empty(p)
    C, moved, push = np.empty((p, batch)), np.empty((p, n)), np.zeros(p)
    rates, decay = rules.multiples.rates, rules.multiples.decay
    for block in range(len(samples.normals)):
        drawn, radii = samples.normals[block], samples.radii[block]
        for v in range(batch):
            for c in range(n):
                inside[v, c] = drawn[v * n + c]
        scalar_products(inside, students[:, :n], fields)
        for v in range(batch):
            respond(rules.code, fields[v], values, slopes)
            error = samples.labels[block, v] - scalar_product(a, values) / p
            step = samples.rates[block, v] * error
            if not isfinite(step):
                return block, v
            for i in range(p):
                C[i, v] = step * a[i] * slopes[i]
                push[i] += rules.second * error * values[i]
        for i in range(rates.size):
            for v in range(batch):
                C[i, v] *= rates[i]
            for c in range(n):
                students[i, c] *= 1.0 - samples.rates[block, 0] * decay * rates[i]
        moved[:] = 0.0
        add_product(C, inside, moved)
        to_lower_triangle(C, 0)
        for i in range(p):
            for c in range(n):
                students[i, c] += moved[i, c]
            for c in range(gram):
                total = C[i, c] * radii[c] if c <= i else 0.0
                for r in range(c + 1, i + 1):
                    total += C[i, r] * drawn[batch * n + r * (r - 1) // 2 + c]
                students[i, n + c] = total
            a[i] += push[i]
            push[i] = 0.0
        put_back(students, rules.multiples)
        if absorb_last or block < len(samples.normals) - 1:
            to_lower_triangle(students, rules.k)
    return len(samples.normals) - 1, batch
