"""The flow of the overlaps: its terms, its Jacobian, and the solver of the ODE.

Builds on the problem, its expectations and the results.
"""

from twolayer.flow.equation import right_hand_side
from twolayer.flow.solver import solve
from twolayer.flow.terms import TERMS, psi_a, psi_GF, psi_M, psi_noise, psi_Var, second_layer_force

__all__ = [
    "TERMS",
    "psi_GF",
    "psi_M",
    "psi_Var",
    "psi_a",
    "psi_noise",
    "right_hand_side",
    "second_layer_force",
    "solve",
]
