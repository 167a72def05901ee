"""The one name of a NumPy array in annotations, and dataclasses that hold them."""

from typing import Any

import numpy as np

Array = np.ndarray


def set_fields(holder: object, **values: Any) -> None:
    """Set fields of a frozen dataclass, while it is made."""
    for name, value in values.items():
        object.__setattr__(holder, name, value)
