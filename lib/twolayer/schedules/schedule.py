"""What all schedules have in common: a clock, a rate at each of its values, where they jump."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from twolayer.support.checks import InvalidInput, check_choice, check_learning_rate, shown

#: Time t in units of p d/γ steps; steps; samples, of which a step takes a batch.
CLOCKS = ("t", "steps", "samples")


@dataclass(frozen=True)
class Schedule:
    """A learning rate γ > 0 as a function of a clock that begins at 0.

    Attributes
    ----------
    in_ : str
        The clock: "t", "steps" or "samples".
    jumps : tuple of float
        Where, on this clock, γ or its slope jumps; γ is continuous from the right.
    name : str
        In words, as "cosine(2, 0.001, steps=30000)".
    """

    in_: str

    def __call__(self, clock: Any) -> Any:
        """γ at a value of the clock, or at an array of values."""
        raise NotImplementedError

    def area(self, clock: float) -> float:
        """∫ γ from 0 to a value of the clock."""
        raise NotImplementedError

    @property
    def jumps(self) -> tuple[float, ...]:
        """Where γ or its slope jumps."""
        return ()

    @property
    def name(self) -> str:
        """In words."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.name


def of_schedule(rate: Any) -> str:
    """What is added to a number of steps, where a schedule has led to it."""
    return f" of {rate.name}" if isinstance(rate, Schedule) else ""


def check_rate(argument: str, value: Any) -> float:
    """`value` as a learning rate > 0."""
    try:
        return check_learning_rate(value)
    except InvalidInput as error:
        raise InvalidInput(argument, error.got, error.allowed) from None


def check_clock(value: Any) -> str:
    """`value` as the name of a clock."""
    return check_choice("in_", value, CLOCKS)


def check_then(value: Any, in_: str) -> None:
    """Refuse what cannot follow on a clock."""
    if not isinstance(value, Schedule):
        raise InvalidInput("then", shown(value), "a schedule, as schedules.constant(0.1)")
    if value.in_ != in_:
        raise InvalidInput("then", f"{value.name}, in {value.in_}", f"in {in_}, as what it follows")


def number(values: np.ndarray) -> Any:
    """A float for a number, the array itself for an array."""
    return values if values.ndim else float(values)
