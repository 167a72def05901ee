"""What this package cannot do, said to those who ask for it by its usual name.

The page "What this package cannot do" says the same at length; a test holds the two together.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from twolayer.support.checks import InvalidInput, shown

F = TypeVar("F", bound=Callable[..., Any])

#: What is asked for → the names it goes by, why it is not there, and what to use instead.
CANNOT: dict[str, tuple[tuple[str, ...], str]] = {
    "biases": (
        ("bias", "biases", "threshold", "thresholds", "use_bias"),
        "left out: hidden units have no biases that learn; "
        "one that is the same for all and stays is an activation of its own, lambda x: f(x + b)",
    ),
    "several outputs": (
        ("outputs", "n_outputs", "num_outputs", "output_dim", "classes", "n_classes"),
        "left out: the network has one output; "
        "networks that share no hidden unit are one task for each output",
    ),
    "other losses": (
        ("loss", "loss_fn", "criterion", "objective"),
        "left out: the loss is the square of the displacement, halved; "
        "for others write a loop (lax.scan of JAX), and hold it to this package at the square",
    ),
    "depth": (
        ("depth", "layers", "n_layers", "num_layers", "hidden_layers"),
        "left out: there are two layers; "
        "the second may be given (a=) or trained (second_layer_rate=)",
    ),
    "momentum": (
        ("momentum", "nesterov", "beta", "betas", "optimizer", "optimiser"),
        "left out: steps have no memory; momentum beta in high dimension is plain SGD at the rate "
        "learning_rate/(1-beta)",
    ),
    "reused data": (
        ("epochs", "n_epochs", "num_epochs", "dataset", "train_size", "n_samples", "replacement"),
        "left out: each sample is used once; "
        "with samples for many more steps than were made, drawing again changes little",
    ),
}


def says_what_it_cannot(function: F) -> F:
    """The function, which answers keywords of `CANNOT` by `InvalidInput` instead of `TypeError`.

    Examples
    --------
    >>> @says_what_it_cannot
    ... def train(rate): return rate
    >>> train(rate=0.5)
    0.5
    >>> train(rate=0.5, momentum=0.9)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    twolayer.support.checks.InvalidInput: momentum: got 0.9; it must be left out: ...
    """
    known = inspect.signature(function).parameters

    @functools.wraps(function)
    def answering(*arguments: Any, **named: Any) -> Any:
        for name, value in named.items():
            if name not in known:
                for names, answer in CANNOT.values():
                    if name in names:
                        raise InvalidInput(name, shown(value), answer)
        return function(*arguments, **named)

    return answering  # type: ignore[return-value]
