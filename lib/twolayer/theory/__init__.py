"""What follows from the flow: fluctuations, plateaus and exits from them, phases and their clocks.

Builds on the flow.  (The regimes are `twolayer.regimes`.)
"""

from twolayer.theory import escape, exit_runs, exits, last_plateau
from twolayer.theory.clocks import LIMITS, ClockFlow, approach, clock_coefficients, clock_flow
from twolayer.theory.gronwall import growth_exponent
from twolayer.theory.linear_noise import Fluctuations, fluctuations
from twolayer.theory.powers import OneStep, count_powers, in_strip, one_step

__all__ = [
    "LIMITS",
    "ClockFlow",
    "Fluctuations",
    "OneStep",
    "approach",
    "clock_coefficients",
    "clock_flow",
    "count_powers",
    "escape",
    "exit_runs",
    "exits",
    "fluctuations",
    "growth_exponent",
    "in_strip",
    "last_plateau",
    "one_step",
]
