r"""Functions of the user's with everything that they refer to: what numba may freeze, and what not.

A compiled function keeps the numbers that its names stood for.  Therefore a function is frozen only
if it refers to nothing that could change behind its back: numbers, tuples of them, NumPy's own
functions, and functions of the same kind.  Two that are equal compute the same.
"""

from __future__ import annotations

import builtins
import dis
import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from types import CellType, CodeType, FunctionType
from typing import Any

import numpy as np

#: What a function may do beside computing, or machine code could not pass on.
_EFFECTS = {"STORE_GLOBAL", "DELETE_GLOBAL", "STORE_DEREF", "RAISE_VARARGS", "IMPORT_NAME"}
_BUILTINS = ("abs", "bool", "float", "int", "len", "max", "min", "pow", "range", "round")
_NUMBERS = (bool, int, float, np.bool_, np.integer, np.floating)
#: Functions that call functions, at most: one that calls itself has no end.
_DEEPEST = 8


class Changeable(TypeError):
    """A function refers to something that may change, or does more than compute."""

    def __str__(self) -> str:
        return f"{self.args[0]}, or what it refers to, may change"


@dataclass(frozen=True)
class _Number:
    """1, 1.0 and True are three: compiled, they make three functions."""

    kind: type
    text: str
    value: Any = field(compare=False)


@dataclass(frozen=True)
class _Function:
    """The code of a function and all that its names, its cells and its defaults stand for."""

    code: CodeType
    names: tuple[tuple[str, Hashable], ...]
    cells: tuple[Hashable, ...]
    defaults: tuple[Hashable, ...]


def frozen(value: Any, depth: int = 0) -> Hashable:
    """A function, or what it refers to, as something that cannot change.

    Raises
    ------
    Changeable
        If it can change, or is of another kind.

    Examples
    --------
    >>> def scaled(by):
    ...     return lambda x: np.tanh(by * x)
    >>> frozen(scaled(2.0)) == frozen(scaled(2.0)), frozen(scaled(2.0)) == frozen(scaled(3.0))
    (True, False)
    >>> frozen(scaled(np.ones(1)))
    Traceback (most recent call last):
    ...
    twolayer.activations.frozen.Changeable: ndarray, or what it refers to, may change
    """
    value = getattr(value, "py_func", value)  # of a function that numba compiled
    name = getattr(value, "__name__", None)
    if isinstance(value, _NUMBERS):
        return _Number(type(value), repr(value), value)
    if isinstance(value, tuple):
        return tuple(frozen(each, depth) for each in value)
    if any(value is module or _has(module, name, value) for module in (np, math)):
        return value
    if name in _BUILTINS and _has(builtins, name, value):
        return value
    if not isinstance(value, FunctionType) or depth > _DEEPEST:
        raise Changeable(name or type(value).__name__)
    return _function(value, depth + 1)


def _has(module: Any, name: Any, value: Any) -> bool:
    return isinstance(name, str) and getattr(module, name, None) is value


def _function(of: FunctionType, depth: int) -> _Function:
    code, seen = of.__code__, list(dis.get_instructions(of))
    within = any(isinstance(constant, CodeType) for constant in code.co_consts)
    if within or of.__kwdefaults__ or "random" in code.co_names:
        raise Changeable(of.__name__)
    if _EFFECTS.intersection(each.opname for each in seen):
        raise Changeable(of.__name__)
    names = sorted({each.argval for each in seen if each.opname in ("LOAD_GLOBAL", "LOAD_NAME")})
    known = vars(builtins) | of.__globals__
    if not known.keys() >= set(names):
        raise Changeable(of.__name__)
    try:
        cells = [cell.cell_contents for cell in of.__closure__ or ()]
    except ValueError:  # not filled yet
        raise Changeable(of.__name__) from None
    return _Function(
        code,
        tuple((name, frozen(known[name], depth)) for name in names),
        tuple(frozen(value, depth) for value in cells),
        tuple(frozen(value, depth) for value in of.__defaults__ or ()),
    )


def thawed(value: Hashable, compiled: Callable[[Any], Any], instead: dict[Any, Any]) -> Any:
    """What was frozen: functions anew, `compiled`, with some values in place of others."""
    if isinstance(value, _Number):
        return value.value
    if isinstance(value, tuple):
        return tuple(thawed(each, compiled, instead) for each in value)
    if not isinstance(value, _Function):
        return instead.get(value, value)
    parts = {name: thawed(each, compiled, instead) for name, each in value.names}
    cells, defaults = (
        tuple(thawed(each, compiled, instead) for each in some)
        for some in (value.cells, value.defaults)
    )
    world = {"__builtins__": builtins, "__name__": __name__} | parts
    name, closure = value.code.co_name, tuple(map(CellType, cells))
    return compiled(FunctionType(value.code, world, name, defaults, closure))
