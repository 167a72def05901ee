"""Requests that show the figures of the paper.

Of its sizes of the mean field the explorer takes 1,000 neurons, in 3 right 250 and in 5 a 200.
"""

from __future__ import annotations

from typing import Any

_CLASSICAL = {"learning_rate": 0.05, "runs": 4}
_SPAN = {"activation": "erf", "start": "in_target_span", "seed": 0}
_MEAN_FIELD = {"start": "gaussian", "seed": 0, "p": 1000, "noise": 0.0, "runs": 1}

#: Figure of the paper → (title, request).
PRESETS: dict[str, tuple[str, dict[str, Any]]] = {
    "1": (
        "The middle of the triangle",
        {"triangle": [1 / 3, 1 / 3, 1 / 3], "noise": 0.05, "runs": 4},
    ),
    "2 left": (
        "Specialisation",
        {"k": 2, "p": 10, "d": 3, "noise": 1e-3, "seed": 3, "t_max": 1e4, **_CLASSICAL}
        | {"theories": ["gradient-flow+noise"]},
    ),
    "2 right": (
        "One ODE for all dimensions",
        {"k": 5, "p": 10, "d": 50, "noise": 1e-3, "t_max": 1e5, **_CLASSICAL, **_SPAN}
        | {"theories": ["gradient-flow+noise"]},
    ),
    "3 left": (
        "Mean field, low dimension",
        {"activation": "square", "k": 2, "d": 5, "learning_rate": 1.0, "t_max": 910.0}
        | {**_MEAN_FIELD, "theories": ["mean-field", "mean-field-limit"]},
    ),
    "3 right": (
        "Mean field, high dimension",
        {"activation": "square", "k": 5, "d": 1000, "learning_rate": 10.0, "t_max": 91.0}
        | {**_MEAN_FIELD, "p": 250, "theories": ["mean-field-orthogonal"]},
    ),
    "4": (
        "The plateau of label noise",
        {"k": 4, "p": 8, "d": 10, "noise": 1e-2, "t_max": 1e5, **_CLASSICAL, **_SPAN}
        | {"theories": ["gradient-flow+noise", "gradient-flow"]},
    ),
    "5 a": (
        "In the span of the targets",
        {"k": 2, "d": 10, "learning_rate": 1.0, "t_max": 910.0}
        | {**_MEAN_FIELD, **_SPAN, "p": 200, "theories": ["mean-field"]},
    ),
    "5 b": (
        "Erf without the random directions",
        {"activation": "erf", "k": 2, "d": 5, "learning_rate": 1.0, "t_max": 910.0}
        | {**_MEAN_FIELD, "theories": ["mean-field-orthogonal"]},
    ),
    "5 c": (
        "Square without the random directions",
        {"activation": "square", "k": 2, "d": 5, "learning_rate": 1.0, "t_max": 910.0}
        | {**_MEAN_FIELD, "theories": ["mean-field-orthogonal", "mean-field"]},
    ),
    "5 d": (
        "The weights turn to the target",
        {"activation": "square", "k": 1, "d": 3, "learning_rate": 1.0, "t_max": 910.0}
        | {**_MEAN_FIELD, "theories": ["mean-field", "mean-field-limit"]},
    ),
}
