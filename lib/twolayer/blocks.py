"""The simulator's inner loop in NumPy, for activations that the kernels do not know.

The same recursion as `kernels.sgd.advance`, with σ and σ′ called once a sample on all students.
"""

from __future__ import annotations

import numpy as np

from twolayer.activations import Activation
from twolayer.kernels import sgd as kernels


def advance(
    activation: Activation,
    normals: np.ndarray,
    radii: np.ndarray,
    labels: np.ndarray,
    students: np.ndarray,
    X: np.ndarray,
    C: np.ndarray,
    K: np.ndarray,
    fields: np.ndarray,
    k: int,
    rate: float,
    projected: bool,
    absorb_last: bool,
) -> tuple[int, int]:
    """Run through one block for each row of `normals`; as `kernels.sgd.advance`."""
    B = len(X)
    for block in range(len(normals)):
        kernels.place(normals[block], radii[block], X, projected)
        np.matmul(X, X.T, out=K)
        np.matmul(X, students.T, out=fields)
        for v in range(B):
            field = fields[v] + K[v, :v] @ C[:v]
            step = rate * (labels[block, v] - activation.sigma(field).mean())
            if not np.isfinite(step):
                return block, v
            np.multiply(step, activation.derivative(field), out=C[v])
        if absorb_last or block < len(normals) - 1:
            kernels.absorb(students, X, C, k, projected)
    return len(normals) - 1, B
