"""Run one notebook with papermill, in a kernel that neither user nor other kernels can disturb."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from companion.figures.surroundings import environment

if TYPE_CHECKING:
    from jupyter_client import KernelManager

__all__ = ["ExecutionError", "execute"]

#: A Unix socket's path must fit in some 104 bytes (sun_path; macOS has the smallest).
_LONGEST_FOLDER = 90
#: An IPython kernel without the configuration of this machine, and Matplotlib without its talk of
#: fonts and caches, which would end up on a page; without Dask, too, all of which xarray would
#: import to see that no array is one of its.
_KERNEL = """\
import logging
import sys
sys.modules["dask"] = None
from IPython.core import application
application.ENV_CONFIG_DIRS.clear()
application.SYSTEM_CONFIG_DIRS.clear()
logging.getLogger("matplotlib").setLevel(logging.ERROR)
from ipykernel.kernelapp import launch_new_instance
launch_new_instance()
"""


class ExecutionError(RuntimeError):
    """A notebook that did not reach its end; the message says where and why."""


def execute(template: Path, target: Path, parameters: Mapping[str, Any], threads: int = 1) -> Any:
    """Run a template, parameters in place of its defaults, and write the executed notebook.

    Its folder is the kernel's working directory; `threads` are those of linear algebra.
    `ExecutionError` if a cell fails, or the kernel dies or cannot be started.
    """
    import papermill

    try:
        with tempfile.TemporaryDirectory(prefix="kernel-", ignore_cleanup_errors=True) as folder:
            return papermill.execute_notebook(
                str(template),
                str(target),
                parameters=dict(parameters),
                cwd=str(target.parent),
                progress_bar=False,
                extra_arguments=["--log-level=ERROR"],
                kernel_manager_class=_kernel_in(Path(folder), threads),
            )
    except papermill.PapermillExecutionError as error:
        raise ExecutionError(
            f"failed in code cell {error.exec_count} with {error.ename}: {error.evalue}"
            f"\n\n{error.source.strip()}"
        ) from None
    except Exception as error:  # the kernel died, could not start, ...
        raise ExecutionError(f"did not finish: {type(error).__name__}: {error}") from None


def _kernel_in(folder: Path, threads: int) -> type[KernelManager]:
    """The class of a kernel that keeps to a folder, for its home and for its files.

    It is this very Python, whatever kernels the user has installed and under which names.
    """
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpec

    class Kernel(AsyncKernelManager):
        kernel_spec = KernelSpec(
            argv=[sys.executable, "-c", _KERNEL, "-f", "{connection_file}"],
            language="python",
            display_name="Python 3",
        )

        async def start_kernel(self, **options: Any) -> None:
            self.connection_file = str(folder / "connection.json")
            # TCP ports are chosen free but bound later, by the kernel: of two kernels that start
            # together one sometimes finds its port taken and dies, or hears the other's messages.
            if os.name != "nt" and len(os.fsencode(folder)) <= _LONGEST_FOLDER:
                self.transport, self.ip = "ipc", str(folder / "s")
            home = folder / "home"
            home.mkdir(exist_ok=True)
            await super().start_kernel(env=environment(home, threads), **options)

    return Kernel
