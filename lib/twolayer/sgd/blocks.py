"""The simulator's inner loop in NumPy, for activations that the kernels do not know.

The same recursion as `kernels.sgd.advance`, with σ and σ′ called once a sample on all students.
"""

from __future__ import annotations

import numpy as np

from twolayer.activations.known import Activation
from twolayer.kernels import sgd as kernels


def advance(
    activation: Activation,
    normals: np.ndarray,
    radii: np.ndarray,
    labels: np.ndarray,
    rates: np.ndarray,
    students: np.ndarray,
    a: np.ndarray,
    X: np.ndarray,
    C: np.ndarray,
    past: np.ndarray,
    K: np.ndarray,
    fields: np.ndarray,
    k: int,
    batch: int,
    second: float,
    projected: bool,
    absorb_last: bool,
) -> tuple[int, int]:
    """Run through one block for each row of `normals`; as `kernels.sgd.advance`."""
    B, push = len(X), np.zeros(len(a))
    for block in range(len(normals)):
        kernels.place(normals[block], radii[block], X, projected)
        np.matmul(X, X.T, out=K)
        np.matmul(X, students.T, out=fields)
        for v in range(B):
            before = v - v % batch
            field = fields[v] + K[v, :before] @ C[:before]
            values = activation.sigma(field)
            error = labels[block, v] - a @ values / a.size
            step = rates[block] * error
            if not np.isfinite(step):
                return block, v
            np.multiply(step * a, activation.derivative(field), out=C[v])
            if second > 0.0:
                kernels.train(a, values, push, second * error, (v + 1) % batch == 0, past[v])
        if absorb_last or block < len(normals) - 1:
            kernels.absorb(students, X, C, k, projected)
    return len(normals) - 1, B
