r"""The field that mean-field particles move in, in the cheapest form that there is.

Square has a closed form.  Few particles are summed over their pairs (`pairs`), with moments that
are closed for erf and for two lines that meet at zero, such as ReLU, and a series for any smooth
activation; many on the grid below or, for erf, by a series (`erf_series`) on a smaller grid.

Particles are given by α (p, k), their coordinates in an orthonormal basis of the target
span, and q (p,).  The pre-activation of particle i is λ_i = α_i·z + √q_i ξ_i.  Outside the
target span, with d − k = `outside` dimensions, ξ_i = ρ u_i: ρ ~ χ is the norm of the sample
there, shared by all, and u_i a coordinate of a uniform point of the sphere, independent
between particles.  Averaged over u_i, a particle contributes S_i(z, ρ) = E_u σ(λ_i), and
everything is an integral over (z, ρ) of products of such averages: linear in p.  Only the
action of a particle on itself needs E_u[σ' σ], a one-dimensional Gaussian integral.

A particle acts on the others by its charge, its weight times its second layer a, shape (p,), and
moves a times as fast as `drift` says.  A field knows the problem, not the particles' state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, Protocol, get_args

import numpy as np

from twolayer.activations.gauss_rules import fewer, radius_and_angle
from twolayer.mean_field.bent_pairs import BentPairField, bent
from twolayer.mean_field.erf_pairs import ErfPairField
from twolayer.mean_field.erf_series import HermiteField
from twolayer.mean_field.grid import GridField, target_axes
from twolayer.mean_field.mehler_pairs import MehlerPairField
from twolayer.mean_field.pairs import PairField
from twolayer.mean_field.square import SquareField
from twolayer.problem.task import Task
from twolayer.support.arrays import Array
from twolayer.support.checks import InvalidInput

SelfTerm = Literal["exact", "independent", "none"]
SELF_TERMS: tuple[str, ...] = get_args(SelfTerm)

#: A grid beyond this many numbers would not fit in memory, nor be done in time.
_MAX_GRID = 3 * 10**8
_MAX_NODES = 200
#: A grid of more numbers is not taken for the sake of accuracy alone.
_AFFORDABLE = 10**7
#: A field may be off by so many times the tolerance of its task.
FIELD = 100.0
_TINY = 1e-300
#: Pairs at a node in ξ that cost as much as one erf particle at one node in z.
_PAIRS_PER_NODE = {True: 4, False: 35}  # at d = ∞, with one term of the series; at finite d
#: What a value on the grid takes, a pair of two lines at a node in ξ, and a pair in series: ns.
_VALUE, _BENT_PAIR, _SMOOTH_PAIR = 60, 5, 200


class Field(Protocol):
    """What `solve_mean_field` needs."""

    def drift(self, alpha: Array, q: Array, charge: Array) -> tuple[Array, Array]:
        """(dα/dt, dq/dt) over a."""
        ...

    def force(self, alpha: Array, q: Array, charge: Array) -> Array:
        """E[σ(λ) 𝓔], which moves the second layer."""
        ...

    def excess_risk(self, alpha: Array, q: Array, charge: Array) -> float:
        """E_Ξ[R] − Δ/2."""
        ...


def make_field(
    task: Task,
    L: Array,
    p: int,
    outside: float,
    self_term: str,
    nodes: int,
    a_star: Array | None = None,
) -> Field:
    """The field of p particles, in the cheapest form.

    P = L Lᵀ, L (k, k) being the targets in the orthonormal basis; `outside` is d − k, an integer or
    infinite, `self_term` one of `SELF_TERMS`, `nodes` the quadrature nodes a direction.  With more
    shared directions than targets, L (k, K), there is no grid: it is a sum over pairs.
    """
    shared = L.shape[1] > len(L)
    if nodes > _MAX_NODES:
        raise InvalidInput("nodes", str(nodes), f"at most {_MAX_NODES}")
    closed = task.activation.name if task.closed else None
    if closed == "square":
        return SquareField(L, outside, self_term, a_star)
    if closed == "erf":
        few = shared or _pairs_are_cheaper(p, len(L), outside, nodes)
        return (ErfPairField if few else HermiteField)(L, outside, self_term, nodes, a_star)
    points = math.inf if shared else math.prod(x.size for x, _ in target_axes(task, L, nodes))
    on_grid = _VALUE * points * math.prod(x.size for x in radius_and_angle(outside, nodes)[::2])
    near = 0 < outside < math.inf
    if bent(task.activation) and p * _BENT_PAIR * (nodes if near else 2) < on_grid:
        return BentPairField(task, L, outside, self_term, nodes, a_star)
    smooth = not (task.activation.kinks or task.activation.bends)
    if smooth and p * _SMOOTH_PAIR < on_grid:
        return MehlerPairField(task, L, outside, self_term, a_star)
    if shared:
        allowed = "smooth, or two lines that meet at zero, with a spectrum: summed over pairs"
        raise InvalidInput("task", repr(task), allowed)
    if p * points * (nodes if near else 1) > _MAX_GRID:
        allowed = "such that p·nodes^k (nodes^(k+1) at finite d) is below 3e8"
        raise InvalidInput("nodes", f"{nodes} for k = {len(L)}, p = {p}", allowed)
    return GridField(task, L, outside, self_term, nodes, a_star)


def settled(
    field_with: Callable[[int], Field],
    nodes: int,
    states: Sequence[tuple[Array, Array, Array]],
    weight: Array,
    tolerance: float,
) -> tuple[Field, int, float]:
    """The field with as many nodes as it needs in these states (α, q, a), or as are allowed.

    Also the nodes, and the change of the drift, relative to its largest entry, with half as many
    nodes again, or by leaving out a third where there may be no more.
    """
    field = field_with(nodes)
    while True:
        if isinstance(field, SquareField):
            return field, nodes, 0.0
        left_out = 0.0
        if isinstance(field, PairField):
            left_out = max(field.left_out(alpha, q, weight * a) for alpha, q, a in states)
        if isinstance(field, MehlerPairField):  # whatever the nodes
            return field, nodes, left_out
        more = nodes + nodes // 2
        try:
            other = field_with(more)
            if isinstance(other, GridField) and other.size(len(weight)) > _AFFORDABLE:
                raise InvalidInput("nodes", str(more), "fewer")
        except InvalidInput:
            other, more = field_with(max(2, 2 * nodes // 3)), 0
        error = max(_change(field, other, state, weight) for state in states)
        if error <= tolerance or not more:
            return field, nodes, max(error, left_out)
        field, nodes = other, more


def _change(one: Field, other: Field, state: tuple[Array, Array, Array], weight: Array) -> float:
    """By how much the drift differs, relative to what it would be without the other particles."""
    alpha, q, a = state
    both = (one, weight * a), (other, weight * a), (one, 0 * a)
    mine, theirs, alone = (np.column_stack(f.drift(alpha, q, charge)) for f, charge in both)
    return float(np.abs(mine - theirs).max() / max(np.abs(mine).max(), np.abs(alone).max(), _TINY))


def _pairs_are_cheaper(p: int, k: int, outside: float, nodes: int) -> bool:
    """Square roots of all pairs against the series of all particles on the grid."""
    far = outside in (0, math.inf)
    pairs = p * (1 if far else fewer(nodes))
    return pairs < _PAIRS_PER_NODE[far] * nodes**k
