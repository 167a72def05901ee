"""The right-hand side of the ODE of the overlaps: its terms, put together and compiled."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from twolayer.activations.erf import Erf
from twolayer.activations.square import Square
from twolayer.flow.terms import TERMS, Terms, dimension, drifts
from twolayer.problem.matrices import assemble, second_layer, symmetric
from twolayer.problem.task import Task, coefficients
from twolayer.support.arrays import Array, writable
from twolayer.support.checks import (
    InvalidInput,
    check_array,
    check_choice,
    check_instance,
    check_integer,
    check_non_negative,
    shown,
)
from twolayer.support.threads import HAS_COMPILER

#: Students up to whom a matrix product is not worth a call of BLAS.
_SMALL = 32


def right_hand_side(
    task: Task,
    P: Array,
    learning_rate: float,
    terms: Terms,
    d: int | None = None,
    *,
    a_star: Array | None = None,
    batch: int = 1,
) -> Callable[..., tuple[Array, Array]]:
    """The function (Q, M) → (dQ/dt, dM/dt), for one state or, with leading axes, many.

    Parameters
    ----------
    task : Task
    P : array, shape (k, k)
        Overlaps of the targets, which do not move.
    learning_rate : float
        γ; without effect if `terms` is "gradient-flow".
    terms : str
        "gradient-flow", "gradient-flow+noise" (GF-ODE-NOISE, appendix A) or "full".
    d : int, optional
        With "full": Ψ^Var for samples in d dimensions, at least the rank of P.
    a_star : array, shape (k,), optional
        Second layer of the targets; ones by default.
    batch : int
        Samples a step averages over; they divide Ψ^Var.

    Returns
    -------
    callable
        Called with (Q, M), or (Q, M, a) with the second layer of the students.  It trusts its
        arguments: no validation, so that an integrator may probe states slightly outside the
        range of overlaps.

    Raises
    ------
    InvalidInput
        If `terms` is unknown; if d is given without "full" or with batches, or has no room for
        the targets.

    Examples
    --------
    >>> import numpy as np
    >>> rhs = right_hand_side(Task("square"), np.eye(1), 0.1, "full")
    >>> dQ, dM = rhs(np.eye(1), np.full((1, 1), 0.5))
    >>> dQ.round(6)
    array([[-2.4]])
    """
    learning_rate = check_non_negative("learning_rate", learning_rate)
    flow = flow_at_any_rate(task, P, terms, d, a_star=a_star, batch=batch)

    def rhs(Q: Array, M: Array, a: Array | None = None) -> tuple[Array, Array]:
        return flow(Q, M, np.ones(M.shape[-2]) if a is None else a, learning_rate)

    return rhs


def flow_at_any_rate(
    task: Task,
    P: Array,
    terms: str,
    d: int | None = None,
    *,
    a_star: Array | None = None,
    batch: int = 1,
) -> Callable[[Array, Array, Array, float], tuple[Array, Array]]:
    """The function (Q, M, a, γ) → (dQ/dt, dM/dt); see `right_hand_side`."""
    check_instance("task", task, Task)
    noise_free, label_noise = TERMS[check_choice("terms", terms, TERMS)]
    P = symmetric("P", check_array("P", P, (None, None)))
    d, batch = dimension(terms, P, d), check_integer("batch", batch, 1)
    if d is not None and batch > 1:
        raise InvalidInput("d", shown(d), "None with batches, whose samples have products in d")
    targets, noise, forms = second_layer("a_star", a_star, len(P)), task.noise, task.forms

    compiled = HAS_COMPILER and type(forms) in (Erf, Square)
    if compiled:
        from twolayer.kernels import closed
    fixed, layer = writable(P), writable(targets)

    def flow(Q: Array, M: Array, a: Array, learning_rate: float) -> tuple[Array, Array]:
        p = M.shape[-2]
        rate = learning_rate / batch / p
        if compiled and Q.ndim == 2:
            within = rate * noise if label_noise and d is None else 0.0
            square, state = type(forms) is Square, (writable(Q), writable(M), fixed)
            layers = writable(a), layer
            if p <= _SMALL:
                Omega = None
                dQ, dM = closed.small_flow(square, *state, *layers, within)
            else:  # the product by NumPy's BLAS: beside it the threads of a second one would spin
                Omega, B = closed.prepared(square, *state, *layers)
                dQ, dM = closed.flow_of(square, B @ Omega, state[0], layers[0], within)
        else:
            within, Omega = 0.0, assemble(Q, M, P)
            dM, dQ = drifts(task, Omega, a, targets)
        if label_noise and noise and not within:
            dQ += (rate * noise) * (a[:, None] * a) * forms.gain(Q, d)
        if noise_free:
            Omega = assemble(Q, M, P) if Omega is None else Omega
            variance = forms.variance(Omega, coefficients(a, targets), p, d)
            dQ += rate * (a[:, None] * a) * variance
        return dQ, dM

    return flow
