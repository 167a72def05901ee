"""Files and provenance: NetCDF written whole or not at all, read with suspicion; versions.

NetCDF version 3 holds plain arrays and text; it can be read anywhere and runs nothing.
Builds on `errors`.
"""

from __future__ import annotations

import os
import platform
import uuid
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twolayer.errors import InvalidInput

if TYPE_CHECKING:
    import xarray


def write_netcdf(data: xarray.Dataset, path: str | os.PathLike[str]) -> Path:
    """Write a dataset to NetCDF, whole or not at all (a partial file, then renamed)."""
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot save to {path}: there is no folder {path.parent}")
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        data.to_netcdf(partial, engine="scipy", format="NETCDF3_64BIT")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def read_netcdf(path: str | os.PathLike[str], kind: str, argument: str = "path") -> xarray.Dataset:
    """Read a NetCDF file whose attribute `format` is `kind`; `InvalidInput` if it is not."""
    import xarray

    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        data = xarray.load_dataset(path, engine="scipy")
    except Exception as error:  # the reader meets damaged bytes with any exception at all
        raise InvalidInput(argument, str(path), f"an undamaged NetCDF file ({error})") from error
    if data.attrs.get("format") != kind:
        raise InvalidInput(argument, str(path), f"a file of the format {kind!r}")
    return data


def provenance(**more: Any) -> dict[str, Any]:
    """Versions and time of day, with whatever else is worth keeping."""
    return versions() | {"created": datetime.now(UTC).isoformat(timespec="seconds")} | more


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    out = {"python": platform.python_version()}
    for name in ("twolayer", "numpy", "scipy", "numba"):
        try:
            out[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            out[name] = "absent"
    return out
