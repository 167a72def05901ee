"""Make the figures: run each notebook template with the parameters of its profile.

``notebooks/figures.yml`` says which template and parameters belong to which figure;
executed notebooks, with their pictures and data beside them, appear in
``book/figures``.  A figure is stale when the hash of its template, its parameters,
the package's source or the versions of what it runs on differs from the one kept in
the executed notebook.  The book's build calls `make`; by hand::

    python -m twolayer.figures --list
    python -m twolayer.figures 2-right --profile paper --jobs 2

This module is about files and processes; it builds on `errors` alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from twolayer.errors import InvalidInput, choice, integer

#: Profiles, from the fastest to the paper's own sizes.
PROFILES = ("quick", "paper")
#: Packages whose version changes what a figure shows.
_RUNS_ON = ("numpy", "scipy", "numba", "xarray", "matplotlib", "ipykernel")
_ABSENT = "absent"


class FigureError(RuntimeError):
    """A notebook that failed; the message names notebook, cell and error."""


@dataclass(frozen=True)
class Figure:
    """One figure: a template and its parameters per profile.

    Attributes
    ----------
    id : str
        As in the paper: "2-left".
    title : str
    template : Path
    parameters : dict
        Profile → parameters of the template.
    """

    id: str
    title: str
    template: Path
    parameters: Mapping[str, Mapping[str, Any]]


def project_root(start: str | os.PathLike[str] | None = None) -> Path:
    """The nearest folder at or above `start` that holds ``notebooks/figures.yml``.

    Parameters
    ----------
    start : path, optional
        By default the working directory, then the place of the package itself.

    Returns
    -------
    Path

    Raises
    ------
    InvalidInput
        If there is none.
    """
    starts = [Path(start)] if start is not None else [Path.cwd(), Path(__file__)]
    for place in starts:
        for folder in (place.resolve(), *place.resolve().parents):
            if (folder / "notebooks" / "figures.yml").is_file():
                return folder
    raise InvalidInput(
        "root", ", ".join(map(str, starts)), "inside a clone that has notebooks/figures.yml"
    )


def load(root: Path) -> dict[str, Figure]:
    """Read and check ``notebooks/figures.yml``.

    Parameters
    ----------
    root : Path

    Returns
    -------
    dict
        Figure id → `Figure`, in the order of the file.

    Raises
    ------
    InvalidInput
        If an entry lacks a template, a profile or a title, names a file outside
        ``notebooks``, or sets a parameter that its template does not have.
    """
    import yaml

    file = root / "notebooks" / "figures.yml"
    try:
        entries = yaml.safe_load(file.read_text("utf-8"))
    except yaml.YAMLError as error:
        raise InvalidInput("figures.yml", f"a file that is not YAML ({error})", "YAML") from error
    if not isinstance(entries, dict):
        raise InvalidInput("figures.yml", type(entries).__name__, "a mapping from figure ids")
    return {str(name): _figure(root, str(name), entry) for name, entry in entries.items()}


def _figure(root: Path, name: str, entry: Any) -> Figure:
    where = f"figures.yml: {name}"
    if not name.replace("-", "").isalnum():
        raise InvalidInput("figures.yml", name, "figure ids of letters, digits and hyphens")
    wanted = {"title", "template", *PROFILES}
    if not isinstance(entry, dict) or set(entry) != wanted:
        got = sorted(map(str, entry)) if isinstance(entry, dict) else type(entry).__name__
        raise InvalidInput(where, str(got), f"a mapping with exactly {sorted(wanted)}")
    folder = root / "notebooks"
    template = (folder / str(entry["template"])).resolve()
    if template.parent != folder.resolve() or not template.is_file():
        raise InvalidInput(f"{where}: template", str(entry["template"]), f"a file in {folder}")
    known = _template_parameters(template)
    for profile in PROFILES:
        chosen = entry[profile]
        if not isinstance(chosen, dict):
            raise InvalidInput(f"{where}: {profile}", repr(chosen), "a mapping of parameters")
        check_parameters(f"{where}: {profile}", chosen, known)
    return Figure(name, str(entry["title"]), template, {p: entry[p] for p in PROFILES})


def check_parameters(where: str, chosen: Iterable[str], known: Iterable[str]) -> None:
    """Refuse parameters that a template does not have (papermill would only log them)."""
    known = sorted(known)
    unknown = sorted(set(map(str, chosen)) - set(known))
    if unknown:
        raise InvalidInput(where, ", ".join(unknown), "parameters among " + ", ".join(known))


def _template_parameters(template: Path) -> list[str]:
    import papermill

    return list(papermill.inspect_notebook(str(template)))


def stamp(root: Path, figure: Figure, profile: str) -> str:
    """The hash of everything that a figure depends on.

    Parameters
    ----------
    root : Path
    figure : Figure
    profile : str

    Returns
    -------
    str
        Hexadecimal SHA-256.
    """
    digest = hashlib.sha256()
    package = root / "lib" / "twolayer"
    sources = [figure.template, *sorted(package.rglob("*.py")), *sorted(package.rglob("*.csv"))]
    for source in sources:
        digest.update(source.relative_to(root).as_posix().encode() + b"\0")
        digest.update(source.read_bytes() + b"\0")
    digest.update(json.dumps(figure.parameters[profile], sort_keys=True).encode())
    digest.update(json.dumps(_environment(), sort_keys=True).encode())
    return digest.hexdigest()


def _environment() -> dict[str, str]:
    out = {"python": platform.python_version()}
    for name in _RUNS_ON:
        try:
            out[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            out[name] = _ABSENT
    return out


def output_folder(root: Path) -> Path:
    """Where executed notebooks go."""
    return root / "book" / "figures"


def is_fresh(root: Path, figure: Figure, profile: str) -> bool:
    """Whether the executed notebook of this profile, or of a larger one, is up to date."""
    try:
        text = (output_folder(root) / f"{figure.id}.ipynb").read_text("utf-8")
        kept = json.loads(text)["metadata"]["twolayer"]
        made_as, made_stamp, files = kept["profile"], kept["stamp"], kept["files"]
        whole = all((output_folder(root) / name).is_file() for name in files)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    good_enough = PROFILES[PROFILES.index(profile) :]
    return whole and made_as in good_enough and made_stamp == stamp(root, figure, made_as)


def make(
    root: Path,
    ids: Sequence[str] = (),
    profile: str = "quick",
    jobs: int = 2,
    force: bool = False,
) -> list[str]:
    """Make every stale figure.

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

    Returns
    -------
    list of str
        The ids that were made.

    Raises
    ------
    InvalidInput
        If an id or a profile is unknown, or ``figures.yml`` is not in order.
    FigureError
        If a notebook fails.  Figures finished before are kept.
    """
    from tqdm.auto import tqdm

    figures = load(root)
    choice("profile", profile, PROFILES)
    jobs = integer("jobs", jobs, 1)
    for name in ids:
        choice("figure", name, figures)
    wanted = [figures[name] for name in (ids or figures)]
    stale = [f for f in wanted if force or not is_fresh(root, f, profile)]
    if not stale:
        return []
    output_folder(root).mkdir(parents=True, exist_ok=True)
    with (
        ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool,
        tqdm(total=len(stale), desc=f"figures ({profile})", unit="figure") as bar,
    ):
        threads = max(1, (os.cpu_count() or 1) // jobs)
        futures = [pool.submit(_make_one, root, figure, profile, threads) for figure in stale]
        try:
            for future in as_completed(futures):
                bar.set_postfix_str(future.result())
                bar.update()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [figure.id for figure in stale]


def _make_one(root: Path, figure: Figure, profile: str, threads: int) -> str:
    """Run one template in a folder of its own, then move everything into place."""
    import papermill

    # Two kernels whose linear algebra wants all cores would wait for each other.
    for library in ("OPENBLAS", "OMP", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", str(threads))
    made = stamp(root, figure, profile)
    folder = output_folder(root)
    notebook = f"{figure.id}.ipynb"
    partial = Path(tempfile.mkdtemp(prefix=f".{figure.id}-", dir=folder))
    try:
        template = figure.template.relative_to(root)
        try:
            node = papermill.execute_notebook(
                str(figure.template),
                str(partial / notebook),
                parameters=dict(figure.parameters[profile]),
                cwd=str(partial),
                progress_bar=False,
                extra_arguments=["--log-level=ERROR"],
            )
        except papermill.PapermillExecutionError as error:
            raise FigureError(
                f"figure {figure.id}: {template} failed in code cell {error.exec_count} with "
                f"{error.ename}: {error.evalue}\n\n{error.source.strip()}"
            ) from None
        except Exception as error:  # the kernel died, was not found, ...
            raise FigureError(
                f"figure {figure.id}: {template} did not finish: {type(error).__name__}: {error}"
            ) from None
        files = sorted(f.name for f in partial.iterdir() if f.name != notebook)
        node.metadata["twolayer"] = {"profile": profile, "stamp": made, "files": files}
        del node.metadata["papermill"]  # times and absolute paths of this machine
        for cell in node.cells:
            cell.metadata.pop("papermill", None)
        (partial / notebook).write_text(json.dumps(node, indent=1, ensure_ascii=False), "utf-8")
        for name in (*files, notebook):
            os.replace(partial / name, folder / name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return figure.id


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m twolayer.figures", description="Make the figures of the companion."
    )
    parser.add_argument("ids", nargs="*", metavar="id", help="figures to make; all by default")
    parser.add_argument("--list", action="store_true", help="say what there is, and its state")
    parser.add_argument("--profile", default="quick", help=" or ".join(PROFILES))
    parser.add_argument("--jobs", type=int, default=2, help="notebooks that run at once")
    parser.add_argument("--force", action="store_true", help="make them even if up to date")
    parser.add_argument("--root", help="the clone; by default the one around this folder")
    chosen = parser.parse_args(arguments)
    try:
        root = project_root(chosen.root)
        if chosen.list:
            choice("profile", chosen.profile, PROFILES)
            for figure in load(root).values():
                state = "up to date" if is_fresh(root, figure, chosen.profile) else "stale"
                print(f"{figure.id:10} {state:11} {figure.title}  ({figure.template.name})")
            return 0
        made = make(root, chosen.ids, chosen.profile, chosen.jobs, chosen.force)
    except (InvalidInput, FigureError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: the figures finished before are kept", file=sys.stderr)
        return 130
    print(f"made {', '.join(made)}" if made else "everything is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
