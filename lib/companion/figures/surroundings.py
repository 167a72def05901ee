"""What a figure runs in: a Python process that has nothing of its user's.

Not patched variable by variable: the environment is put together from what is needed, with a
home that is new and empty, and Python is told to look at nothing but its own packages.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["environment"]

#: What is taken from the environment: where programs, libraries and room are; and by which name
#: linear algebra computes as on another processor.
_NEEDED = ("PATH", "LD_LIBRARY_PATH", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "NUMBA_CACHE_DIR")
_NEEDED += ("OPENBLAS_CORETYPE",)
#: Read by the libraries of linear algebra, whichever there is.
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def environment(home: Path, threads: int, *folders: Path) -> dict[str, str]:
    """The environment of a Python process that makes figures: what is not in it, it does not see.

    `home` is an empty folder of its own, without configuration of Matplotlib or IPython; `threads`
    are those of linear algebra.  It imports this very package, wherever the build has found it, and
    from `folders`.

    Examples
    --------
    >>> environment(Path("/new"), 2)["HOME"]
    '/new'
    """
    # Where others keep what they can make again, numba its machine code if the source cannot be
    # written beside: it decides how long a figure takes, not what it shows.
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if not os.path.isabs(caches):  # as where there is no home
        caches = str(home / "cache")
    package = Path(__file__).resolve().parents[2]
    return {
        **{name: os.environ[name] for name in _NEEDED if name in os.environ},
        **dict.fromkeys(("HOME", "USERPROFILE"), str(home)),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_CACHE_HOME": caches,
        "IPYTHONDIR": str(home / "ipython"),
        "PYTHONPATH": os.pathsep.join(map(str, (package, *folders))),
        **dict.fromkeys(("PYTHONNOUSERSITE", "PYTHONSAFEPATH", "PYTHONUTF8"), "1"),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "SOURCE_DATE_EPOCH": "0",  # the hour that a picture says it was drawn at
        **dict.fromkeys(_THREADS, str(threads)),
    }
