r"""Samples and weights under inputs with a spectrum, eigenspace by eigenspace.

A sample has the coordinates √s_g z with z normal; all else, pre-activations, K = X Xᵀ and the end
of a block, sees X alone and is as for isotropic inputs.  An eigenspace is held in one of two ways:

- whole, in its d_g coordinates;
- turned: its weights span n = p + k dimensions at most, in which they are lower triangular, the
  targets first.  Of the d_g − n others a block draws only the Gram matrix of its B samples, a
  Wishart matrix by its Bartlett factor, in B further columns; after the block a rotation brings
  the students back to n.

"direct" holds all of them whole, "projected" those that are small: d_g < n + B.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import numpy as np

from twolayer.problem.matrices import factor
from twolayer.problem.overlaps import Weights
from twolayer.problem.spectral_overlaps import SpectralOverlaps
from twolayer.problem.spectrum import Spectrum
from twolayer.sgd.draws import Draws
from twolayer.sgd.method import BLOCKS, CHUNK, WIDE, choose, cost, rotation, whole_batches
from twolayer.support.checks import InvalidInput


@dataclass(frozen=True, eq=False)
class Groups:
    """How the weights of one simulation are held.

    Attributes
    ----------
    spectrum : Spectrum
    n : int
        Dimensions p + k that the weights span at most in an eigenspace.
    block : int
        Samples B of a block.
    turned : tuple of bool
        Which eigenspaces are not held whole.
    """

    spectrum: Spectrum
    n: int
    block: int
    turned: tuple[bool, ...]

    @cached_property
    def widths(self) -> list[int]:
        """Columns of each eigenspace."""
        sizes = zip(self.spectrum.dimensions.tolist(), self.turned, strict=True)
        return [self.n + self.block if turned else size for size, turned in sizes]

    @cached_property
    def columns(self) -> list[slice]:
        """Where they are."""
        ends = np.cumsum([0, *self.widths]).tolist()
        return [slice(start, stop) for start, stop in pairwise(ends)]

    @cached_property
    def turning(self) -> np.ndarray:
        """The first column and the end of each eigenspace that is turned, (N, 2)."""
        each = zip(self.columns, self.turned, strict=True)
        ends = [(here.start, here.stop) for here, turns in each if turns]
        return np.array(ends, dtype=np.int64).reshape(-1, 2)

    @property
    def known_by(self) -> list[list[float]]:
        """What a checkpoint must agree with."""
        s = self.spectrum
        return [s.eigenvalues.tolist(), s.dimensions.tolist(), list(map(float, self.turned))]

    @property
    def projected(self) -> bool:
        """Whether any is turned."""
        return any(self.turned)

    def coordinates(self, start: Weights | SpectralOverlaps) -> tuple[np.ndarray, np.ndarray]:
        """Students and targets over √d, (p, D) and (k, D)."""
        p, k = start.p, start.k
        held = np.zeros((p + k, sum(self.widths)))
        for g, rows in enumerate(_rows(start, self.spectrum)):
            if self.turned[g]:
                targets_first = np.roll(rows, k, axis=0)
                rows = np.roll(np.linalg.qr(targets_first.T, mode="r").T, -k, axis=0)
            held[:, self.columns[g]][:, : rows.shape[1]] = rows
        return held[:p].copy(), held[p:].copy()

    def blocks_of(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Scalar products of rows and others in each eigenspace, (G, m, n)."""
        return np.array([rows[:, here] @ others[:, here].T for here in self.columns])

    def turn_back(self, students: np.ndarray, k: int) -> None:
        """Bring the students back to n columns wherever they are turned, in place."""
        from twolayer.kernels.groups import turn_columns  # starts numba
        from twolayer.sgd.batches import turn_back

        if len(students) < WIDE:
            turn_columns(students, self.turning, k)
            return
        for start, stop in self.turning:  # LAPACK is faster
            turn_back(students[:, start:stop], k)

    def inside(
        self, students: np.ndarray, targets: np.ndarray, X: np.ndarray, C: np.ndarray, batch: int
    ) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
        """Q and M in each eigenspace after so many samples of a block, asked for in their order.

        The samples are added to the weights always in the same chunks, so that the bits do not
        depend on what else is asked.
        """
        chunk, start, moved = batch * max(1, CHUNK // batch), 0, students.copy()

        def after(stop: int) -> tuple[np.ndarray, np.ndarray]:
            nonlocal start, moved
            with np.errstate(all="ignore"):
                while start + chunk < stop:
                    moved += C[start : start + chunk].T @ X[start : start + chunk]
                    start += chunk
                now = moved + C[start:stop].T @ X[start:stop]
                return self.blocks_of(now, now), self.blocks_of(now, targets)

        return after


class GroupDraws(Draws):
    """The streams of one run, its samples in the columns of `Groups`, times √s_g.

    Where all eigenspaces are whole, the normals are those of isotropic samples.
    """

    def __init__(self, groups: Groups, seed: int, number: int, stage: int = 0) -> None:
        super().__init__(seed, number, groups.block, 0, 0, stage=stage)
        B, n = groups.block, groups.n
        held = list(zip(groups.spectrum.dimensions.tolist(), groups.turned, strict=True))
        drawn = [B * n + B * (B - 1) // 2 if turned else B * size for size, turned in held]
        free = [size - n - np.arange(B, dtype=float) for size, turned in held if turned]
        self._freedom = np.concatenate([np.empty(0), *free])
        self._groups, self._drawn = groups, sum(drawn) + B
        self._room = np.empty((0, self._drawn + self._drawn % 2))
        self._roots = np.sqrt(groups.spectrum.eigenvalues)
        self.size = B * sum(groups.widths) + B

    @cached_property
    def _scale(self) -> np.ndarray:
        """√s_g in all coordinates of a block."""
        return np.tile(np.repeat(self._roots, self._groups.widths), self._groups.block)

    def blocks(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Samples and label noise (count, B D + B) of the next blocks, and no chi variables."""
        normals, radii = super().blocks(count)
        groups, B, none = self._groups, self._groups.block, np.empty((count, 0))
        if not groups.projected:
            normals[:, :-B] *= self._scale
            return normals, none
        from twolayer.kernels.groups import place_groups  # starts numba

        out = np.empty((count, self.size))
        kinds = np.array(groups.widths), np.array(groups.turned), self._roots
        place_groups(normals, radii, *kinds, groups.n, B, out)
        out[:, -B:] = normals[:, self._drawn - B : self._drawn]
        return out, none


def loop_of(
    groups: Groups, loop: Callable[..., tuple[int, int]], compiled: bool
) -> Callable[..., tuple[int, int]]:
    """The loop through many blocks, given that through each for whole eigenspaces."""
    if not compiled:
        return partial(_advance, loop, groups)
    from twolayer.kernels.groups import advance_groups  # starts numba

    return lambda samples, room, rules, last: advance_groups(
        samples, room, rules, groups.turning, last
    )


def _advance(
    loop: Callable[..., tuple[int, int]],
    groups: Groups,
    samples: Any,
    room: Any,
    rules: Any,
    absorb_last: bool,
) -> tuple[int, int]:
    """As `kernels.groups.advance_groups`, by another loop for the blocks."""
    last = len(samples.normals) - 1
    for block in range(last + 1):
        one = samples._replace(
            **{name: rows[block : block + 1] for name, rows in samples._asdict().items()}
        )
        absorbs = absorb_last or block < last
        done = loop(one, room, rules, absorbs)[1]
        if done < groups.block:
            return block, done
        if absorbs:
            groups.turn_back(room.students, rules.k)
    return last, groups.block


def hold(method: str, p: int, k: int, spectrum: Spectrum, batch: int) -> tuple[Groups, str]:
    """How to hold the weights, by the method asked for or the cheaper one, and why.

    Examples
    --------
    >>> small, large = Spectrum([1.8, 0.2], [9, 9]), Spectrum.spiked(10**6, strength=9, spikes=9)
    >>> [hold("auto", 2, 1, s, batch=1)[0].turned for s in (small, large)]
    [(False, False), (False, True)]
    """
    n, room = p + k, int(spectrum.dimensions.max()) - p - k
    whole = (False,) * len(spectrum)
    direct = Groups(spectrum, n, choose("direct", p, k, spectrum.d, batch)[1], whole)
    if method == "direct":
        return direct, "as asked"
    least = max(8, batch)
    if room < least:
        why = f"the largest eigenspace has less than p + k + {least} = {n + least} dimensions"
        if method == "projected":
            raise InvalidInput("method", "'projected'", f"'direct' where {why}")
        return direct, why
    sizes = {min(whole_batches(B, batch), room // batch * batch) for B in BLOCKS}
    ways = [
        Groups(spectrum, n, B, tuple((spectrum.dimensions >= n + B).tolist()))
        for B in sorted(sizes)
    ]
    best = min(ways, key=lambda way: step_cost(way, p, k))
    if method == "projected":
        return best, "as asked"
    costs = step_cost(direct, p, k), step_cost(best, p, k)
    why = f"estimated {costs[0]:.2g} µs a step direct, {costs[1]:.2g} µs projected"
    return (direct if costs[0] <= costs[1] else best), why


def step_cost(groups: Groups, p: int, k: int) -> float:
    """Microseconds a step, roughly: as direct in so many columns, and the rotations."""
    turns = sum(groups.turned) * rotation(p, groups.block, groups.block)
    return cost(p, k, sum(groups.widths), groups.block) + turns


def _rows(start: Weights | SpectralOverlaps, spectrum: Spectrum) -> Iterator[np.ndarray]:
    """All weights over √d in each eigenspace, students first, in some coordinates of it."""
    if isinstance(start, Weights):
        rows = np.concatenate((start.W, start.W_star)) / np.sqrt(start.d)
        return (rows[:, here] for here in spectrum.columns())
    sizes = spectrum.dimensions.tolist()
    return (factor(Omega, size) for Omega, size in zip(start.blocks, sizes, strict=True))
