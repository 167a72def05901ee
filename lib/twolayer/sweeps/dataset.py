"""From the cells of a sweep to one dataset, NaN where there is nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer.support.versions import versions
from twolayer.sweeps.grid import Grid, labels_of

if TYPE_CHECKING:
    import xarray

#: What a dataset of a sweep holds beside the results of the solver.
_FLAG = "whether the run left the range of finite numbers"


def assemble(
    grid: Grid, t_eval: np.ndarray, cells: Mapping[tuple[int, ...], xarray.Dataset]
) -> xarray.Dataset:
    """All cells on the swept dimensions, before those of the results; smaller ones padded by NaN.

    A swept name that is one of the results' gets the dimension "<name>_swept".
    """
    import xarray

    sizes = {"time": t_eval.size}
    shapes: dict[str, tuple[Any, ...]] = {}
    attributes: dict[str, dict[str, Any]] = {}
    for data in cells.values():
        for dim, size in data.sizes.items():
            sizes[str(dim)] = max(size, sizes.get(str(dim), 0))
        for name, each in data.data_vars.items():
            if len(each.dims) >= len(shapes.get(str(name), ())):
                shapes[str(name)] = each.dims
            attributes.setdefault(str(name), {}).update(each.attrs)
    swept = [f"{name}_swept" if name in {*sizes, *shapes} else name for name in grid.over]
    variables = {}
    for name, dims in shapes.items():
        room = np.full((*grid.shape, *(sizes[dim] for dim in dims)), np.nan)
        for cell, data in cells.items():
            if name in data and data[name].dims == dims:
                room[(*cell, *(slice(size) for size in data[name].shape))] = data[name].values
            elif name in data:  # a cell that reached nothing has one flag for all its runs
                room[cell] = data[name].values
        variables[name] = ((*swept, *dims), room, attributes[name])
    if "diverged" in variables:
        dims, values, _ = variables["diverged"]
        variables["diverged"] = (dims, np.nan_to_num(values) > 0, {"long_name": _FLAG})
    coords: dict[str, Any] = {
        dim: (dim, labels_of(values)) for dim, values in zip(swept, grid.over.values(), strict=True)
    }
    units = {"units": "p d / γ steps", "long_name": "time t that was asked for"}
    coords["time"] = ("time", t_eval, units)
    coords |= {dim: np.arange(size) for dim, size in sizes.items() if dim != "time"}
    told = {"solver": f"twolayer.{grid.solver.__name__}", "swept": ", ".join(grid.over)}
    told |= {f"{name} version": version for name, version in versions().items()}
    return xarray.Dataset(variables, coords, told)
