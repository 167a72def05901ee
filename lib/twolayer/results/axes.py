"""The axes of a result: the times that were asked for, beside those that were recorded.

Times finer than a step, or asked for twice, are recorded once, and runs may end early.  On the
times asked for every one of them has its row, so that results of any rates and runs align.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

if TYPE_CHECKING:
    import xarray

#: Which times a dataset has.
Times = Literal["recorded", "asked"]
TIMES: tuple[str, ...] = get_args(Times)


def rows_of(asked: np.ndarray, recorded: np.ndarray) -> np.ndarray:
    """Where each entry of `asked` (A,) stands in `recorded` (T,), increasing; −1 if nowhere.

    Examples
    --------
    >>> rows_of(np.array([0, 2, 2, 5]), np.array([0, 1, 2]))
    array([ 0,  2,  2, -1])
    """
    if not recorded.size:
        return np.full(asked.shape, -1)
    at = np.minimum(np.searchsorted(recorded, asked), recorded.size - 1)
    return np.where(recorded[at] == asked, at, -1)


def on_times_asked(data: xarray.Dataset, asked: np.ndarray, rows: np.ndarray) -> xarray.Dataset:
    """A dataset on the times asked for (A,), of which `rows` (A,) are recorded; NaN elsewhere.

    Its index `time` is `asked`, and its coordinate `recorded_time` what was `time`.
    """
    import xarray

    known = rows >= 0

    def taken(variable: xarray.Variable) -> xarray.Variable:
        if "time" not in variable.dims:
            return variable
        axis = variable.dims.index("time")
        shape = (*variable.shape[:axis], asked.size, *variable.shape[axis + 1 :])
        values = np.full(shape, np.nan)
        np.moveaxis(values, axis, 0)[known] = np.moveaxis(variable.values, axis, 0)[rows[known]]
        return xarray.Variable(variable.dims, values, variable.attrs)

    recorded = taken(data["time"].variable)
    recorded.attrs = recorded.attrs | {"long_name": "time recorded, nearest to that asked for"}
    coords = {str(name): taken(data[name].variable) for name in data.coords if name != "time"}
    coords |= {"time": ("time", asked, data["time"].attrs), "recorded_time": recorded}
    variables = {str(name): taken(data[name].variable) for name in data.data_vars}
    return xarray.Dataset(variables, coords, data.attrs)
