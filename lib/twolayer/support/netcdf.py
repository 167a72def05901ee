"""Files: NetCDF written whole or not at all, read with suspicion.

NetCDF version 3 holds plain arrays and text; it can be read anywhere and runs nothing.
A file carries a checksum of its content, so that one that was cut or changed is told
from a good one.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer.support.checks import InvalidInput, shown

if TYPE_CHECKING:
    import xarray

#: What is left beside a file by a process that was killed while it wrote.
PARTIAL = ".*.partial"
_CHECKSUM = "sha256"


class Damaged(InvalidInput):
    """A file that was cut or changed after it was written."""


def write_netcdf(data: xarray.Dataset, path: str | os.PathLike[str]) -> Path:
    """Write a dataset to NetCDF, whole or not at all (a partial file, then renamed).

    Raises `InvalidInput` if `path` is no path, and an `OSError` that names the file if it
    cannot be written; what was there before is then untouched.
    """
    path = as_path("path", path)
    if not path.name:
        raise InvalidInput("path", shown(str(path)), "the path of a file")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot save to {path}: there is no folder {path.parent}")
    data = data.assign_attrs({_CHECKSUM: _checksum(data)})
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        plain = {name: {"_FillValue": None} for name in data.variables}
        data.to_netcdf(partial, engine="scipy", format="NETCDF3_64BIT", encoding=plain)
        with partial.open("rb+") as file:
            os.fsync(file.fileno())  # on the disk before it takes the old one's name
        os.replace(partial, path)
    except OSError as error:
        reason = error.strerror or error
        raise type(error)(f"cannot save to {path}: {reason} ({_room(path.parent)})") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
    return path


def read_netcdf(path: str | os.PathLike[str], kind: str, argument: str = "path") -> xarray.Dataset:
    """Read a NetCDF file whose attribute `format` is `kind`; `InvalidInput` if it is not,
    `Damaged` if it was cut or changed.

    Values are taken as they are stored: attributes that would have them scaled, masked or
    turned into dates mean nothing here.
    """
    import xarray

    file = as_path(argument, path)
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {file}") from None
    except OSError as error:
        allowed = f"a file that can be read ({error.strerror})"
        raise InvalidInput(argument, shown(str(file)), allowed) from error
    try:
        data = xarray.load_dataset(io.BytesIO(content), engine="scipy", decode_cf=False)
        checksum = _checksum(data)
    except Exception as error:  # the reader meets damaged bytes with any exception at all
        what = shown(error).strip("'\"")
        raise Damaged(argument, str(file), f"an undamaged NetCDF file ({what})") from error
    found, sealed = data.attrs.get("format"), data.attrs.get(_CHECKSUM)
    if sealed is None:
        got = f"{file}, which was not saved by `save`: it has no checksum"
        raise InvalidInput(argument, got, f"a file of the format {kind!r}, saved by `save`")
    if found != kind and sealed == checksum:
        got = f"{file} of the format {shown(found)}"
        raise InvalidInput(argument, got, f"a file of the format {kind!r}")
    if sealed != checksum:
        allowed = "an undamaged NetCDF file (the content does not match its checksum)"
        raise Damaged(argument, str(file), allowed)
    return data


def from_json(text: object) -> dict[str, Any]:
    """The JSON object in a text; `ValueError` if it is anything else, however nested."""
    try:
        value = json.loads(text)  # type: ignore[arg-type]
    except (TypeError, RecursionError) as error:
        raise ValueError(f"no JSON: {shown(error)}") from error
    if not isinstance(value, dict):
        raise ValueError(f"a JSON object was wanted, not {shown(value)}")
    return value


def finite(arrays: Mapping[str, np.ndarray]) -> None:
    """`ValueError` unless all arrays are of finite real numbers."""
    for name, values in arrays.items():
        if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
            raise ValueError(f"{name} is not of finite numbers")


def as_path(argument: str, value: object, allowed: str = "a path") -> Path:
    """`value` as a path."""
    try:
        if isinstance(value, (str, os.PathLike)) and "\0" not in os.fspath(value):
            return Path(value)
    except TypeError:
        pass
    raise InvalidInput(argument, shown(value), allowed)


def writable_folder(argument: str, path: str | os.PathLike[str], needed: int) -> Path:
    """A folder, made if missing, that takes files and has room for `needed` bytes."""
    folder = as_path(argument, path, "the path of a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe.{uuid.uuid4().hex}.partial"
        try:
            probe.write_bytes(bytes(4096))
        finally:
            with contextlib.suppress(OSError):
                probe.unlink(missing_ok=True)
        free = shutil.disk_usage(folder).free
    except (OSError, ValueError) as error:
        raise InvalidInput(argument, shown(path), f"a folder to write in ({error})") from error
    if free < needed:
        allowed = f"a folder on a disk with {_size(needed)} free: the files will need as much"
        raise InvalidInput(argument, f"{folder} with {_size(free)} free", allowed)
    return folder


def _room(folder: Path) -> str:
    try:
        return f"{_size(shutil.disk_usage(folder).free)} free in {folder}"
    except OSError:
        return f"in {folder}"


def _size(number: float) -> str:
    return f"{number / 1e6:,.1f} MB"


def _checksum(data: xarray.Dataset) -> str:
    digest = hashlib.sha256()
    for name in sorted(map(str, data.variables)):
        variable = data.variables[name]
        digest.update(json.dumps([name, variable.dims, variable.shape]).encode())
        digest.update(np.ascontiguousarray(variable.values, dtype="<f8").tobytes())
        _add(digest, variable.attrs)
    _add(digest, {name: value for name, value in data.attrs.items() if name != _CHECKSUM})
    return digest.hexdigest()


def _add(digest: hashlib._Hash, attributes: Mapping[Any, Any]) -> None:
    for name, value in sorted(attributes.items()):
        digest.update(f"{name}\0{value}\0".encode("utf-8", "surrogateescape"))
