"""The simulator: one-pass SGD, exact, at a cost that need not depend on the dimension.

A plan is made of what is asked, runs follow it sample by sample, and what they recorded becomes one
trajectory.  Builds on the problem, the kernels and the results.
"""

from twolayer.sgd.simulator import simulate

__all__ = ["simulate"]
