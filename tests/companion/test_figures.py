"""The pipeline: figures.yml is checked, stale figures are made, fresh ones are left alone."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT, write_notebook

from companion.figures import catalogue, freshness
from companion.figures import make as figures
from twolayer.support.checks import InvalidInput


def executed(clone):
    return json.loads((clone / "book/figures/tiny.ipynb").read_text())


def output_of(notebook):
    last = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"][-1]
    return "".join(last["outputs"][0]["text"]).strip()


def test_make_then_nothing_to_do(clone):
    assert figures.make(clone) == ["tiny"]
    assert output_of(executed(clone)) == "2"
    assert json.loads((clone / "book/figures/tiny.json").read_text()) == {"product": "2"}
    assert figures.make(clone) == []
    assert figures.make(clone, force=True) == ["tiny"]
    folder = clone / "book/figures"
    assert {f.name for f in folder.iterdir()} == {".lock", "tiny.ipynb", "tiny.json", "tiny.svg"}


def test_what_was_made_of_a_figure_that_is_gone_goes_too(clone):
    """The tables of the book would show its numbers, and link to a page that there is no more."""
    figures.make(clone)
    (clone / "book/figures/mine.ipynb").write_text("not a notebook")
    listed = clone / "notebooks/figures.yml"
    listed.write_text(listed.read_text().replace("tiny:", "other:", 1))
    assert figures.make(clone) == ["other"]
    made = {f.name for f in (clone / "book/figures").iterdir()}
    assert "other.ipynb" in made
    assert not {"tiny.ipynb", "tiny.svg"} & made
    assert "mine.ipynb" in made


def test_what_makes_a_figure_stale(clone, monkeypatch):
    (clone / "lib/twolayer/other.py").write_text("x = 1\n")
    reaches = "if False:\n    from twolayer.source import x"
    write_notebook(
        clone / "notebooks/tiny.ipynb", "a = 1\nb = 1", reaches, "open('tiny.json', 'w')"
    )
    figure = catalogue.load(clone)["tiny"]
    assert not freshness.is_fresh(clone, figure, "quick")
    figures.make(clone)
    assert freshness.is_fresh(clone, figure, "quick")

    def stale_after(file, change):
        before = file.read_bytes()
        change(file)
        fresh = freshness.is_fresh(clone, catalogue.load(clone)["tiny"], "quick")
        file.write_bytes(before)
        assert freshness.is_fresh(clone, catalogue.load(clone)["tiny"], "quick")
        return not fresh

    assert stale_after(clone / "lib/twolayer/source.py", lambda f: f.write_text("x = 2\n"))
    assert not stale_after(clone / "lib/twolayer/source.py", lambda f: f.write_text("x = 1  # !\n"))
    assert not stale_after(clone / "lib/twolayer/other.py", lambda f: f.write_text("x = 2\n"))
    yml = clone / "notebooks/figures.yml"
    assert stale_after(yml, lambda f: f.write_text(f.read_text().replace("a: 2", "a: 4")))
    notebook = clone / "notebooks/tiny.ipynb"
    assert stale_after(notebook, lambda f: write_notebook(f, "a = 1\nb = 1", "print(a)"))
    assert stale_after(clone / "book/figures/tiny.ipynb", lambda f: f.write_text("{"))
    monkeypatch.setattr(freshness, "versions", lambda packages: {"numpy": "0"})
    assert not freshness.is_fresh(clone, figure, "quick")
    monkeypatch.undo()
    (clone / "book/figures/tiny.json").unlink()
    assert not freshness.is_fresh(clone, figure, "quick")


def test_profiles(clone):
    """A figure made at the paper's size serves the quick profile too, not the other way round."""
    figures.make(clone, profile="paper")
    assert output_of(executed(clone)) == "15"
    assert figures.make(clone) == []
    figures.make(clone, force=True)
    assert figures.make(clone, profile="paper") == ["tiny"]


def test_a_failing_notebook_is_named_with_cell_and_error(clone):
    figures.make(clone)
    before = executed(clone)
    write_notebook(clone / "notebooks/tiny.ipynb", "a = 1\nb = 1", "a / (b - b)")
    with pytest.raises(figures.FigureError) as caught:
        figures.make(clone)
    message = str(caught.value)
    for part in ("tiny.ipynb", "code cell", "ZeroDivisionError", "a / (b - b)"):
        assert part in message
    assert executed(clone) == before
    assert not list((clone / "book/figures").glob(".partial*"))


def test_files_are_called_after_their_figure(clone):
    """Another name would leave the files of an earlier build beside a new page."""
    write_notebook(clone / "notebooks/tiny.ipynb", "a = 1\nb = 1", "open('other.svg', 'w').close()")
    with pytest.raises(figures.FigureError, match=r"other\.svg, which is not called after it"):
        figures.make(clone)
    assert not list((clone / "book/figures").glob("other*"))


def test_a_kernel_that_dies_is_named_too(clone):
    write_notebook(clone / "notebooks/tiny.ipynb", "a = 1\nb = 1", "import os\nos._exit(9)")
    with pytest.raises(figures.FigureError, match=r"figure tiny: notebooks/tiny\.ipynb did not"):
        figures.make(clone)


@pytest.mark.parametrize(
    ("replace", "by", "message"),
    [
        ("a: 2", "a: 2, c: 1", "quick: got c; .* among a, b"),
        ("template: tiny.ipynb", "template: ../../tiny.ipynb", "template"),
        ("template: tiny.ipynb", "template: /etc/passwd", "template"),
        ("template: tiny.ipynb", "template: none.ipynb", "template"),
        ("  title: A tiny figure\n", "", "exactly"),
        ("quick: {a: 2}", "quick: [1]", "mapping"),
        ("tiny:", "../tiny:", "figure ids"),
        ("tiny:", "[tiny", "YAML"),
        ("title: A tiny figure", "title: !!python/object/apply:os.getcwd []", "YAML"),
    ],
)
def test_figures_yml_is_checked(clone, replace, by, message):
    file = clone / "notebooks/figures.yml"
    file.write_text(file.read_text().replace(replace, by))
    with pytest.raises(InvalidInput, match=message):
        figures.make(clone)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ids": ["9-left"]}, "figure: got '9-left'.*'tiny'"),
        ({"profile": "fast"}, "profile: got 'fast'.*'quick', 'paper'"),
        ({"jobs": 0}, "jobs"),
    ],
)
def test_bad_arguments(clone, arguments, message):
    with pytest.raises(InvalidInput, match=message):
        figures.make(clone, **arguments)


def command_line(*arguments, cwd):
    command = [sys.executable, "-m", "companion.figures", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)


def test_command_line(clone):
    listed = command_line("--list", cwd=clone / "notebooks")
    assert listed.returncode == 0
    assert listed.stdout.split()[:2] == ["tiny", "stale"]
    made = command_line("tiny", "--profile", "paper", "--jobs", "1", cwd=clone)
    assert (made.returncode, made.stdout.strip()) == (0, "made tiny")
    assert "up to date" in command_line("--list", cwd=clone).stdout
    assert "everything is up to date" in command_line(cwd=clone).stdout
    wrong = command_line("nope", cwd=clone)
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("error: figure: got 'nope'")


def test_the_real_list_is_in_order():
    listed = catalogue.load(ROOT)
    assert {"2-left", "2-right", "4"} <= set(listed)
    for figure in listed.values():
        assert set(figure.parameters) == set(catalogue.PROFILES)
