"""What a value is, in a line of text: by which the cells of a sweep are known in its folder."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

from twolayer.problem.task import Task, known_by

#: Longer texts are told by a hash.
_LONG = 80


def identity(value: Any, times: np.ndarray) -> str:
    """The same text for equal values, another for others.

    Functions of the user's are known by what they give: activations at some points, schedules at
    these `times`.

    Examples
    --------
    >>> identity(0.5, np.zeros(1)), identity([1, None], np.zeros(1))
    ('0.5', '[1, None]')
    >>> identity(np.eye(2), np.zeros(1))
    'array (2, 2) 4da8dbf3'
    """
    text = _identity(value, times)
    return text if len(text) <= _LONG else f"{text[: _LONG - 12]}... {_hash(text.encode())}"


def _identity(value: Any, times: np.ndarray) -> str:
    if isinstance(value, Task):
        forms = {n: v for n, v in vars(value.forms).items() if isinstance(v, (int, float))}
        rest = f"{value.tolerance!r} {sorted(forms.items())}".encode()
        return f"{value!r} {_hash(known_by(value).tobytes() + rest)}"
    if isinstance(value, Integral) and not isinstance(value, (bool, np.bool_)):
        return repr(int(value))
    if isinstance(value, Real) and not isinstance(value, (bool, np.bool_)):
        return repr(float(value))
    if value is None or isinstance(value, (str, bool, np.bool_)):
        return repr(value)
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value)
        return f"array {array.shape} {_hash(array.dtype.str.encode() + array.tobytes())}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_identity(each, times) for each in value)}]"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [each.name for each in dataclasses.fields(value) if each.name != "provenance"]
        fields = {name: getattr(value, name) for name in names}
        return f"{type(value).__name__}({_identity(fields, times)})"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={_identity(each, times)}" for name, each in value.items())
    if callable(value):
        name = str(getattr(value, "__name__", type(value).__name__))
        try:
            seen = np.array([value(float(t)) for t in times], dtype=float)
        except Exception:  # it is no function of t, or fails at one: its call will say so
            return name
        return f"{name} {_hash(seen.tobytes())}"
    return repr(value)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:8]
