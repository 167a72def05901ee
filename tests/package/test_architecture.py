"""Who stands on whom: the contracts in pyproject.toml hold, imports inside functions included."""

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports


def test_nothing_imports_what_stands_above_it():
    assert lint_imports() == EXIT_STATUS_SUCCESS
