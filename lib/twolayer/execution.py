"""Run one notebook with papermill, in a kernel that no other kernel can disturb."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["ExecutionError", "execute"]

#: A Unix socket's path must fit in some 104 bytes (sun_path; macOS has the smallest).
_LONGEST_FOLDER = 90


class ExecutionError(RuntimeError):
    """A notebook that did not reach its end; the message says where and why."""


def execute(template: Path, target: Path, parameters: Mapping[str, Any]) -> Any:
    """Run a notebook template and write the executed notebook.

    Parameters
    ----------
    template : Path
        A notebook with a cell tagged ``parameters``.
    target : Path
        The executed notebook; its folder is the kernel's working directory.
    parameters : mapping
        What replaces the template's defaults.

    Returns
    -------
    nbformat.NotebookNode
        The executed notebook.

    Raises
    ------
    ExecutionError
        If a cell fails, or the kernel dies or cannot be started.
    """
    import papermill

    try:
        with _own_sockets() as config:
            return papermill.execute_notebook(
                str(template),
                str(target),
                parameters=dict(parameters),
                cwd=str(target.parent),
                progress_bar=False,
                extra_arguments=["--log-level=ERROR"],
                config=config,
            )
    except papermill.PapermillExecutionError as error:
        raise ExecutionError(
            f"failed in code cell {error.exec_count} with {error.ename}: {error.evalue}"
            f"\n\n{error.source.strip()}"
        ) from None
    except Exception as error:  # the kernel died, was not found, ...
        raise ExecutionError(f"did not finish: {type(error).__name__}: {error}") from None


@contextmanager
def _own_sockets() -> Iterator[Any]:
    """Settings of a kernel that listens on files of its own.

    TCP ports are chosen free but bound later, by the kernel: of two kernels that start
    together one sometimes finds its port taken and dies, or hears the other's messages.
    """
    from traitlets.config import Config

    with tempfile.TemporaryDirectory(prefix="kernel-", ignore_cleanup_errors=True) as folder:
        if os.name == "nt" or len(os.fsencode(folder)) > _LONGEST_FOLDER:
            yield Config()
        else:
            yield Config(KernelManager={"transport": "ipc", "ip": str(Path(folder, "s"))})
