"""Warnings, at the line of whoever called this package."""

from __future__ import annotations

import os
import sys
import warnings
from importlib import resources

_HERE = f"{resources.files('twolayer')}{os.sep}"


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the nearest line that is not the package's own, however deep this is called."""
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
