r"""`solve_mean_field`: the overparametrised limit, particles that move in their own field.

In coordinates α = L⁻¹ m of the target span (P = L Lᵀ) a particle's pre-activation is
λ = α·z + √q ξ with z ~ N(0, I_k) shared by all and ξ ~ N(0, 1) its own, and

    dα/dt = E[σ'(λ) z 𝓔],   dq/dt = 2 E[σ'(λ) √q ξ 𝓔],

the displacement 𝓔 being the target minus the weighted sum over all particles.  With a second layer
a both rates are a times as large and, if it is trained, da/dt = (η/γ) E[σ(λ) 𝓔].
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from twolayer.mean_field.field import FIELD, SELF_TERMS, Field, SelfTerm, make_field, settled
from twolayer.mean_field.particles import Particles, cholesky
from twolayer.mean_field.spectral import Frame, Plain, SpectralParticles
from twolayer.problem.matrices import TOLERANCE, second_layer
from twolayer.problem.task import Task, warn_unless_settled, without_rounding
from twolayer.results.divergence import Divergence
from twolayer.results.going_on import later
from twolayer.results.mean_field_trajectory import MeanFieldTrajectory
from twolayer.results.spectral_mean_field import SpectralMeanFieldTrajectory, mean_field_of
from twolayer.support.checks import (
    InvalidInput,
    check_choice,
    check_flag,
    check_instance,
    check_integer,
    check_layer_rate,
    check_positive,
    check_stop,
    check_times_asked,
)
from twolayer.support.integrate import ODE_METHODS, Integrator, for_stiff, integrate, warn_of_cost
from twolayer.support.limits import says_what_it_cannot
from twolayer.support.unknowns import Unknowns
from twolayer.support.versions import provenance


@says_what_it_cannot
def solve_mean_field(
    task: Task,
    particles: Particles | SpectralParticles | MeanFieldTrajectory,
    P: ArrayLike | None = None,
    *,
    d: float | None = None,
    t_eval: ArrayLike,
    a_star: ArrayLike | None = None,
    second_layer_ratio: float = 0.0,
    self_term: SelfTerm = "none",
    nodes: int = 24,
    rtol: float = 1e-8,
    atol: float = 1e-12,
    method: Integrator = "auto",
    stop_at_risk: float | None = None,
    progress: bool = True,
) -> MeanFieldTrajectory:
    """Integrate the mean-field flow of particles from t = 0 (arXiv:2302.05882, section 4).

    Parameters
    ----------
    task : Task
        Activations and label noise.
    particles : Particles, SpectralParticles or MeanFieldTrajectory
        State at t = 0; or a result to go on from, at its last time: `task` and all else may be
        others, and `P`, `d` and `a_star` are those of the result unless they are given.
    P : array_like, shape (k, k), or (G, k, k) with a spectrum
        Overlaps of the targets, positive definite.
    d : int or math.inf
        Dimension of the data; infinite with a spectrum, and left out there.  Finite d averages
        over the directions Ξ of the particles outside the target span (low-dimensional mean
        field); infinity takes them to be orthogonal.  For d = k there is no outside, and all q
        must be zero.
    t_eval : array_like, shape (T,)
        Times >= 0, or from where the result ends, that do not decrease; results are at exactly
        these.

    Other Parameters
    ----------------
    a_star : array_like, shape (k,), optional
        Second layer of the targets; ones by default.
    second_layer_ratio : float
        η/γ >= 0, the learning rate of the second layer over that of the weights; it does not
        move by default.
    self_term : str
        How a particle acts on itself:

        - "none": as one of a continuum, not at all.  This is what a network of finite width
          follows best from some ten neurons on: what one does to itself, the others soon balance;
        - "exact": by Ξ_ii = 1, the equation of the paper, where all other Ξ_ij are drawn anew at
          every instant; for particles that are neurons, until t ≈ p/8;
        - "independent": as "exact", but in dq/dt its own copy is taken to be uncorrelated with
          its part outside the target span, as in the numerics behind figure 5 b of the paper.
    nodes : int
        Quadrature nodes to begin with for each direction of the target span, and two thirds as
        many for the scalar product of two particles.  While half as many again move the drift by
        more than 1e-4 of its size, there will be so many, up to a grid of 10⁷ numbers; beyond
        there is a warning.  Without effect for square, in closed form, and for few particles with
        a smooth activation, whose series takes as many terms as it needs, up to 768, or warns.
    rtol, atol : float
        Tolerances of the integrator.
    method : str
        As for `solve`; "auto" takes DOP853 until early times, else CVODE if it is installed.
        "LSODA", "Radau" and "BDF" make a Jacobian of p (k + 1) columns by differences.
    stop_at_risk : float, optional
        Stop at the first time of `t_eval` at which the population risk R (label noise
        included) is no larger; later times are left out.  Must be above Δ/2.
    progress : bool
        Whether to show a bar, if it takes more than a few seconds.

    Raises
    ------
    InvalidInput
        If an argument cannot be used; before any work.
    Divergence
        If the integrator cannot go on.

    Notes
    -----
    A right-hand side costs O(p k²) for square.  For few particles with erf, ReLU and its like, or a
    smooth activation it is a sum over pairs, O(p² nodes) or O(p² terms).  For many it is linear in
    p: on a grid, O(p nodes^(k+2)), or O(p nodes^(k+1)) at d = ∞; for erf by a series, O(p nodes^k)
    for each of its terms, about twenty at d − k = 3 and one at d = ∞.  Which form it was is in the
    result's provenance, as "field".

    Examples
    --------
    >>> import twolayer as tl
    >>> w = tl.Weights.gaussian(p=100, k=2, d=5, seed=0)
    >>> mf = solve_mean_field(tl.Task("square"), tl.Particles.from_weights(w), w.overlaps().P,
    ...                       d=5, t_eval=[100.0])
    >>> bool(mf.risk[0] < 1e-5)
    True
    """
    check_instance("task", task, Task)
    t_asked, begins = check_times_asked("t_eval", t_eval), 0.0
    if isinstance(particles, MeanFieldTrajectory):
        if not particles.t.size:
            raise InvalidInput("particles", repr(particles), "a result with a time to go on from")
        before, begins = particles, float(particles.t[-1])
        t_asked = later(t_asked, begins)
        P = getattr(before, "P_blocks", before.P) if P is None else P
        d = before.d if d is None else d
        a_star = before.a_star if a_star is None else a_star
        particles = particles_of(before, -1)
    if not isinstance(particles, SpectralParticles):
        check_instance("particles", particles, Particles)
    elif d is None:
        d = math.inf
    for argument, value in (("P", P), ("d", d)):
        if value is None:
            raise InvalidInput(argument, "None", "given with particles that begin")
    t_eval = np.unique(t_asked)
    since = t_eval - begins
    rtol, atol = check_positive("rtol", rtol), check_positive("atol", atol)
    check_choice("method", method, ("auto", *ODE_METHODS))
    nodes = check_integer("nodes", nodes, 2)
    p, k = particles.p, particles.k
    if isinstance(particles, SpectralParticles):
        frame = Frame(particles.spectrum, P, k)
        if d != math.inf:
            raise InvalidInput("d", str(d), "math.inf, or left out, with a spectrum")
    else:
        frame = Plain(cholesky(P))
        if len(frame.L) != k:
            raise InvalidInput("P", f"shape {frame.L.shape}", f"of shape {(k, k)}")
    progress = check_flag("progress", progress)
    if stop_at_risk is not None:
        stop_at_risk = check_stop("stop_at_risk", stop_at_risk, task.noise)
    enough = -np.inf if stop_at_risk is None else stop_at_risk - task.noise / 2
    if not (isinstance(d, float) and d == math.inf):
        d = check_integer("d", d, k)
    q = particles.q
    if d == k:
        if q.max() > TOLERANCE * max(1.0, np.abs(particles.m).max()):
            raise InvalidInput("d", str(d), f"above k = {k}, for some q are not zero")
        q = np.zeros_like(q)  # what rounding has left
    check_choice("self_term", self_term, SELF_TERMS)
    a_star = second_layer("a_star", a_star, k)
    ratio = check_layer_rate("second_layer_ratio", second_layer_ratio)
    weight = particles.weight
    state = Unknowns(*((p, *shape) for shape in frame.shapes), *([(p,)] if ratio else []))

    def field_with(nodes: int) -> Field:
        return make_field(task, frame.L, p, d - k, self_term, nodes, a_star)

    def unpack(y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        alpha, q, *trained = state.unpack(y)
        return alpha, np.maximum(q, 0.0), trained[0] if ratio else particles.a

    def derivative(_: float, y: np.ndarray) -> np.ndarray:
        alpha, q, a = unpack(y)
        seen = frame.seen(alpha, q)
        d_alpha, dq = field.drift(*seen, weight * a)
        force = [ratio * field.force(*seen, weight * a)] if ratio else []
        return state.pack(*frame.moved(a[:, None] * d_alpha, a * dq, q), *force)

    alpha = frame.coordinates(particles.m)
    states: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    risks: list[float] = []  # along the way: Ctrl-C would wait for them at the end

    def reach(some: np.ndarray) -> int | None:
        for n, y in enumerate(some):
            alpha, q, a = unpack(y)
            states.append((alpha, q, a))
            risk = field.excess_risk(*frame.seen(alpha, q), weight * a)
            risks.append(without_rounding(risk, of_targets))
            if risks[-1] <= enough:
                return n
        return None

    start = state.pack(alpha, q, *([particles.a] if ratio else []))
    asked, seen = nodes, [(*frame.seen(alpha, q), particles.a)]
    tolerance = FIELD * task.tolerance
    field, nodes, error = settled(field_with, nodes, seen, weight, tolerance)
    warn_of_cost(derivative, start, since[-1])
    while True:
        of_targets = field.excess_risk(*frame.seen(alpha[:1], q[:1]), np.zeros(1))
        states.clear()
        risks.clear()
        path = integrate(
            derivative,
            start,
            since,
            methods=for_stiff(since[-1]) if method == "auto" else (method,),
            rtol=rtol,
            atol=atol,
            reach=reach,
            foreign=task.own,
            label="mean field",
            progress=progress,
        )
        if path.interrupted or path.failure:
            break
        last = [(*frame.seen(alpha, q), a) for alpha, q, a in states[-1:]]
        finer, more, error = settled(field_with, nodes, seen + last, weight, tolerance)
        if more == nodes:
            break
        field, nodes = finer, more  # not good enough along the way: once more, with more nodes
    n = path.t.size
    shapes = [(n, p, *shape) for shape in frame.shapes]
    trajectory = mean_field_of(
        frame.spectrum,
        t=t_eval[:n],
        M=np.array([frame.overlaps(alpha) for alpha, _, _ in states[:n]]).reshape(shapes[0]),
        q=np.array([q for _, q, _ in states[:n]]).reshape(shapes[1]),
        weight=weight,
        P=frame.P,
        excess_risk=np.array(risks[:n]),
        task=task,
        a=np.array([a for _, _, a in states[:n]]).reshape(n, p),
        a_star=a_star,
        t_asked=t_asked,
        parameters={
            "d": "inf" if d == math.inf else d,
            "second_layer_ratio": ratio,
            "self_term": self_term,
            "nodes": asked,
            "method": method,
            "rtol": rtol,
            "atol": atol,
            "stop_at_risk": stop_at_risk,
            **({"begins": begins} if begins else {}),
        },
        provenance=provenance(
            steps=path.steps,
            stopped_at_risk=path.stopped,
            field=type(field).__name__,
            nodes=nodes,
            quadrature_error=error,
            **path.statistics,
        ),
    )
    if path.failure:
        raise Divergence(path.failure, path.steps, begins + path.reached, trajectory)
    path.warn_if_interrupted()
    warn_unless_settled({"the field": (error, tolerance)})
    return trajectory


def particles_of(result: MeanFieldTrajectory, row: int) -> Particles | SpectralParticles:
    """The particles at one recorded time of a result."""
    rest = {"weight": result.weight, "a": result.a[row]}
    if isinstance(result, SpectralMeanFieldTrajectory):
        blocks = result.M_blocks[row], result.q_blocks[row]
        return SpectralParticles(result.spectrum, *blocks, **rest)
    return Particles(result.M[row], result.q[row], **rest)
