"""Checkpoints of `simulate`: a folder with one NetCDF file a run, one simulation at a time.

A file holds plain arrays, the state of the random stream as JSON, and a fingerprint of
everything that shapes the run.  A file of something else is refused; one that was damaged
is set aside.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from twolayer.support.checks import InvalidInput
from twolayer.support.lock import Busy, locked
from twolayer.support.netcdf import (
    PARTIAL,
    Damaged,
    finite,
    from_json,
    read_netcdf,
    writable_folder,
    write_netcdf,
)
from twolayer.support.warn import warn

_FORMAT = "twolayer checkpoint 3"
_DIMENSIONS = {
    "students": ("neuron", "coordinate"),
    "second_layer": ("neuron",),
    "samples": ("time",),
    "a": ("time", "neuron"),
    "Q": ("time", "neuron", "neuron_2"),
    "M": ("time", "neuron", "target"),
    "Q_blocks": ("time", "group", "neuron", "neuron_2"),
    "M_blocks": ("time", "group", "neuron", "target"),
    "excess_risk": ("time",),
}


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Where a run stands: whole blocks done, the bit generator's state, and arrays.

    These are "students" (p, D), "second_layer" (p,), and at the times recorded so far "samples",
    "a", "Q", "M" and "excess_risk".
    """

    block: int
    random_state: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]


@contextmanager
def opened(path: str | os.PathLike[str], needed: int) -> Iterator[str]:
    """A checkpoint folder, made if missing, with room for `needed` bytes, locked for us."""
    folder = writable_folder("checkpoint", path, needed)
    try:
        with locked(folder):
            for left in folder.glob(PARTIAL):  # by a process that was killed while it wrote
                left.unlink(missing_ok=True)
            yield str(folder)
    except Busy:
        allowed = "a folder that no other simulation is using just now"
        raise InvalidInput("checkpoint", str(folder), allowed) from None


def file_of(folder: str, number: int) -> Path:
    """The file of a run in a checkpoint folder."""
    return Path(folder) / f"run-{number:05d}.nc"


def save(file: Path, fingerprint: Mapping[str, Any], checkpoint: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all."""
    import xarray

    variables = {
        name: (_DIMENSIONS[name][: values.ndim], values)
        for name, values in checkpoint.arrays.items()
    }
    attributes = {
        "format": _FORMAT,
        "fingerprint": json.dumps(fingerprint, sort_keys=True),
        "block": str(checkpoint.block),
        "random_state": json.dumps(checkpoint.random_state, default=np.ndarray.tolist),
    }
    write_netcdf(xarray.Dataset(variables, attrs=attributes), file)


def load(
    file: Path,
    wanted: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    shapes: Mapping[str, tuple[int | None, ...]],
) -> Checkpoint | None:
    """The checkpoint in a file; None if there is no file, or a damaged one, which is set aside.

    One of another fingerprint than is `wanted`, given its own, is refused, and both are shown.
    In `shapes` None stands for the number of times recorded.
    """
    try:
        data = read_netcdf(file, _FORMAT, argument="checkpoint")
        try:
            have = from_json(data.attrs["fingerprint"])
            block = int(data.attrs["block"])
            random_state = from_json(data.attrs["random_state"])
            arrays = {name: data.variables[name].values for name in shapes}
            finite(arrays)
            if not isinstance(have, dict):
                raise TypeError("no fingerprint")
        except (KeyError, TypeError, ValueError) as error:
            raise Damaged("checkpoint", str(file), f"a checkpoint ({error})") from error
    except FileNotFoundError:
        return None
    except Damaged as error:
        set_aside(file, error)
        return None
    _check(file, have, wanted(have))
    recorded = len(arrays["excess_risk"]) if arrays["excess_risk"].ndim else -1
    for name, shape in shapes.items():
        if arrays[name].shape != tuple(recorded if n is None else n for n in shape):
            set_aside(file, Damaged("checkpoint", str(file), f"with an array {name} that fits"))
            return None
    return Checkpoint(block, random_state, arrays)


def set_aside(file: Path, reason: InvalidInput, what: str = "run") -> None:
    """Rename a damaged file to ``*.damaged`` and say so; `what` it was of."""
    number, to = 1, file.with_name(file.name + ".damaged")
    while to.exists():
        number += 1
        to = file.with_name(f"{file.name}.{number}.damaged")
    os.replace(file, to)
    message = f"{reason}. It is set aside as {to.name}, and this {what} begins anew."
    warn(message, RuntimeWarning)


def _check(file: Path, have: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    different = sorted(n for n in have.keys() | wanted.keys() if have.get(n) != wanted.get(n))
    if not different:
        return
    kept = ", ".join(f"{name}={have.get(name)!r}" for name in different)
    asked = ", ".join(f"{name}={wanted.get(name)!r}" for name in different)
    allowed = f"of a run with {asked}, or another path"
    raise InvalidInput("checkpoint", f"{file} of a run with {kept}", allowed)
