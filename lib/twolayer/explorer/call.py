"""The Python code of a request, for the reader to take along."""

from __future__ import annotations

from twolayer.explorer.request import FLOWS, ORDER, TIMES, Request


def python_call(asked: Request) -> str:
    """The Python code that computes what the explorer shows, and draws it.

    Examples
    --------
    >>> print(python_call(Request(p=3, theories=("full",))).splitlines()[4])
    task = tl.Task('erf', noise=0.01)
    """
    size = f"p={asked.p}, k={asked.k}, d={asked.d}, seed={asked.seed}"
    t = asked.times()
    lines = [
        "import matplotlib.pyplot as plt",
        "import numpy as np",
        "import twolayer as tl",
        "",
        f"task = tl.Task({asked.activation!r}, noise={asked.noise!r})",
        f"start = tl.Weights.{asked.start}({size})",
        f"t = np.r_[0.0, np.geomspace({float(t[1])!r}, {asked.t_max!r}, {TIMES})]",
    ]
    for theory in asked.theories:
        name = _name(theory)
        if theory in FLOWS:
            lines.append(
                f"{name} = tl.solve(task, start.overlaps(), learning_rate={asked.learning_rate!r},"
                f" terms={theory!r}, t_eval=t)"
            )
            continue
        particles = "tl.Particles.from_weights(start)"
        if theory == "mean-field-limit":
            particles = f"tl.Particles.quadrature(np.eye({asked.k}), {asked.d}, order={ORDER})"
        d = "np.inf" if theory == "mean-field-orthogonal" else repr(asked.d)
        lines.append(
            f"{name} = tl.solve_mean_field(task, {particles}, np.eye({asked.k}), d={d}, t_eval=t)"
        )
    if asked.runs:
        lines.append(
            f"sgd = tl.simulate(task, start, learning_rate={asked.learning_rate!r},"
            f" t_eval=t[:{asked.sgd_times().size}], runs={asked.runs}, seed={asked.seed})"
        )
    lines.append("")
    for theory in asked.theories:
        name = _name(theory)
        lines.append(f"plt.loglog(t[1:], {name}.excess_risk[1:], label={theory!r})")
    if asked.runs:
        median = "np.median(sgd.excess_risk, axis=0)[1:]"
        lines.append(f"plt.loglog(sgd.t[1:], {median}, 'o', mfc='none', label='SGD')")
    lines += ["plt.xlabel('time t')", "plt.ylabel('excess risk')", "plt.legend()", "plt.show()"]
    return "\n".join(lines) + "\n"


def _name(theory: str) -> str:
    """What the code calls a theory's result."""
    return theory.replace("-", "_").replace("+", "_and_")
