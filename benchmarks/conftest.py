"""What the JSON of a run says of the machine and of the run."""

from __future__ import annotations

import os
import time
from importlib import metadata
from importlib.util import find_spec
from typing import Any

import numpy as np

_LOAD, _STARTED = os.getloadavg()[0], time.time()


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """What the numbers depend on, in place of what pytest-benchmark collects."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    packages = ("numpy", "scipy", "numba", *(("torch",) if find_spec("torch") else ()))
    here = {
        "processor": machine_info["cpu"].get("brand_raw", "unknown processor"),
        "cores": os.cpu_count() or 1,
        "memory_GB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{machine_info['system']} {machine_info['machine']}",
        "blas": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip(),
        "versions": {"python": machine_info["python_version"]}
        | {name: metadata.version(name) for name in packages},
    }
    machine_info.clear()
    machine_info.update(here)


def pytest_benchmark_update_json(output_json: dict[str, Any]) -> None:
    """Statistics are kept, single timings are not; load and length of the run are added."""
    for one in output_json["benchmarks"]:
        del one["stats"]["data"], one["params"]
    minutes = round((time.time() - _STARTED) / 60, 1)
    output_json["run"] = {"load_before": round(_LOAD, 2), "minutes": minutes}
    commit = output_json["commit_info"]
    output_json["commit_info"] = {key: commit[key] for key in ("id", "dirty")}
