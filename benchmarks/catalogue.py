"""All benchmarks by name, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import mean_field, ode, sgd, start
from benchmarks.results import Result, Size

BENCHMARKS: dict[str, Callable[[Size], Result]] = {
    "cold-start": start.cold_start,
    "memory": start.memory,
    "sgd-projected": sgd.dimensions,
    "sgd-peers": sgd.against_peers,
    "sgd-growth": sgd.growth,
    "sgd-parts": sgd.parts,
    "sgd-cores": sgd.over_cores,
    "ode-classical": ode.classical,
    "ode-full": ode.full,
    "rhs-gradient-flow": ode.gradient_flow_rate,
    "rhs-full": ode.full_rate,
    "mean-field-growth": mean_field.growth,
    "mean-field-xi": mean_field.with_xi,
}
