"""The grid of a sweep: which values are swept, and the solver's arguments in each cell."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AnySet
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np

from twolayer.support.checks import InvalidInput, shown

#: Cells of one sweep.
MOST_CELLS = 10**6
#: What all cells have in common, and why.
_COMMON = {
    "t_eval": "given once for all cells, as the times of the dataset",
    "record": "given once for all cells, as what the dataset holds",
}
#: What a sweep sees to itself.
_OURS = {
    "steps": "left out: what all cells have in common are the times, t_eval",
    "checkpoint": "left out: folder=… keeps every finished cell",
    "on_divergence": 'left out: of runs that blow up the values are NaN, and "diverged" names them',
}
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True, eq=False)
class Grid:
    """Swept values, and what else was given.

    Attributes
    ----------
    solver : callable
    over : mapping
        Swept name → its values.
    given : mapping
        Argument of the solver → its value, or a function of swept names that gives it.
    """

    solver: Callable[..., Any]
    over: Mapping[str, Sequence[Any]]
    given: Mapping[str, Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """How many values of each name."""
        return tuple(map(len, self.over.values()))

    @property
    def cells(self) -> Iterator[tuple[int, ...]]:
        """All cells, as indices into the values of each name."""
        return np.ndindex(*self.shape)

    @cached_property
    def functions(self) -> dict[str, tuple[str, ...]]:
        """Arguments that are functions of swept names, and of which."""
        found = {name: parameters_of(value) for name, value in self.given.items()}
        return {name: of for name, of in found.items() if of and set(of) <= set(self.over)}

    @cached_property
    def taken(self) -> tuple[str, ...]:
        """The swept names that are arguments of the solver."""
        parameters = inspect.signature(self.solver).parameters
        return tuple(name for name in self.over if name in parameters)

    def point(self, cell: tuple[int, ...]) -> dict[str, Any]:
        """The swept values in a cell."""
        return {n: values[i] for (n, values), i in zip(self.over.items(), cell, strict=True)}

    def label(self, cell: tuple[int, ...]) -> str:
        """A cell in words, as "learning_rate=0.1, d=100"."""
        names = zip(self.over, cell, strict=True)
        labels = ((name, labels_of(self.over[name])[i]) for name, i in names)
        return ", ".join(f"{name}={label}" for name, label in labels)

    def arguments(self, cell: tuple[int, ...]) -> dict[str, Any]:
        """What the solver is called with in a cell."""
        point = self.point(cell)
        out = {name: point[name] for name in self.taken}
        for name, value in self.given.items():
            of = self.functions.get(name)
            out[name] = value if of is None else self._called(name, of, point, cell)
        return out

    def _called(
        self, name: str, of: tuple[str, ...], point: Mapping[str, Any], cell: tuple[int, ...]
    ) -> Any:
        try:
            return self.given[name](**{each: point[each] for each in of})
        except InvalidInput as error:
            raise in_cell(error, self.label(cell)) from error
        except Exception as error:  # whatever a function of the user's may raise
            got = f"{type(error).__name__} ({shown(str(error))}) in the cell {self.label(cell)}"
            raise InvalidInput(name, got, f"a function of {', '.join(of)}") from error


def make_grid(
    solver: Callable[..., Any], arguments: tuple[Any, ...], over: Any, options: Mapping[str, Any]
) -> Grid:
    """The grid of what a sweep was asked for; `InvalidInput` if it does not go together."""
    over = check_over(over)
    parameters = inspect.signature(solver).parameters
    positional = [n for n, each in parameters.items() if each.kind is _NAMED[0]]
    free = [name for name in positional if name not in over]
    if len(arguments) > len(free):
        allowed = f"given by name: without it {solver.__name__} takes {', '.join(free)} in order"
        raise InvalidInput("arguments", shown(arguments[len(free)]), allowed)
    given = dict(zip(free, arguments, strict=False))
    for name, value in options.items():
        if name in given:
            raise InvalidInput(name, "two values", "given once, by place or by name")
        if name not in parameters:
            names = ", ".join(n for n in parameters if n not in _OURS)
            allowed = f"an argument of {solver.__name__}: {names}"
            raise InvalidInput(name, "an unknown name", allowed)
        given[name] = value
    for name, allowed in _OURS.items():
        if name in given or name in over:
            raise InvalidInput(name, "a value", allowed)
    for name in over:
        if name in _COMMON:
            raise InvalidInput("over", f"{name!r}", _COMMON[name])
        if name in given:
            raise InvalidInput(name, "a value, and values in `over`", "given once")
    grid = Grid(solver, over, given)
    of = {each for names in grid.functions.values() for each in names}
    for name in over:
        if name not in parameters and name not in of:
            allowed = f"an argument of {solver.__name__}, or of a function that gives one"
            raise InvalidInput("over", f"{name!r}, which nothing takes", allowed)
    for name, allowed in _COMMON.items():
        if name in grid.functions:
            raise InvalidInput(name, "a function of swept names", allowed)
    for name, each in parameters.items():
        needed = each.default is inspect.Parameter.empty or name == "t_eval"
        if needed and name not in {*given, *over}:
            raise InvalidInput(name, "nothing", f"given, or swept: {solver.__name__} needs it")
    return grid


def check_over(over: Any) -> dict[str, list[Any]]:
    """Names and lists of their values."""
    allowed = "a dict of names and values, as {'learning_rate': [0.1, 1.0]}"
    if not isinstance(over, Mapping) or not over:
        raise InvalidInput("over", shown(over), allowed)
    out = {}
    for name, values in over.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise InvalidInput("over", f"the name {shown(name)}", allowed)
        values = values.to_numpy() if hasattr(values, "to_numpy") else values
        try:
            if isinstance(values, (str, bytes, Mapping, AnySet)) or len(values) < 1:
                raise TypeError
            if len(values) > MOST_CELLS:
                raise InvalidInput("over", f"{len(values)} values of {name}", f"<= {MOST_CELLS}")
            out[name] = list(values)
        except TypeError:
            got = f"{shown(values)} for {name}"
            raise InvalidInput("over", got, "a sequence of values, not empty") from None
    if (cells := math.prod(map(len, out.values()))) > MOST_CELLS:
        raise InvalidInput("over", f"{cells:.3g} cells", f"at most {MOST_CELLS} cells")
    return out


def labels_of(values: Sequence[Any]) -> np.ndarray:
    """What stands on the axis: numbers and strings themselves; of other values names or indices.

    Examples
    --------
    >>> import twolayer as tl
    >>> labels_of([1, 2.5]), labels_of(["erf", "relu"]), labels_of([None, 3])
    (array([1. , 2.5]), array(['erf', 'relu'], dtype='<U4'), array([0, 1]))
    >>> labels_of([tl.activations.get(name) for name in ("erf", "tanh")])
    array(['erf', 'tanh'], dtype='<U4')
    """
    if all(isinstance(v, Real) and not isinstance(v, (bool, np.bool_)) for v in values):
        found = np.array(values)
        return found if found.dtype.kind in "iuf" else np.arange(len(values))
    names = [v if isinstance(v, str) else _name(v) for v in values]
    if all(isinstance(name, str) for name in names) and len(set(names)) == len(names):
        return np.array(names)
    return np.arange(len(values))


def _name(value: Any) -> Any:
    return getattr(value, "name", None) or getattr(value, "__name__", None)


def parameters_of(value: Any) -> tuple[str, ...]:
    """The parameters of a function that may all be given by name; none of anything else."""
    try:
        parameters = inspect.signature(value).parameters.values() if callable(value) else ()
    except (TypeError, ValueError):  # compiled functions do not say
        return ()
    by_name = all(each.kind in _NAMED for each in parameters)
    return tuple(each.name for each in parameters) if by_name else ()


def in_cell(error: InvalidInput, label: str) -> InvalidInput:
    """The same error, naming the cell."""
    got = error.got if isinstance(error.got, str) else repr(error.got)
    return InvalidInput(error.argument, f"{got} in the cell {label}", error.allowed)
