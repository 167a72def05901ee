"""What follows from the flow: fluctuations around it, and how SGD leaves a plateau.

Builds on the flow.  (The regimes are `twolayer.regimes`.)
"""

from twolayer.theory import escape, exit_runs, exits
from twolayer.theory.linear_noise import Fluctuations, fluctuations

__all__ = ["Fluctuations", "escape", "exit_runs", "exits", "fluctuations"]
