"""Make the figures: run each notebook template with the parameters of its profile.

``notebooks/figures.yml`` says which template and parameters belong to which figure;
executed notebooks, with their pictures and data beside them, appear in
``book/figures``.  Only what is stale is made (`freshness`).  The book's build calls `make`; by
hand::

    python -m companion.figures --list
    python -m companion.figures 2-right --profile paper --jobs 2
    python -m companion.figures --profile paper --dask tcp://scheduler:8786

Builds are safe from each other and from being killed: one at a time writes, a figure
appears whole, and what a killed build left is swept away by the next, which makes only
what is missing.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Container, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager, nullcontext, suppress
from multiprocessing import connection, get_context, parent_process
from pathlib import Path

from companion.figures.catalogue import PROFILES, Figure, load, output_folder
from companion.figures.colophon import add_colophon
from companion.figures.execution import ExecutionError, execute
from companion.figures.freshness import (
    condition,
    first_picture,
    is_fresh,
    lacking,
    run_of,
    seal,
    stamp,
)
from companion.figures.pages import as_page
from twolayer.support.checks import InvalidInput, check_choice, check_executor, check_integer, shown
from twolayer.support.cluster import check_workers
from twolayer.support.lock import locked
from twolayer.support.netcdf import as_path, writable_folder
from twolayer.support.progress import bar as progress_bar

__all__ = ["FigureError", "make"]

#: Where a notebook runs until it has ended well.
_PARTIAL = ".partial-"
#: Bytes that must be free before any notebook runs: the figures take a tenth of it.
_ROOM = 200_000_000


class FigureError(RuntimeError):
    """A notebook that failed or shows no picture; the message says which, where and why."""


def make(
    root: Path,
    ids: Sequence[str] = (),
    profile: str = "quick",
    jobs: int = 2,
    force: bool = False,
    executor: Executor | None = None,
) -> list[str]:
    """Make every stale figure; returns the ids that were made.

    Parameters
    ----------
    root : Path
        The clone (see `project_root`).
    ids : sequence of str
        Which figures; all by default.
    profile : str
        "quick" or "paper".
    jobs : int
        Notebooks that run at once.
    force : bool
        Make them even if they are up to date.
    executor : concurrent.futures.Executor, optional
        Where to run the notebooks, on machines that see the clone under the same path;
        `jobs` processes here by default.

    Raises
    ------
    InvalidInput
        If an id or a profile is unknown, ``figures.yml`` is not in order, or
        ``book/figures`` cannot be written or has no room; before any work.
    FigureError
        If a notebook fails, or ends without its pictures.  Figures finished before are kept.

    Warns
    -----
    RuntimeWarning
        If a file is not what its notebook wrote; the figure is then made again.

    Examples
    --------
    >>> from companion.figures.catalogue import project_root
    >>> from companion.figures.make import make
    >>> from twolayer.support.checks import InvalidInput
    >>> try:
    ...     make(project_root(), ids=["7"])
    ... except InvalidInput as error:
    ...     print(str(error)[:15])
    figure: got '7'
    """
    root = as_path("root", root)
    figures = load(root)
    check_choice("profile", profile, PROFILES)
    jobs = check_integer("jobs", jobs, 1)
    check_executor(executor)
    check_workers(executor, "companion.figures.make")
    if isinstance(ids, str) or not isinstance(ids, Sequence):
        raise InvalidInput("ids", shown(ids), "a sequence of figure ids")
    for name in ids:
        check_choice("figure", name, figures)
    wanted = [figures[name] for name in dict.fromkeys(ids or figures)]

    def stale() -> list[Figure]:
        states = {f.id: "stale" if force else condition(root, f, profile) for f in wanted}
        for name, state in states.items():
            if state.startswith("damaged"):
                message = f"figure {name}: {state} since its notebook wrote it; made again"
                warnings.warn(message, RuntimeWarning, stacklevel=3)
        return [f for f in wanted if states[f.id] != "up to date"]

    gone = _of_no_figure(output_folder(root), figures)
    if not force and not gone and all(is_fresh(root, figure, profile) for figure in wanted):
        return []
    folder = writable_folder("root", output_folder(root), _ROOM)
    with locked(folder, waiting=lambda: print(f"waiting for another build in {folder}")):
        _sweep(folder)
        for file in gone:
            file.unlink(missing_ok=True)
        chosen = stale()  # once we are alone: the other build may have made them
        try:
            _run(root, chosen, profile, jobs, executor)
        finally:
            _sweep(folder)
    return [figure.id for figure in chosen]


def _run(
    root: Path, chosen: Sequence[Figure], profile: str, jobs: int, executor: Executor | None
) -> None:
    if not chosen:
        return
    # Two kernels whose linear algebra wants all cores would wait for each other.
    threads = max(1, (os.cpu_count() or 1) // jobs)
    with (
        _processes(jobs) if executor is None else nullcontext(executor) as pool,
        progress_bar(total=len(chosen), desc=f"figures ({profile})", unit="figure") as bar,
    ):
        futures = [pool.submit(_make_one, root, figure, profile, threads) for figure in chosen]
        try:
            for future in as_completed(futures):
                bar.set_postfix_str(future.result())
                bar.update()
        except BaseException:
            _give_up(futures)
            raise


@contextmanager
def _processes(jobs: int) -> Iterator[Executor]:
    with ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_end_with_parent) as pool:
        yield pool


def _give_up(futures: Sequence[Future[str]]) -> None:
    for future in futures:
        future.cancel()


def _end_with_parent() -> None:
    """End this process when the one that started it is killed, and so its notebook's."""
    parent = parent_process()

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _of_no_figure(folder: Path, figures: Container[str]) -> list[Path]:
    """What an earlier version has made of figures that there are no more: pages would show it."""
    found = []
    for notebook in folder.glob("*.ipynb"):
        if notebook.stem not in figures:
            with suppress(OSError, ValueError, LookupError, TypeError):  # somebody else's
                files = run_of(folder, notebook.stem)["files"]
                found += [*(folder / Path(name).name for name in files), notebook]
    return found


def _sweep(folder: Path) -> None:
    """Remove what a killed build has left."""
    for left in folder.glob(f"{_PARTIAL}*"):
        shutil.rmtree(left, ignore_errors=True)


def _make_one(root: Path, figure: Figure, profile: str, threads: int) -> str:
    """Run one template in a folder of its own, then move everything into place."""
    made = stamp(root, figure, profile)
    folder = output_folder(root)
    notebook = f"{figure.id}.ipynb"
    partial = Path(tempfile.mkdtemp(prefix=f"{_PARTIAL}{figure.id}-", dir=folder))
    started = time.monotonic()
    try:
        try:
            node = execute(figure.template, partial / notebook, figure.parameters[profile], threads)
        except ExecutionError as error:
            template = figure.template.relative_to(root)
            raise FigureError(f"figure {figure.id}: {template} {error}") from None
        if missing := lacking(node.cells):
            raise FigureError(f"figure {figure.id}: {figure.template.name} ends without {missing}")
        if drawn := first_picture(node.cells):  # what the page shows is what one downloads
            (partial / f"{figure.id}.svg").write_text(drawn, "utf-8")
        written = sorted(f for f in partial.iterdir() if f.name != notebook)
        files = {f.name: seal(f.read_bytes()) for f in written}
        strays = [f.name for f in written if f.suffix == ".svg" and f.stem != figure.id]
        if strays:  # the page would keep the picture of an earlier build
            raise FigureError(f"figure {figure.id} wrote {strays[0]}, which is not called after it")
        as_page(node, figure.id)
        add_colophon(node, figure, profile, time.monotonic() - started, partial)
        del node.metadata["papermill"]  # times and absolute paths of this machine
        for cell in node.cells:
            cell.metadata.pop("papermill", None)
        cells = seal(json.dumps(node["cells"], sort_keys=True).encode())
        kept = {"profile": profile, "stamp": made, "files": files, "cells": cells}
        kept["seconds"] = round(time.monotonic() - started, 1)
        kept["megabytes_at_most"] = _largest_child()
        node.metadata["twolayer"] = kept
        (partial / notebook).write_text(json.dumps(node, indent=1, ensure_ascii=False), "utf-8")
        for name in (*files, notebook):
            os.replace(partial / name, folder / name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return figure.id


def _largest_child() -> int | None:
    """Memory in MB of the largest process that this one has started and seen end.

    That is this figure's kernel, or an earlier one's if that was larger.
    """
    try:
        import resource
    except ImportError:  # Windows
        return None
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return round(largest / (1e6 if sys.platform == "darwin" else 1e3))
