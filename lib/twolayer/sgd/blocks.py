"""The simulator's inner loop in NumPy, for activations that the kernels do not know.

The same recursion as `kernels.sgd.advance`, with σ and σ′ called once a sample on all students.
Every run begins with it.  Machine code, where numba can make it (`activations.machine_code`),
takes over at a sample that does not depend on where the run ends, who else runs, or where: its
rounding is another, and a run's bits may depend on none of these.
"""

from __future__ import annotations

import numpy as np

from twolayer.activations.activation import Activation
from twolayer.kernels import sgd as kernels
from twolayer.kernels.scales import begin, to_steps

#: Samples of each run that are NumPy's, a matter of a second: machine code takes about as long.
BY_NUMPY = 10_000


def advance(
    activation: Activation,
    samples: kernels.Samples,
    room: kernels.Room,
    rules: kernels.Rules,
    absorb_last: bool,
) -> tuple[int, int]:
    """As `kernels.sgd.advance`."""
    students, a, X, C, past, K, fields, scales = room
    multiples, scaled = rules.multiples, rules.multiples.rates.size > 0
    B, push = len(X), np.zeros(len(a))
    for block in range(len(samples.normals)):
        kernels.place(samples.normals[block], samples.radii[block], X, rules.projected)
        np.matmul(X, X.T, out=K)
        np.matmul(X, students.T, out=fields)
        if scaled:
            begin(scales, multiples.norms)
        for v in range(B):
            before = v - v % rules.batch
            field = fields[v]
            field += K[v, :before] @ C[:before]
            seen = scales.now * field if scaled else field
            values = activation.sigma(seen)
            error = samples.labels[block, v] - a @ values / a.size
            step = samples.rates[block, v] * error
            if not np.isfinite(step):
                return block, v
            np.multiply(step * a, activation.derivative(seen), out=C[v])
            if scaled:
                size = samples.rates[block, v]
                to_steps(v, size, rules.batch, C, K, field, multiples, scales)
            if rules.second > 0.0:
                ends = (v + 1) % rules.batch == 0
                kernels.train(a, values, push, rules.second * error, ends, past[v])
        if absorb_last or block < len(samples.normals) - 1:
            kernels.absorb(room, rules)
    return len(samples.normals) - 1, B
