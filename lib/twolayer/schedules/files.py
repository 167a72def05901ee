"""Schedules in files: as plain data, by name and numbers, and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from twolayer.schedules.schedule import Schedule
from twolayer.schedules.shapes import Constant, Cosine, Piecewise, Power, Warmup

_KINDS = {kind.__name__.lower(): kind for kind in (Constant, Cosine, Power, Warmup, Piecewise)}


def plain(value: Any) -> dict[str, Any]:
    """A schedule as what JSON can hold; `TypeError` for anything else, as JSON wants it.

    Examples
    --------
    >>> import twolayer as tl
    >>> plain(tl.schedules.constant(0.5))
    {'schedule': 'constant', 'in_': 't', 'rate': 0.5}
    """
    if not isinstance(value, Schedule):
        raise TypeError(f"{type(value).__name__} is no plain data")
    fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    nested = {name: plain(v) if isinstance(v, Schedule) else v for name, v in fields.items()}
    return {"schedule": type(value).__name__.lower(), **nested}


def restored(value: Any) -> Any:
    """The schedule of such data; anything else as it is.  `ValueError` if it is none of ours.

    Examples
    --------
    >>> import twolayer as tl
    >>> rate = tl.schedules.piecewise({0: 1.0, 5: 0.1})
    >>> restored(plain(rate)) == rate, restored(0.5)
    (True, 0.5)
    """
    if not (isinstance(value, Mapping) and "schedule" in value):
        return value
    fields = {name: each for name, each in value.items() if name != "schedule"}
    kind = _KINDS.get(value["schedule"])
    if kind is None or set(fields) != {each.name for each in dataclasses.fields(kind)}:
        raise ValueError(f"no schedule of ours: {value['schedule']!r}")
    return kind(**{name: _field(each) for name, each in fields.items()})


def _field(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else restored(value)
