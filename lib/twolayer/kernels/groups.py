"""Samples and rotations of the simulator eigenspace by eigenspace; see `sgd.groups`."""

from __future__ import annotations

import numpy as np

from twolayer.kernels.compiler import compiled
from twolayer.kernels.sgd import Room, Rules, Samples, advance, to_lower_triangle


@compiled()
def place_groups(
    normals: np.ndarray,
    radii: np.ndarray,
    widths: np.ndarray,
    turned: np.ndarray,
    roots: np.ndarray,
    n: int,
    B: int,
    out: np.ndarray,
) -> None:
    """Write blocks of samples times √s_g, in `roots`, into the rows of `out` (blocks, B D + ...).

    Of each eigenspace in turn `normals` has the coordinates of B samples, n if it is turned, and
    then what is below the diagonal of Bartlett's factor, whose diagonals are in `radii`.
    """
    D = widths.sum()
    for block in range(len(normals)):
        used, met, first = 0, 0, 0
        for g in range(widths.size):
            drawn = n if turned[g] else widths[g]
            for v in range(B):
                row = v * D + first
                for a in range(drawn):
                    out[block, row + a] = roots[g] * normals[block, used + a]
                used += drawn
            if turned[g]:
                for v in range(B):
                    row = v * D + first + n
                    for a in range(v):
                        out[block, row + a] = roots[g] * normals[block, used + a]
                    used += v
                    out[block, row + v] = roots[g] * radii[block, met + v]
                    for a in range(v + 1, B):
                        out[block, row + a] = 0.0
                met += B
            first += widths[g]


@compiled()
def turn_columns(students: np.ndarray, columns: np.ndarray, k: int) -> None:
    """`to_lower_triangle` in each of some ranges (N, 2) of columns."""
    for g in range(len(columns)):
        to_lower_triangle(students[:, columns[g, 0] : columns[g, 1]], k)


@compiled()
def advance_groups(
    samples: Samples, room: Room, rules: Rules, columns: np.ndarray, absorb_last: bool
) -> tuple[int, int]:
    """As `advance`, with `turn_columns` after every block that is absorbed."""
    last = len(samples.normals) - 1
    for block in range(last + 1):
        one = Samples(
            samples.normals[block : block + 1],
            samples.radii[block : block + 1],
            samples.labels[block : block + 1],
            samples.rates[block : block + 1],
        )
        absorbs = absorb_last or block < last
        done = advance(one, room, rules, absorbs)[1]
        if done < len(room.X):
            return block, done
        if absorbs:
            turn_columns(room.students, columns, rules.k)
    return last, len(room.X)
