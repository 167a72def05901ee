"""What a step of SGD does to the students beside the gradient: it shrinks, holds or paces them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from twolayer.support.arrays import Array
from twolayer.support.checks import (
    InvalidInput,
    check_array,
    check_choice,
    check_layer_rate,
    shown,
)

#: Whether the norms of the students are put back after each step.
Norm = Literal["free", "fixed"]
NORMS: tuple[str, ...] = get_args(Norm)
#: Multiples of γ beyond this are taken for a mistake.
_FASTEST = 1e9


@dataclass(frozen=True, eq=False)
class UpdateRule:
    """w_i ← (1 − ρ_i γλ/(p d)) w_i + ρ_i (step of SGD); then, if `fixed`, ‖w_i‖ is put back.

    Attributes
    ----------
    decay : float
        λ.
    fixed : bool
    rates : array, shape (p,)
        ρ, multiples of γ.
    """

    decay: float
    fixed: bool
    rates: Array

    @classmethod
    def of(cls, weight_decay: Any, norm: Any, neuron_rates: ArrayLike | None, p: int) -> UpdateRule:
        """The rule of p students that was asked for; `InvalidInput` if it cannot be used.

        Examples
        --------
        >>> UpdateRule.of(0.0, "free", [1, 1], p=2).plain
        True
        """
        decay = check_layer_rate("weight_decay", weight_decay)
        fixed = check_choice("norm", norm, NORMS) == "fixed"
        given = np.ones(p) if neuron_rates is None else neuron_rates
        rates = check_array("neuron_rates", given, (p,))
        if rates.min() < 0 or rates.max() > _FASTEST:
            allowed = f"multiples of γ >= 0, at most {_FASTEST:.0e}"
            raise InvalidInput("neuron_rates", shown(rates.tolist()), allowed)
        return cls(decay, fixed, rates)

    @property
    def plain(self) -> bool:
        """Whether a step is the gradient's and nothing else."""
        return not (self.decay or self.fixed or (self.rates != 1).any())

    def check_plain(self, wanted: str) -> None:
        """Refuse a rule that is not plain where only the gradient's step is known."""
        for name, value in self.named.items():
            if value not in (0.0, "free", None):
                raise InvalidInput(name, shown(value), f"left out, but for {wanted}")

    def check_norms(self, squares: Array) -> None:
        """Refuse to hold the norm of a student that has none; `squares` are Q_ii."""
        if self.fixed and squares.min() < np.finfo(float).tiny:
            i = int(squares.argmin())
            raise InvalidInput("norm", f"'fixed', and student {i} is zero", "'free'")

    @property
    def named(self) -> dict[str, Any]:
        """The rule as arguments, for the parameters of a result."""
        rates = self.rates.tolist() if (self.rates != 1).any() else None
        norm = "fixed" if self.fixed else "free"
        return {"weight_decay": self.decay, "norm": norm, "neuron_rates": rates}
