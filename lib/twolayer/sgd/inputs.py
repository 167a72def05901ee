"""Samples of one's own in place of Gaussian ones: an array, or a function that draws them.

They are streamed, and each is used once.  A run asks for them in chunks that are always the same,
so that what a function draws depends on (seed, run) alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from twolayer.sgd.draws import Draws
from twolayer.support.checks import InvalidInput, check_array, shown

#: Draws so many samples (n, d), given a generator and n.
Draw = Callable[[np.random.Generator, int], ArrayLike]
#: Samples that a function is asked for at once.
CHUNK = 1024
#: ‖x‖² is 1 in the mean, but who has a few samples cannot know it that well.
_NORM = 2.0


@dataclass(frozen=True, eq=False)
class Inputs:
    """Where the samples of the runs come from.

    Attributes
    ----------
    source : array (N, d) or callable
        Of an array run r has the r-th of as many equal parts as there are runs.
    runs : int
    """

    source: np.ndarray | Draw
    runs: int

    @classmethod
    def of(cls, inputs: ArrayLike | Draw | None, d: int | None, runs: int, seed: int) -> Any:
        """What `simulate` was given, checked; None of None.

        Raises `InvalidInput` if they are not samples x in d dimensions of mean ‖x‖² about 1.
        """
        if inputs is None:
            return None
        if callable(inputs):
            made = cls(inputs, runs)
            seen = made.chunk(seed, 0, 0, 0, d)
        else:
            seen = check_array("inputs", inputs, (None, d))
            made = cls(seen, runs)
        mean = float(np.einsum("na,na->", seen, seen)) / len(seen)
        if not 1 / _NORM < mean < _NORM:
            remedy = f": divide by {math.sqrt(mean):.6g}" if mean > 0 else ""
            raise InvalidInput(
                "inputs", f"a mean ‖x‖² of {mean:.6g}", f"samples of about 1{remedy}"
            )
        return made

    @property
    def drawn(self) -> bool:
        """Whether a function draws them."""
        return callable(self.source)

    @property
    def name(self) -> str:
        """What a result calls them."""
        if not self.drawn:
            return f"array {self.source.shape}"
        return str(getattr(self.source, "__name__", type(self.source).__name__))

    @property
    def known(self) -> np.ndarray:
        """What a checkpoint knows them by: samples."""
        return self.chunk(0, 0, 0, 0, None) if self.drawn else self.source

    def check_enough(self, samples: int) -> None:
        """Refuse fewer than each run will use."""
        if not self.drawn and len(self.source) // self.runs < samples:
            wanted = (
                f"{self.runs} x {samples} = {self.runs * samples}" if self.runs > 1 else samples
            )
            allowed = f"at least {wanted}, each sample being used once"
            raise InvalidInput("inputs", f"{len(self.source)} samples", allowed)

    def of_run(self, number: int) -> Inputs:
        """Those of one run, to be sent to where it is run."""
        if self.drawn:
            return self
        share = len(self.source) // self.runs
        return replace(self, source=self.source[number * share : (number + 1) * share])

    def chunk(self, seed: int, number: int, stage: int, index: int, d: int | None) -> np.ndarray:
        """The samples of a chunk that a function draws, (CHUNK, d)."""
        rng = np.random.default_rng(
            np.random.SeedSequence(seed, spawn_key=(number, stage, 2, index))
        )
        try:
            drawn = self.source(rng, CHUNK)
        except TypeError as error:
            allowed = "a function of (rng, n) that draws n samples"
            raise InvalidInput("inputs", shown(self.source), f"{allowed} ({error})") from error
        return check_array("inputs(rng, n)", drawn, (CHUNK, d))


class InputDraws(Draws):
    """The stream of one run: its own samples, times √d, and label noise as of Gaussian ones."""

    def __init__(self, inputs: Inputs, block: int, d: int, seed: int, run: int, stage: int) -> None:
        super().__init__(seed, run, block, 0, 0, stage=stage)
        self.size = block * (d + 1)
        self._inputs, self._block, self._d = inputs, block, d
        self._which = seed, run, stage
        self._at, self._chunk = 0, (-1, np.empty((0, d)))

    def blocks(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Samples and label noise (count, B d + B) of the next blocks, and no chi variables."""
        noise, none = super().blocks(count)
        B = self._block
        out = np.empty((count, self.size))
        out[:, -B:] = noise[:, :B]
        out[:, :-B] = self._next(count * B).reshape(count, -1)
        out[:, :-B] *= math.sqrt(self._d)
        return out, none

    def _next(self, count: int) -> np.ndarray:
        """The next samples, (count, d); zeros after the last, which no step sees."""
        rows, done = np.zeros((count, self._d)), 0
        while done < count:
            some = self._held(self._at + done)[: count - done]
            if not len(some):
                break
            rows[done : done + len(some)] = some
            done += len(some)
        self._at += count
        return rows

    def _held(self, at: int) -> np.ndarray:
        """The samples from this one on that are at hand."""
        if not self._inputs.drawn:
            return self._inputs.source[at:]
        index, first = divmod(at, CHUNK)
        if self._chunk[0] != index:
            self._chunk = index, self._inputs.chunk(*self._which, index, self._d)
        return self._chunk[1][first:]

    @property
    def state(self) -> dict[str, Any]:
        """Where the streams stand."""
        return super().state | {"samples": self._at}

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        Draws.state.fset(self, state)
        self._at = int(state["samples"])
