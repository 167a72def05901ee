"""One solver over a grid of arguments: every cell a call of its own, all of them one dataset.

Builds on the three solvers.
"""

from twolayer.sweeps.sweeper import sweep

__all__ = ["sweep"]
