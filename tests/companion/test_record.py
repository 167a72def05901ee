"""What is kept of the profile "paper": added to, replaced, shown, and refused if damaged."""

import json

import pytest
from conftest import FIGURES_YML, ROOT, write_notebook

from companion.figures import make as figures
from companion.figures import record
from companion.figures.catalogue import load
from twolayer.support.checks import InvalidInput

NUMBERS = {
    "results": {},
    "claims": [
        {
            "claim": 3,
            "quantity": "exponent",
            "paper": "1",
            "measured": "0.99",
            "verdict": "yes",
            "note": "",
        }
    ],
    "comparisons": [{"curve": 1.0, "t": 2.0, "printed": 0.1, "as_printed": 0.1, "ours": 0.1}],
}


@pytest.fixture
def two(clone):
    """A clone with two figures that publish the same numbers."""
    other = FIGURES_YML.replace("tiny:", "other:").replace("tiny.ipynb", "other.ipynb")
    (clone / "notebooks/figures.yml").write_text(FIGURES_YML + other)
    for name in ("tiny", "other"):
        write = f"import json; json.dump({NUMBERS}, open('{name}.json', 'w'))"
        write_notebook(clone / f"notebooks/{name}.ipynb", "a = 1\nb = 1", write)
    return clone


def test_figures_are_added_as_they_are_made(two):
    with pytest.raises(InvalidInput, match="--profile paper"):
        record.update(two)
    figures.make(two, ["tiny"], profile="paper")
    figures.make(two, ["other"])
    assert record.update(two) == ["tiny"]
    page = record.page(two)
    assert "1 of 2 figures" in page
    assert "Not yet run at this size: other." in page
    figures.make(two, ["other"], profile="paper")
    assert record.update(two) == ["tiny", "other"]
    page = record.page(two)
    assert "2 of 2 figures" in page
    assert "Not yet run" not in page
    assert page.count("| exponent | 1 | 0.99 | **yes** |") == 2
    assert ":::{dropdown} 3. " in page
    assert "| tiny | 1 | 2 | 0.1 | 0.1 | 0.1 |" in page
    kept = json.loads((two / record.FOLDER / "tiny.json").read_text("utf-8"))
    assert {key: kept[key] for key in NUMBERS} == NUMBERS


def test_what_is_damaged_is_named(clone):
    with pytest.raises(InvalidInput, match="no figure"):
        record.page(clone)
    (clone / record.FOLDER).mkdir()
    for text in ("", "[]", "{}", '{"seconds": 1, "megabytes": 1, "machine": "", "claims": [{}]}'):
        (clone / record.FOLDER / "tiny.json").write_text(text)
        with pytest.raises(InvalidInput, match=r"tiny\.json"):
            record.page(clone)


def test_the_command_says_what_it_did(clone, capsys):
    assert record.main(["--root", str(clone)]) == 1
    assert "error" in capsys.readouterr().err
    figures.make(clone, profile="paper")
    assert record.main(["--root", str(clone)]) == 0
    assert capsys.readouterr().out == "kept tiny\n"


def test_what_is_kept_is_of_figures_that_there_are():
    assert {file.stem for file in (ROOT / record.FOLDER).iterdir()} <= set(load(ROOT))
    assert record.page(ROOT)
