"""A figure depends on nothing of its user's, and builds survive what lies about."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PICTURE, ROOT, jupyter_book, write_notebook
from test_book import small_book

from companion.figures import catalogue, freshness
from companion.figures import make as figures
from companion.figures.surroundings import environment

#: A figure that shows whatever of its surroundings gets into it.
DRAW = (
    "%config InlineBackend.figure_formats = ['svg']\n"
    "import matplotlib.pyplot as plt\n"
    "plt.rcParams['svg.hashsalt'] = 'fixed'\n"
    "plt.plot([1, 2], label='line')\n"
    "plt.title('Größe $x^2$')\n"
    "plt.legend()\n"
    "plt.savefig('tiny.svg', metadata={'Date': None})\n"
    "plt.show()",
    "1\n2",
    "import builtins, locale, os, sys, time, warnings\n"
    "import threadpoolctl, numpy, pandas, twolayer\n"
    "from twolayer.kernels.compiler import COMPILED\n"
    "print(COMPILED, [pool['num_threads'] for pool in threadpoolctl.threadpool_info()])\n"
    "print(locale.getlocale(), sys.stdout.encoding, time.tzname, sys.flags.optimize)\n"
    "print(hasattr(builtins, 'tampered'), sys.flags.no_user_site, warnings.filters)\n"
    "print(pandas.DataFrame([range(40)]), twolayer.__file__)",
    "try:\n    import planted\nexcept ImportError:\n    print('not there')",
)
KERNEL = {"argv": ["false", "{connection_file}"], "display_name": "Python 3", "language": "python"}
RC = (
    "backend: Agg\nfigure.dpi: 31\nfont.family: monospace\nlines.color: red\naxes.facecolor: pink\n"
)
TAMPER = "import builtins\nbuiltins.tampered = True\n"
SETTINGS = "c = get_config()\nc.InteractiveShell.ast_node_interactivity = 'all'\n"


def hostile(folder: Path) -> dict[str, str]:
    """The environment of a user who has configured everything that can be."""
    written = {
        "home/.config/matplotlib/matplotlibrc": RC,
        "home/.matplotlib/matplotlibrc": RC,
        "config/matplotlib/matplotlibrc": RC,
        "mpl/matplotlibrc": RC,
        "matplotlibrc": RC,
        "home/.ipython/profile_default/ipython_config.py": SETTINGS,
        "home/.ipython/profile_default/startup/00.py": TAMPER,
        "ipython/profile_default/ipython_kernel_config.py": SETTINGS,
        "ipython/profile_default/startup/00.py": TAMPER,
        "home/.local/share/jupyter/kernels/python3/kernel.json": json.dumps(KERNEL),
        "jupyter/kernels/python3/kernel.json": json.dumps(KERNEL),
        "base/lib/python{}.{}/site-packages/planted.py".format(*sys.version_info): "",
        "path/planted.py": "",
        "path/usercustomize.py": TAMPER,
        "path/kiwisolver.py": "raise ImportError('not the one')",
        "path/ipykernel_launcher.py": "raise ImportError('not the one')",
        "startup.py": TAMPER,
    }
    for name, text in written.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return os.environ | {
        "HOME": str(folder / "home"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": str(folder / "mpl"),
        "MATPLOTLIBRC": str(folder / "mpl/matplotlibrc"),
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_PATH": str(folder / "jupyter"),
        "JUPYTER_DATA_DIR": str(folder / "jupyter"),
        "JUPYTER_CONFIG_DIR": str(folder / "jupyter"),
        "PYTHONPATH": str(folder / "path"),
        "PYTHONUSERBASE": str(folder / "base"),
        "PYTHONSTARTUP": str(folder / "startup.py"),
        "PYTHONOPTIMIZE": "2",
        "PYTHONWARNINGS": "always",
        "PYTHONIOENCODING": "ascii",
        "LC_ALL": "C",
        "TZ": "Asia/Tokyo",
        "TERM": "dumb",
        "COLUMNS": "20",
        "NUMBA_DISABLE_JIT": "1",
        "OPENBLAS_NUM_THREADS": "7",
        "OMP_NUM_THREADS": "7",
        "MKL_NUM_THREADS": "7",
    }


def made(clone: Path, cwd: Path, surroundings: dict[str, str]) -> tuple[list, bytes]:
    """What the figure's notebook shows, and its picture."""
    command = [sys.executable, "-m", "companion.figures", "--force", "--root", str(clone)]
    done = subprocess.run(command, cwd=cwd, env=surroundings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    notebook = (clone / "book/figures/tiny.ipynb").read_text("utf-8")
    cells = json.loads(notebook)["cells"]
    return [cell.get("outputs") for cell in cells], (clone / "book/figures/tiny.svg").read_bytes()


def test_a_figure_has_nothing_of_its_users(clone, tmp_path_factory):
    write_notebook(clone / "notebooks/tiny.ipynb", "a = 1\nb = 1", *DRAW, picture=False)
    plain = made(clone, clone, dict(os.environ))
    place = tmp_path_factory.mktemp("user")
    surroundings = hostile(place)
    assert made(clone, place, surroundings) == plain
    shown = json.dumps(plain[0])
    assert shown.count('"image/svg+xml"') == 1
    assert "stderr" not in shown
    for part in ("True [", "UTF-8", "'UTC'", "False 1", "not there"):
        assert part in shown, part


def test_an_environment_is_not_copied(tmp_path, monkeypatch):
    monkeypatch.setenv("ANYTHING", "at all")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    found = environment(tmp_path, 3)
    assert "ANYTHING" not in found
    assert found["OMP_NUM_THREADS"] == "3"
    assert Path(found["XDG_CACHE_HOME"]).is_absolute()


def test_a_figure_without_a_picture_fails(clone):
    notebook = clone / "notebooks/tiny.ipynb"
    for cell in ("print(a * b)", "import matplotlib\nmatplotlib.use('Agg')\n" + DRAW[0]):
        write_notebook(notebook, "a = 1\nb = 1", cell, picture=False)
        with pytest.raises(figures.FigureError, match=r"tiny: tiny\.ipynb ends without a picture"):
            figures.make(clone)
        assert not list((clone / "book/figures").glob("tiny*"))


def test_every_picture_that_is_described_must_be_there(clone):
    """One of two that is missing is noticed too."""
    notebook = clone / "notebooks/tiny.ipynb"
    write_notebook(notebook, "a = 1\nb = 1", "if a == 1:\n    " + PICTURE)
    content = json.loads(notebook.read_text())
    for cell in content["cells"][1:]:
        cell["metadata"] = {"mystnb": {"image": {"alt": "Nothing."}}}
    notebook.write_text(json.dumps(content))
    with pytest.raises(figures.FigureError, match=r"without the picture of the cell that ends in"):
        figures.make(clone)  # where a is 2


def test_a_figure_that_was_made_without_its_picture_is_made_again(clone):
    figures.make(clone)
    file = clone / "book/figures/tiny.ipynb"
    content = json.loads(file.read_text())
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [out for out in cell["outputs"] if "data" not in out]
    cells = json.dumps(content["cells"], sort_keys=True).encode()
    content["metadata"]["twolayer"]["cells"] = freshness.seal(cells)
    file.write_text(json.dumps(content))
    figure = catalogue.load(clone)["tiny"]
    assert freshness.condition(clone, figure, "quick") == "stale"


def litter(folder: Path, name: str) -> None:
    """What editors and notebooks leave beside a file."""
    (folder / f".#{name}").symlink_to("somebody@somewhere.1234:5678")
    (folder / f".{name}.swp").write_bytes(b"b0VIM \xff\xfe")
    (folder / ".ipynb_checkpoints").mkdir(exist_ok=True)
    stem, _, kind = name.partition(".")
    checkpoint = folder / ".ipynb_checkpoints" / f"{stem}-checkpoint.{kind}"
    for left in (checkpoint, folder / f"{name}~", folder / f"#{name}#", folder / f".~{name}"):
        left.write_bytes(b"not \xff UTF-8")


def test_what_editors_leave_makes_nothing_stale_and_stops_nothing(clone):
    assert figures.make(clone) == ["tiny"]
    litter(clone / "lib/twolayer", "source.py")
    litter(clone / "notebooks", "tiny.ipynb")
    assert figures.make(clone) == []
    assert figures.make(clone, force=True) == ["tiny"]


def test_a_build_survives_its_surroundings(clone, tmp_path_factory):
    """A folder with blanks and letters, no git, editors' files everywhere, names that shadow ours;
    and `clean` finds what was built."""
    root = tmp_path_factory.mktemp("place") / "Bücher & 50 %"
    shutil.copytree(clone, root)
    book = small_book(root)
    extensions = [file.stem for file in (ROOT / "lib/companion/site").glob("[!_]*.py")]
    for folder, name in (
        (root, "_config.yml"),
        (book, "index.md"),
        (book / "_assets", "book.css"),
        (root / "notebooks", "tiny.ipynb"),
        (root / "lib/twolayer", "source.py"),
        (root / "lib/twolayer", "references.bib"),
    ):
        litter(folder, name)
    place = tmp_path_factory.mktemp("user")
    surroundings = hostile(place) | {"PATH": "", "PYTHONWARNINGS": "ignore"}
    del surroundings["PYTHONIOENCODING"]  # Jupyter Book prints the path as it is
    for name in extensions:
        (place / f"path/{name}.py").write_text("raise ImportError('not the one')")
    done = jupyter_book(book, surroundings=surroundings)
    assert done.returncode == 0, done.stdout + done.stderr
    site = root / "_build/html"
    page = (site / "figures/tiny.html").read_text("utf-8")
    assert re.search(r'<img [^>]*src="\.\./_images/\w+\.svg"', page)
    assert "mybinder" not in page
    assert not [file for file in site.rglob("*") if file.name.endswith("~") or "#" in file.name]
    command = [str(Path(sys.executable).with_name("jupyter-book")), "clean", str(book)]
    cleaned = subprocess.run(command, capture_output=True, text=True)
    assert "has been emptied" in cleaned.stdout
    assert not site.exists()
