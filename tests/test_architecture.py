"""The picture of the package is drawn from its source, and the source keeps its own promises."""

import re
import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "book/_ext"))
from twolayer_book import architecture

FOUND = architecture.modules(ROOT / "lib/twolayer")


def test_imports_do_not_go_in_a_circle():
    levels = architecture.heights(FOUND)
    assert all(levels[m.name] > levels[n] for m in FOUND.values() for n in m.imports if n in FOUND)


@pytest.mark.parametrize("name", FOUND)
def test_a_docstring_names_what_the_module_builds_on(name):
    """Nothing else, and nothing that it does not import."""
    assert FOUND[name].purpose
    assert FOUND[name].promises <= FOUND[name].ever


def test_all_modules_are_in_the_picture():
    drawn = architecture.picture(FOUND)
    written = re.sub(r"_</text><text[^>]*>", "_", drawn)  # a long name has two lines
    assert all(f">{name}</text>" in written for name in FOUND)
    assert drawn.count("<rect") == len(FOUND)


def test_a_circle_is_found(tmp_path):
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / f"{name}.py").write_text(f'"""Of {name}."""\nfrom twolayer.{other} import x\n')
    with pytest.raises(ValueError, match="a → b → a"):
        architecture.heights(architecture.modules(tmp_path))
