"""The code shown on a page runs as the page shows it: in order, with nothing before it."""

import doctest
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser

import matplotlib
import pytest
from conftest import ROOT
from test_book import PAGES

#: Pages whose code has a test of its own below.
ASKED_MORE = ("cookbook", "own_problem", "reproduce", "second_layer")
#: Sphinx leaves these flags out of what it shows.
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL


class Blocks(HTMLParser):
    """Blocks of code on a page, as (language, text)."""

    def __init__(self, page):
        super().__init__()
        self.found, self._language, self._inside = [], "", False
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        language = re.search(r"highlight-(\w+)", dict(attrs).get("class") or "")
        if tag == "div" and language:
            self._language = language[1]
        if tag == "pre" and self._language:
            self.found.append((self._language, ""))
            self._inside = True

    def handle_endtag(self, tag):
        if tag == "pre" and self._inside:
            self._language, self._inside = "", False

    def handle_data(self, data):
        if self._inside:
            language, text = self.found[-1]
            self.found[-1] = (language, text + data)


def run(file, names):
    """Run the Python of a page in order; examples with prompts have to give what they show."""
    said = []
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    for language, text in Blocks(file).found:
        if language == "python":
            exec(compile(text, file.name, "exec"), names)
        elif ">>> " in text:
            example = doctest.DocTestParser().get_doctest(text, names, file.name, file.name, 0)
            runner.run(example, out=said.append, clear_globs=False)
            names |= example.globs
    assert not said, "".join(said)
    return names


@pytest.fixture
def run_page(built_book, tmp_path, monkeypatch):
    """Run a page's code where nobody else is."""
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    return lambda page: run(built_book / f"{page}.html", {"__name__": "page"})


@pytest.mark.filterwarnings("ignore:FigureCanvasAgg is non-interactive")
@pytest.mark.parametrize("page", [p for p in PAGES if p not in ASKED_MORE])
def test_the_code_of_a_page_runs(run_page, page):
    run_page(page)


def test_there_is_code_on_the_first_page_and_in_the_reference(built_book):
    for page, least in (("index", 2), ("api", 60), ("steps", 1), ("setting", 1)):
        blocks = Blocks(built_book / f"{page}.html").found
        code = [text for language, text in blocks if language == "python" or ">>> " in text]
        assert len(code) >= least, page


COOKBOOK = re.findall(
    r"^## (.*?)\n(.*?)(?=^## |\Z)", (ROOT / "book/cookbook.md").read_text("utf-8"), re.M | re.S
)


@pytest.mark.parametrize(("question", "recipe"), COOKBOOK, ids=[q for q, _ in COOKBOOK])
def test_a_recipe_stands_alone(question, recipe, tmp_path, monkeypatch, capsys):
    """Each has one block of code, which runs by itself and shows something."""
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    (code,) = re.findall(r"```python\n(.*?)```", recipe, re.DOTALL)
    exec(compile(code, question, "exec"), {"__name__": "recipe"})
    assert capsys.readouterr().out.strip() or list(tmp_path.glob("*.svg"))


def test_your_own_problem(run_page):
    names = run_page("own_problem")
    sgd, full, field = names["sgd"], names["full"], names["field"]
    late = full.t > 0.5
    assert sgd.excess_risk.mean(0)[late] == pytest.approx(full.excess_risk[late], rel=0.3)
    assert (names["back"].Q == full.Q).all()
    assert field.excess_risk[-1] < field.excess_risk[0]


def test_how_to_cite(run_page, capsys):
    run_page("reproduce")
    assert "@article{bartlett1933," in capsys.readouterr().out


def test_a_second_layer(run_page):
    names = run_page("second_layer")
    assert names["sol"].a.shape == names["run"].a[0].shape == names["mf"].a.shape == (2, 3)


def commands(built_book):
    """Every `python -m module` and `python file` of the pages, with its options."""
    found = set()
    for page in PAGES:
        for language, text in Blocks(built_book / f"{page}.html").found:
            for line in text.splitlines() if language == "bash" else ():
                words = shlex.split(line.partition("#")[0])
                if "python" in words:
                    rest = words[words.index("python") + 1 :]
                    options = tuple(word for word in rest if word.startswith("--"))
                    found.add((*rest[: 2 if rest[0] == "-m" else 1], options))
    return found


def test_commands_of_the_pages_know_their_options(built_book):
    found = commands(built_book)
    assert len(found) > 3
    for *program, options in found:
        command = [sys.executable, *program, "--help"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, (program, done.stderr)
        assert all(option in done.stdout for option in options), (program, options)
