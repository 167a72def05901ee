"""Which versions, and which source files, a result comes from."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from typing import Any

_BEHIND_A_RESULT = ("twolayer", "numpy", "scipy", "numba")


def provenance(**more: Any) -> dict[str, Any]:
    """Versions and time of day, with whatever else is worth keeping."""
    return versions() | {"created": datetime.now(UTC).isoformat(timespec="seconds")} | more


def versions(packages: Iterable[str] = _BEHIND_A_RESULT) -> dict[str, str]:
    """Versions of Python and of these packages; of those that a result depends on by default."""
    return {"python": platform.python_version()} | {name: version_of(name) for name in packages}


@cache  # reading it takes longer than a short simulation
def version_of(package: str) -> str:
    """The version of an installed package, or "absent"."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"
