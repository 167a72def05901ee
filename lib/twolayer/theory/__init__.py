"""What follows from the flow: fluctuations, the last plateau, and how SGD leaves the first.

Builds on the flow.  (The regimes are `twolayer.regimes`.)
"""

from twolayer.theory import escape, exit_runs, exits, last_plateau
from twolayer.theory.gronwall import growth_exponent
from twolayer.theory.linear_noise import Fluctuations, fluctuations

__all__ = [
    "Fluctuations",
    "escape",
    "exit_runs",
    "exits",
    "fluctuations",
    "growth_exponent",
    "last_plateau",
]
