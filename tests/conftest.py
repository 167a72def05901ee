"""A miniature clone for tests of the pipeline, the built book, and how the whole suite is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import needs
import pytest

from twolayer.support.lock import locked

ROOT = Path(__file__).resolve().parents[1]

if TYPE_CHECKING:
    from playwright.sync_api import Browser
#: Whose tests begin by building the book, which the files that come last want to be ready; and the
#: longest of these, which the same process does next.
BUILDER, LONGEST = (ROOT / f"tests/companion/test_{name}.py" for name in ("book", "site"))

FIGURES_YML = """\
tiny:
  title: A tiny figure
  template: tiny.ipynb
  quick: {a: 2}
  paper: {a: 3, b: 5}
"""


#: Shows the smallest picture that there is.
PICTURE = "display({'image/svg+xml': '<svg xmlns=\"http://www.w3.org/2000/svg\"/>'}, raw=True)"


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """The whole suite runs in as many processes as there are cores, a file at a time."""
    chosen = config.option
    narrowing = ("file_or_dir", "keyword", "markexpr", "lf", "usepdb")
    part = any(getattr(chosen, name, None) for name in narrowing)
    plugin = config.pluginmanager.hasplugin("xdist") and not hasattr(config, "workerinput")
    if plugin and not part and chosen.numprocesses is None and chosen.dist == "no":
        chosen.numprocesses, chosen.dist = min(os.cpu_count() or 1, 4), "loadfile"
        chosen.loadscopereorder = False
        # Of as many processes as cores the threads of BLAS would wait, busily, for each other.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file at a time, but those two together."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return str(BUILDER.relative_to(ROOT)) if ROOT / file == LONGEST else file

    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The book is built first, and the other files that want it come last."""
    waiting = {i.path for i in items if "built_book" in getattr(i, "fixturenames", ())}
    places = dict.fromkeys(waiting, 3) | {BUILDER: 0, LONGEST: 1}
    items.sort(key=lambda item: places.get(item.path, 2))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was skipped for want of a program, a line each."""
    for line in needs.summary(terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_line(line)


def write_notebook(path: Path, *cells: str, picture: bool = True) -> None:
    """A notebook of code cells, of which the first holds the parameters, the next a picture."""
    cells = (cells[0], PICTURE, *cells[1:]) if picture else cells
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in cells],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
        },
    )
    notebook.cells[0].metadata["tags"] = ["parameters"]
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"code-{number}"
    nbformat.write(notebook, path)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder laid out like the repository, with one figure that takes a second."""
    for folder in ("notebooks", "lib/twolayer", "book"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "lib/twolayer/source.py").write_text("x = 1\n")
    (tmp_path / "notebooks/figures.yml").write_text(FIGURES_YML)
    write_notebook(
        tmp_path / "notebooks/tiny.ipynb",
        "a = 1\nb = 1",
        "open('tiny.json', 'w').write('{\"product\": \"%d\"}' % (a * b))",
        "print(a * b)",
    )
    return tmp_path


def contents(clone: Path) -> dict[str, object]:
    """What a build has made, run times aside."""
    folder = clone / "book/figures"
    out: dict[str, object] = {f.name: f.read_bytes() for f in folder.glob("*.csv")}
    for file in folder.glob("*.ipynb"):
        cells = json.loads(file.read_text())["cells"]
        code = (c for c in cells if c["cell_type"] == "code")  # not the colophon
        out[file.name] = [(c["source"], c["outputs"]) for c in code]
    return out


def jupyter_book(
    book: Path,
    output: Path | None = None,
    *options: str,
    surroundings: Mapping[str, str] = os.environ,
) -> subprocess.CompletedProcess[str]:
    """`jupyter-book build` as the README calls it, warnings being errors."""
    command = [
        str(Path(sys.executable).with_name("jupyter-book")),
        *("build", str(book), "-W", "-n", "--keep-going"),
        *(() if output is None else ("--path-output", str(output))),
        *options,
    ]
    environment = {**surroundings, "NO_COLOR": "1"}
    environment.pop("TWOLAYER_PROFILE", None)
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=book.parent,
        env=environment,
        timeout=1800,
    )


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folders by name, each the same for all processes of this run of the tests."""
    own = tmp_path_factory.getbasetemp()
    place = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def folder(name: str) -> Path:
        (place / name).mkdir(exist_ok=True)
        return place / name

    return folder


@pytest.fixture(scope="session")
def built_book(shared: Callable[[str], Path]) -> Path:
    """The folder of HTML pages of this very book; the first who asks builds it."""
    output = shared("site")
    said = output / "said.json"
    with locked(output, waiting=lambda: None):
        if not said.exists():
            done = jupyter_book(ROOT / "book", output)
            said.write_text(json.dumps([done.returncode, done.stdout, done.stderr]))
    code, out, err = json.loads(said.read_text())
    assert code == 0, out[-3000:] + err[-3000:]
    return output / "_build" / "html"


@pytest.fixture(scope="session")
def chromium_place(shared: Callable[[str], Path]) -> str:
    """Where Chromium is."""
    return needs.required(needs.CHROMIUM, shared("needs"))


@pytest.fixture(scope="session")
def hunspell(shared: Callable[[str], Path]) -> str:
    """Where the spelling checker is."""
    return needs.required(needs.HUNSPELL, shared("needs"))


@pytest.fixture(scope="module")
def browser(chromium_place: str) -> Iterator[Browser]:
    """A running Chromium."""
    from browser import chromium  # half a second that few tests need

    with chromium(chromium_place) as found:
        yield found
