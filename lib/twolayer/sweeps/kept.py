"""The folder of a sweep: a NetCDF file for every cell that is finished, one sweep at a time.

A file says which sweep, and which arguments, it is of; those of another are refused.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer.sgd.checkpoint import set_aside
from twolayer.support.checks import InvalidInput
from twolayer.support.lock import Busy, locked
from twolayer.support.netcdf import (
    PARTIAL,
    Damaged,
    from_json,
    read_netcdf,
    writable_folder,
    write_netcdf,
)
from twolayer.support.sources import digest_of
from twolayer.support.versions import versions
from twolayer.support.warn import warn
from twolayer.sweeps.grid import Grid, labels_of
from twolayer.sweeps.identity import identity

if TYPE_CHECKING:
    import xarray

_FORMAT = "twolayer sweep 1"
#: Times at which a function of t is looked at, to know it again.
_LOOKS = 50


@dataclass(frozen=True, eq=False)
class Kept:
    """The finished cells of a sweep, in a folder, or nowhere if that is None."""

    folder: Path | None
    grid: Grid
    t_eval: np.ndarray

    def read(self, cell: tuple[int, ...], arguments: Mapping[str, Any]) -> xarray.Dataset | None:
        """A cell that is there; one of other arguments is refused, a damaged one set aside."""
        if self.folder is None:
            return None
        file = self._file(cell)
        try:
            data = read_netcdf(file, _FORMAT, argument="folder")
            try:
                have = from_json(data.attrs["fingerprint"])
            except (KeyError, ValueError) as error:
                raise Damaged("folder", str(file), f"whole ({error})") from error
        except FileNotFoundError:
            return None
        except Damaged as error:
            set_aside(file, error, "cell")
            return None
        _compare(file, have, self._fingerprint(arguments))
        data.attrs.clear()
        return data

    def check_grid(self) -> None:
        """Refuse a folder of cells of another grid: their numbers would mean nothing here."""
        for file in sorted(self.folder.glob("cell-*.nc")) if self.folder else ():
            with contextlib.suppress(Damaged, FileNotFoundError):
                have = json.loads(read_netcdf(file, _FORMAT, "folder").attrs["fingerprint"])
                _compare(file, {n: have[n] for n in self._grid}, self._grid)
                return

    def write(
        self, cell: tuple[int, ...], arguments: Mapping[str, Any], data: xarray.Dataset
    ) -> None:
        """Keep a cell, whole or not at all; a warning if that cannot be done."""
        if self.folder is None:
            return
        told = {"format": _FORMAT, "fingerprint": json.dumps(self._fingerprint(arguments))}
        try:
            write_netcdf(data.assign_attrs(told), self._file(cell))
        except OSError as error:  # a disk that has filled up must not cost the cell itself
            warn(f"a cell is not kept: {error}", RuntimeWarning)

    def _file(self, cell: tuple[int, ...]) -> Path:
        assert self.folder is not None
        return self.folder / f"cell-{np.ravel_multi_index(cell, self.grid.shape):06d}.nc"

    @property
    def _grid(self) -> dict[str, str]:
        """What all files of a folder agree in."""
        swept = {name: labels_of(values).tolist() for name, values in self.grid.over.items()}
        return {"solver": self.grid.solver.__name__, "over": identity(swept, self.t_eval)}

    def _fingerprint(self, arguments: Mapping[str, Any]) -> dict[str, str]:
        """What a file must agree with."""
        solver, (*_, last) = self.grid.solver, self.t_eval
        times = self.t_eval[:: -(-self.t_eval.size // _LOOKS)]
        return {
            **self._grid,
            **{name: identity(value, times) for name, value in arguments.items()},
            "t_eval": f"{identity(self.t_eval, times)} up to {last:g}",
            "source": digest_of(solver.__module__),
            **{f"{name} version": of for name, of in versions().items() if name != "python"},
        }


@contextmanager
def kept(folder: str | os.PathLike[str] | None, grid: Grid, t_eval: np.ndarray) -> Iterator[Kept]:
    """The folder of a sweep, made if missing, and locked for us."""
    if folder is None:
        yield Kept(None, grid, t_eval)
        return
    place = writable_folder("folder", folder, 0)
    try:
        with locked(place):
            for left in place.glob(PARTIAL):  # by a process that was killed while it wrote
                left.unlink(missing_ok=True)
            store = Kept(place, grid, t_eval)
            store.check_grid()
            yield store
    except Busy:
        allowed = "a folder that no other sweep is using just now"
        raise InvalidInput("folder", str(place), allowed) from None


def _compare(file: Path, have: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    different = sorted(n for n in have.keys() | wanted.keys() if have.get(n) != wanted.get(n))
    if different:
        was = ", ".join(f"{name}={have.get(name)}" for name in different)
        asked = ", ".join(f"{name}={wanted.get(name)}" for name in different)
        allowed = f"of a sweep with {asked}, or another path"
        raise InvalidInput("folder", f"{file} of a sweep with {was}", allowed)
