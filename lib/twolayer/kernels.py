r"""The inner loops of the simulator, compiled by numba where numba is installed.

Everything here runs unchanged, if slowly, as plain Python (in a browser, say).
One block of B fresh samples is written as rows of X in the coordinates in which
the weights are kept, A = W/√d; then, exactly as sample by sample,

    λ^ν = A x^ν + Σ_{μ<ν} K_νμ c^μ,   K = X Xᵀ,
    c^μ_i = γ/(p d) σ'(λ^μ_i) 𝓔^μ,
    A ← A + Cᵀ X  at the end of the block.

Nothing here allocates by the step, and nothing depends on which times are recorded.
"""

from __future__ import annotations

from math import copysign, erf, exp, isfinite, sqrt
from typing import Any

import numpy as np

try:
    from numba import njit
except ImportError:

    def njit(**_: Any) -> Any:
        """Leave functions as they are."""
        return lambda function: function


_ROOT_HALF = sqrt(0.5)
_ROOT_TWO_OVER_PI = sqrt(2 / np.pi)


@njit(cache=True, nogil=True)
def sigma(code: int, x: float) -> float:
    """σ(x) of the activation with this code."""
    if code == 0:
        return erf(x * _ROOT_HALF)
    return x * x


@njit(cache=True, nogil=True)
def derivative(code: int, x: float) -> float:
    """σ'(x) of the activation with this code."""
    if code == 0:
        return _ROOT_TWO_OVER_PI * exp(-0.5 * x * x)
    return 2 * x


@njit(cache=True, nogil=True)
def draw(rng: np.random.Generator, X: np.ndarray, freedom: int) -> None:
    """Fill X (B, D) with a block of samples, √d x ~ N(0, I_d), in the current coordinates.

    With `freedom` = 0 all D = d coordinates are drawn.  Otherwise the first D − B span
    all weights, and of the other d − D + B = `freedom` only the Gram matrix of the
    block matters: a Wishart matrix, by its Bartlett factor (lower triangular, chi on
    the diagonal, normal below).
    """
    B, D = X.shape
    if freedom == 0:
        X[:, :] = rng.standard_normal((B, D))
        return
    n = D - B
    X[:, :n] = rng.standard_normal((B, n))
    below = rng.standard_normal((B * (B - 1)) // 2)
    used = 0
    for v in range(B):
        X[v, n : n + v] = below[used : used + v]
        used += v
        X[v, n + v] = sqrt(rng.chisquare(float(freedom - v)))
        X[v, n + v + 1 :] = 0.0


@njit(cache=True, nogil=True)
def recursion(
    K: np.ndarray,
    fields: np.ndarray,
    target: np.ndarray,
    C: np.ndarray,
    code: int,
    rate: float,
) -> int:
    """Run through one block: λ into `fields` (B, p) and c into C (B, p).

    `fields` holds A x^ν on entry, `target` the noisy labels, `rate` is γ/(p d).
    Returns the number of steps done, fewer than B if the run has blown up.
    """
    B, p = fields.shape
    for v in range(B):
        for u in range(v):
            product = K[v, u]
            for i in range(p):
                fields[v, i] += product * C[u, i]
        output = 0.0
        for i in range(p):
            output += sigma(code, fields[v, i])
        step = rate * (target[v] - output / p)
        if not isfinite(step):
            return v
        for i in range(p):
            C[v, i] = step * derivative(code, fields[v, i])
    return B


@njit(cache=True, nogil=True)
def run_block(
    rng: np.random.Generator,
    targets: np.ndarray,
    students: np.ndarray,
    X: np.ndarray,
    C: np.ndarray,
    code: int,
    rate: float,
    noise_deviation: float,
    freedom: int,
) -> int:
    """Draw a block and run through it; returns the number of steps done.

    `targets` (k, D) and `students` (p, D) are W*/√d and W/√d; X (B, D) and C (B, p) are
    overwritten, the weights are not.
    """
    B, k = len(X), len(targets)
    draw(rng, X, freedom)
    target = noise_deviation * rng.standard_normal(B)
    fields_star = np.dot(X, targets.T)
    for v in range(B):
        for r in range(k):
            target[v] += sigma(code, fields_star[v, r]) / k
    return recursion(np.dot(X, X.T), np.dot(X, students.T), target, C, code, rate)


@njit(cache=True, nogil=True)
def to_lower_triangle(Z: np.ndarray) -> None:
    """Turn the rows of Z (p, m) by one rotation so that Z is lower triangular, in place.

    Householder reflections from the right: Z Zᵀ does not change but for rounding.
    """
    p, m = Z.shape
    for i in range(min(p, m - 1)):
        head = Z[i, i]
        tail = 0.0
        for c in range(i + 1, m):
            tail += Z[i, c] * Z[i, c]
        if tail == 0.0:
            continue
        norm = sqrt(head * head + tail)
        pivot = head + copysign(norm, head)
        scale = 1.0 / (norm * abs(pivot))
        for r in range(i + 1, p):
            along = Z[r, i] * pivot
            for c in range(i + 1, m):
                along += Z[r, c] * Z[i, c]
            along *= scale
            Z[r, i] -= along * pivot
            for c in range(i + 1, m):
                Z[r, c] -= along * Z[i, c]
        Z[i, i] = -copysign(norm, head)
        Z[i, i + 1 :] = 0.0


@njit(cache=True, nogil=True)
def absorb(students: np.ndarray, X: np.ndarray, C: np.ndarray, k: int, freedom: int) -> None:
    """End a block: add Cᵀ X to the students and, if projected, return to p + k coordinates."""
    students += np.dot(C.T, X)
    if freedom > 0:
        to_lower_triangle(students[:, k:])


@njit(cache=True, nogil=True)
def advance(
    rng: np.random.Generator,
    targets: np.ndarray,
    students: np.ndarray,
    X: np.ndarray,
    C: np.ndarray,
    code: int,
    rate: float,
    noise_deviation: float,
    freedom: int,
    blocks: int,
) -> tuple[int, int]:
    """Run through whole blocks; returns how many, and the steps done in the last."""
    for b in range(blocks):
        done = run_block(rng, targets, students, X, C, code, rate, noise_deviation, freedom)
        if done < len(X):
            return b, done
        absorb(students, X, C, len(targets), freedom)
    return blocks, len(X)


# --- erf: pairs of pairs (`erf.variance`), pairs of particles (`pairs`) --------------------


def _arcsine_series(terms: int = 13) -> tuple[float, ...]:
    """Coefficients g_n of (asin(y) − y)/y³ = Σ g_n y^(2n), interpolated on y² ≤ 1/4."""
    series = [1 / 6]
    for n in range(1, 60):  # Taylor: ratio of neighbours ((2n+1)²)/(2(n+1)(2n+3))
        series.append(series[-1] * (2 * n + 1) ** 2 / (2 * (n + 1) * (2 * n + 3)))
    fit = np.polynomial.Chebyshev.interpolate(
        lambda z: np.polynomial.polynomial.polyval(z, series), terms - 1, domain=[0, 0.25]
    )
    return tuple(fit.convert(kind=np.polynomial.Polynomial).coef.tolist())


_ASIN = _arcsine_series()
_QUARTER_TURN = np.pi / 2


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def arcsine(x: float) -> float:
    """asin(x) for |x| ≤ 1 without branches, so that a loop over it becomes vector code.

    Beyond 1/2 by asin(x) = π/2 − 2 asin(√((1 − x)/2)).
    """
    size = abs(x)
    far = size > 0.5
    z = 0.5 - 0.5 * size if far else size * size
    z = max(z, 0.0)
    y = sqrt(z) if far else size
    g = _ASIN[12]
    g = g * z + _ASIN[11]
    g = g * z + _ASIN[10]
    g = g * z + _ASIN[9]
    g = g * z + _ASIN[8]
    g = g * z + _ASIN[7]
    g = g * z + _ASIN[6]
    g = g * z + _ASIN[5]
    g = g * z + _ASIN[4]
    g = g * z + _ASIN[3]
    g = g * z + _ASIN[2]
    g = g * z + _ASIN[1]
    g = g * z + _ASIN[0]
    angle = y + y * z * g
    angle = _QUARTER_TURN - 2.0 * angle if far else angle
    return copysign(angle, x)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def tilted_arcsines(
    states: np.ndarray, c: np.ndarray, first: np.ndarray, second: np.ndarray
) -> np.ndarray:
    """Σ_{m,m'} c_m c_m' asin ρ_mm' for every state and pair (i, j) of students.

    ρ is the correlation matrix of 1 + T, T = Ω − u uᵀ − v vᵀ the covariance under the tilt
    σ'(λ_i) σ'(λ_j); `erf.plain_arcsines` is the same in NumPy.
    """
    S, n, _ = states.shape
    out = np.empty((S, first.size))
    u, v, r = np.empty(n), np.empty(n), np.empty(n)
    for state in range(S):
        Omega = states[state]
        for pair in range(first.size):
            i, j = first[pair], second[pair]
            s_i, cross = 1.0 + Omega[i, i], Omega[i, j]
            scale_u = 1.0 / sqrt(s_i)
            scale_v = 1.0 / sqrt(1.0 + Omega[j, j] - cross * cross / s_i)
            for m in range(n):
                u[m] = Omega[i, m] * scale_u
                v[m] = (Omega[j, m] - cross / s_i * Omega[i, m]) * scale_v
                r[m] = 1.0 / sqrt(1.0 + Omega[m, m] - u[m] * u[m] - v[m] * v[m])
            # u, v and r share one scaling: ρ_mm' = r_m r_m' (Ω_mm' − u_m u_m' − v_m v_m').
            total = 0.0
            for m in range(n):
                u_m, v_m, r_m, row = u[m], v[m], r[m], 0.0
                for other in range(m):
                    tilted = Omega[m, other] - u_m * u[other] - v_m * v[other]
                    row += c[other] * arcsine(tilted * r_m * r[other])
                tilted = Omega[m, m] - u_m * u_m - v_m * v_m
                total += c[m] * (2.0 * row + c[m] * arcsine(tilted * r_m * r_m))
            out[state, pair] = total
    return out


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def pair_sums(
    alpha: np.ndarray,
    root: np.ndarray,
    weight: np.ndarray,
    xi: np.ndarray,
    w_xi: np.ndarray,
    itself: bool,
    start: int,
    stop: int,
) -> np.ndarray:
    """Σ_j w_j A_ij α_j and, last, Σ_j w_j B_ij √q_j for the particles i of a range.

    A and B are the averages over ξ in the head of `pairs`; `root` is √q.  With `itself`
    ξ_ii = 1, without it the particle meets an independent copy.
    """
    p, k = alpha.shape
    s, mean, first = np.empty(p), np.empty(p), np.empty(p)
    product, radial = np.empty(p), np.empty(p)
    for j in range(p):
        s[j] = 1.0 + root[j] * root[j]
        for a in range(k):
            s[j] += alpha[j, a] * alpha[j, a]
    out = np.zeros((stop - start, k + 1))
    for i in range(start, stop):
        for j in range(p):
            product[j] = alpha[i, 0] * alpha[j, 0]
            radial[j] = root[i] * root[j]
            mean[j] = 0.0
            first[j] = 0.0
        for a in range(1, k):
            for j in range(p):
                product[j] += alpha[i, a] * alpha[j, a]
        for node in range(xi.size):
            x, w, s_i = xi[node], w_xi[node], s[i]
            for j in range(p):
                C = product[j] + x * radial[j]
                term = w / sqrt(s_i * s[j] - C * C)
                mean[j] += term
                first[j] += x * term
        if itself:
            mean[i] = first[i] = 1.0 / sqrt(2.0 * s[i] - 1.0)
        row = i - start
        for a in range(k):
            total = 0.0
            for j in range(p):
                total += weight[j] * mean[j] * alpha[j, a]
            out[row, a] = total
        total = 0.0
        for j in range(p):
            total += weight[j] * first[j] * root[j]
        out[row, k] = total
    return out


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def pair_arcsines(
    alpha: np.ndarray,
    root: np.ndarray,
    weight: np.ndarray,
    xi: np.ndarray,
    w_xi: np.ndarray,
    itself: bool,
    start: int,
    stop: int,
) -> np.ndarray:
    """w_i Σ_j w_j E_ξ asin(C_ij/√(s_i s_j)) for the particles i of a range; see `pair_sums`."""
    p, k = alpha.shape
    r, product, radial = np.empty(p), np.empty(p), np.empty(p)
    for j in range(p):
        total = 1.0 + root[j] * root[j]
        for a in range(k):
            total += alpha[j, a] * alpha[j, a]
        r[j] = 1.0 / sqrt(total)
    out = np.zeros(stop - start)
    for i in range(start, stop):
        for j in range(p):
            scale = r[i] * r[j]
            product[j] = alpha[i, 0] * alpha[j, 0] * scale
            radial[j] = root[i] * root[j] * scale
        for a in range(1, k):
            for j in range(p):
                product[j] += alpha[i, a] * alpha[j, a] * r[i] * r[j]
        total = 0.0
        for node in range(xi.size):
            x, w, part = xi[node], w_xi[node], 0.0
            for j in range(p):
                part += weight[j] * arcsine(product[j] + x * radial[j])
            total += w * part
            if itself:
                total -= w * weight[i] * arcsine(product[i] + x * radial[i])
        if itself:
            total += weight[i] * arcsine(1.0 - r[i] * r[i])
        out[i - start] = weight[i] * total
    return out


# --- erf: particles on a grid, one Hermite mode after another (see `hermite`) --------------


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def hermite_field(
    alpha: np.ndarray,
    q: np.ndarray,
    weight: np.ndarray,
    z: np.ndarray,
    counts: np.ndarray,
    terms: int,
    start: int,
    stop: int,
) -> np.ndarray:
    """Σ_i w_i S_n of a range of particles on the nodes z, (terms, nodes)."""
    nodes, k = z.shape
    out = np.zeros((terms, nodes))
    x, even, odd = np.empty(nodes), np.empty(nodes), np.empty(nodes)
    for i in range(start, stop):
        scale = 1.0 / sqrt(1.0 + q[i])
        r, power = q[i] * scale * scale, weight[i]
        for node in range(nodes):
            inside = 0.0
            for a in range(k):
                inside += alpha[i, a] * z[node, a]
            x[node] = inside * scale
            even[node] = erf(x[node] * _ROOT_HALF)
            odd[node] = _ROOT_TWO_OVER_PI * exp(-0.5 * x[node] * x[node])
        for n in range(counts[i]):
            m = 2 * n + 1.0
            a_odd, a_even = -1.0 / sqrt(m + 1.0), -(m - 1.0) / sqrt(m * (m + 1.0))
            b_even, b_odd = -1.0 / sqrt(m + 2.0), -m / sqrt((m + 1.0) * (m + 2.0))
            for node in range(nodes):
                out[n, node] += power * even[node]
                even[node] = a_odd * x[node] * odd[node] + (a_even * even[node] if n else 0.0)
                odd[node] = b_even * x[node] * even[node] + b_odd * odd[node]
            power *= r
    return out


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def hermite_drift(
    alpha: np.ndarray,
    q: np.ndarray,
    own: np.ndarray,
    z: np.ndarray,
    counts: np.ndarray,
    error: np.ndarray,
    measure: np.ndarray,
    start: int,
    stop: int,
) -> np.ndarray:
    """Σ_n D_n e_n z and, last, Σ_n E_n e_n over the nodes for a range of particles.

    e_n = `error` + w_i κ_n S_n, `error` being weighted, `measure` (terms, nodes) the weights
    κ_n of the nodes, and w_i = `own`: zero where a particle does not act on itself.
    """
    nodes, k = z.shape
    out = np.zeros((stop - start, k + 1))
    x, even, odd = np.empty(nodes), np.empty(nodes), np.empty(nodes)
    push = np.empty(nodes)
    for i in range(start, stop):
        scale = 1.0 / sqrt(1.0 + q[i])
        r, power, row = q[i] * scale * scale, 1.0, i - start
        for node in range(nodes):
            inside = 0.0
            for a in range(k):
                inside += alpha[i, a] * z[node, a]
            x[node] = inside * scale
            even[node] = erf(x[node] * _ROOT_HALF)
            odd[node] = _ROOT_TWO_OVER_PI * exp(-0.5 * x[node] * x[node])
            push[node] = 0.0
        for n in range(counts[i]):
            m = 2 * n + 1.0
            a_odd, a_even = -1.0 / sqrt(m + 1.0), -(m - 1.0) / sqrt(m * (m + 1.0))
            b_even, b_odd = -1.0 / sqrt(m + 2.0), -m / sqrt((m + 1.0) * (m + 2.0))
            inward, outward = power * scale * sqrt(m), power * r * sqrt(m * (m + 1.0))
            last = 0.0
            for node in range(nodes):
                S = power * even[node]
                e = error[n, node] + own[i] * measure[n, node] * S
                push[node] += inward * odd[node] * e
                even[node] = a_odd * x[node] * odd[node] + (a_even * even[node] if n else 0.0)
                odd[node] = b_even * x[node] * even[node] + b_odd * odd[node]
                last += (outward * even[node] + 2.0 * n * S) * e
            out[row, k] += last
            power *= r
        for a in range(k):
            for node in range(nodes):
                out[row, a] += push[node] * z[node, a]
    return out
