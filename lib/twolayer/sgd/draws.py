r"""Random numbers of a run, block by block, in an order that nothing else can change.

Two streams, one of normals and one of chi variables, are each read in the order of the blocks;
how many blocks are drawn at once makes no difference.  The normals are NumPy's uniform numbers,
turned by `kernels.normals`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


class Draws:
    """The streams of one run.

    Parameters
    ----------
    seed, number : int
        The run's stream depends on these alone.
    block : int
        Samples B in a block.
    coordinates : int
        Coordinates of a sample that are drawn: d, or n = p + k if projected.
    freedom : int
        Dimensions d − n outside the span of all weights if projected; 0 if not.
    gram : int, optional
        Rows of the triangular factor of what is drawn of these dimensions: B by default, or fewer.
    stage : int
        How many results it goes on from, whose samples were others.

    Examples
    --------
    >>> one, other = Draws(0, 0, 4, 3, 90), Draws(0, 0, 4, 3, 90)
    >>> whole, parts = one.blocks(3)[0], [other.blocks(1)[0].copy() for _ in range(3)]
    >>> bool((whole == np.concatenate(parts)).all())
    True
    """

    def __init__(
        self,
        seed: int,
        number: int,
        block: int,
        coordinates: int,
        freedom: int,
        gram: int | None = None,
        stage: int = 0,
    ) -> None:
        # The two streams of a run that goes on from no result are (number, 0) and (number, 1).
        key = (number, 1 + stage) if stage else (number,)
        streams = np.random.SeedSequence(seed, spawn_key=key).spawn(2)
        self._normals, self._radii = (
            np.random.Generator(np.random.SFC64(stream)) for stream in streams
        )
        rows = (block if gram is None else gram) if freedom else 0
        below = rows * (rows - 1) // 2
        #: Normals of a block: the samples in coordinates, Bartlett's factor, the label noise.
        self.size = block * coordinates + below + block
        self._freedom = freedom - np.arange(rows, dtype=float)
        # Normals are made in pairs.
        self._room = np.empty((0, self.size + self.size % 2))

    def blocks(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Normals (count, size) and, if projected, chi variables (count, gram) of the next blocks.

        The normals are good until the next call, which writes over them.
        """
        from twolayer.kernels.normals import to_normals  # starts numba

        if len(self._room) < count:
            self._room = np.empty((count, self._room.shape[1]))
        normals = self._normals.random(out=self._room[:count])
        to_normals(normals)
        radii = self._radii.chisquare(self._freedom, (count, self._freedom.size))
        return normals[:, : self.size], np.sqrt(radii, out=radii)

    @property
    def state(self) -> dict[str, Any]:
        """Where both streams stand."""
        return {
            "normals": self._normals.bit_generator.state,
            "radii": self._radii.bit_generator.state,
        }

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        self._normals.bit_generator.state = state["normals"]
        self._radii.bit_generator.state = state["radii"]
