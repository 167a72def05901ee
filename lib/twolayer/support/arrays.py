"""The one name of a NumPy array in annotations, and dataclasses that hold them."""

from typing import Any

import numpy as np

Array = np.ndarray


def writable(array: Array) -> Array:
    """It, or a copy: contiguous and not read-only, for which kernels are compiled once."""
    flags = array.flags
    return array if flags.writeable and flags.c_contiguous else np.array(array, order="C")


def set_fields(holder: object, **values: Any) -> None:
    """Set fields of a frozen dataclass, while it is made."""
    for name, value in values.items():
        object.__setattr__(holder, name, value)
