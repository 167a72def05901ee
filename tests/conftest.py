"""A miniature clone for tests of the pipeline, and the built book."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]

FIGURES_YML = """\
tiny:
  title: A tiny figure
  template: tiny.ipynb
  quick: {a: 2}
  paper: {a: 3, b: 5}
"""


#: Shows the smallest picture that there is.
PICTURE = "display({'image/svg+xml': '<svg xmlns=\"http://www.w3.org/2000/svg\"/>'}, raw=True)"


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


def jupyter_book(
    book: Path, output: Path | None = None, surroundings: Mapping[str, str] = os.environ
) -> subprocess.CompletedProcess[str]:
    """`jupyter-book build` as the README calls it, warnings being errors."""
    command = [
        str(Path(sys.executable).with_name("jupyter-book")),
        *("build", str(book), "-W", "-n", "--keep-going"),
        *(() if output is None else ("--path-output", str(output))),
    ]
    environment = {**surroundings, "NO_COLOR": "1"}
    environment.pop("TWOLAYER_PROFILE", None)
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=book.parent,
        env=environment,
        timeout=900,
    )


@pytest.fixture(scope="session")
def built_book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of HTML pages of this very book."""
    output = tmp_path_factory.mktemp("site")
    done = jupyter_book(ROOT / "book", output)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    yield output / "_build" / "html"
    shutil.rmtree(output, ignore_errors=True)
