"""The templates: stripped of outputs, with one parameters cell, alt texts and files to publish."""

import nbformat
import pytest
import yaml
from conftest import ROOT

from companion.figures.catalogue import load
from companion.site.exercises import by_chapter

FIGURES = load(ROOT)
TEMPLATES = sorted((ROOT / "notebooks").glob("[!.]*.ipynb"))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_template(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    tagged = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    pictures = [cell for cell in code if "plt.show()" in cell.source]
    assert pictures
    for cell in pictures:
        assert len(cell.metadata["mystnb"]["image"]["alt"]) > 60
    assert "publishing.publish(" in code[-1].source


def test_every_template_is_used_and_every_figure_has_a_page():
    assert {f.template.name for f in FIGURES.values()} == {p.name for p in TEMPLATES}
    toc = yaml.safe_load((ROOT / "book/_toc.yml").read_text())
    text = str(toc)
    for name in FIGURES:
        assert f"figures/{name}'" in text


def test_every_exercise_stands_at_the_end_of_its_chapter():
    """The other way round, a chapter without exercises fails the build."""
    asked = set(by_chapter(nbformat.read(ROOT / "notebooks/exercises.ipynb", as_version=4))) - {"*"}
    assert asked == {f.stem for f in (ROOT / "book").glob("*.md") if "{exercises}" in f.read_text()}


@pytest.mark.parametrize("name", FIGURES)
def test_downloads_are_those_of_the_figure(name):
    """Download links are static text in the template and must carry the figure's own id."""
    source = FIGURES[name].template.read_text("utf-8")
    for ending in ("svg", "pdf", "csv"):
        assert f"<{name}.{ending}>" in source
    assert f'name = \\"{name}\\"' in source
