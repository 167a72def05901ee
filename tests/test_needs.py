"""Programs that tests need: found, else installed once, else said with what to install."""

import dataclasses
import os
import subprocess
import sys
from types import SimpleNamespace

import needs
import pytest
from conftest import ROOT


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A folder that is all of PATH, nothing in it, for one who is not root."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "none"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    return tmp_path


def program(folder, name, script=""):
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return str(file)


def installer(folder, name, brings):
    """A program that keeps a list of what it is asked and, to install, brings another."""
    there = folder / brings
    made = f"printf '#!/bin/sh\\n' > {there}; /bin/chmod +x {there}"
    script = f'echo "$*" >> {folder}/asked; case "$*" in *install*) {made};; esac'
    return program(folder, name, script)


@pytest.mark.parametrize("name", ["chromium", "chromium-browser", "google-chrome"])
def test_a_browser_that_is_there_is_taken(machine, name):
    installer(machine, "apt-get", "other")
    place = program(machine, name)
    assert needs.provide(needs.CHROMIUM, machine) == place
    assert not (machine / "asked").exists()


@pytest.mark.parametrize("need", [needs.CHROMIUM, needs.HUNSPELL], ids=lambda need: need.name)
def test_root_installs_once_what_is_missing_or_does_not_run(machine, monkeypatch, need):
    name = need.name.lower()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    broken = program(machine, name, "exit 1")
    installer(machine, "apt-get", name)
    assert needs.provide(need, machine) == broken
    asked = (machine / "asked").read_text()
    assert [line.split()[3] for line in asked.splitlines()] == ["update", "install"]
    assert asked.endswith(f"-y {' '.join(need.packages)}\n")
    program(machine, name, "exit 1")
    need = dataclasses.replace(need, otherwise=())
    assert needs.provide(need, machine) is None
    assert (machine / "asked").read_text() == asked


def test_others_take_playwrights(machine):
    installer(machine, "apt-get", "other")
    own = installer(machine, "playwright", "chromium")
    need = dataclasses.replace(needs.CHROMIUM, otherwise=(own, "install", "chromium"))
    assert needs.provide(need, machine) == str(machine / "chromium")
    assert (machine / "asked").read_text() == "install chromium\n"


def test_what_cannot_be_had_is_a_skip_and_in_ci_a_failure(machine, monkeypatch):
    need = dataclasses.replace(needs.CHROMIUM, otherwise=(str(machine / "none"),))
    with pytest.raises(
        pytest.skip.Exception, match="`sudo apt-get install chromium` or `"
    ) as caught:
        needs.required(need, machine)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install chromium` or `"):
        needs.required(need, machine)
    reasons = [needs.CHROMIUM.missing, "another reason", needs.CHROMIUM.missing]
    skipped = [SimpleNamespace(longrepr=("file", 1, f"Skipped: {why}")) for why in reasons]
    assert needs.summary(skipped) == [f"2 tests skipped: {needs.CHROMIUM.missing}"]
    assert str(caught.value).startswith("no Chromium that runs")


@pytest.mark.parametrize("ci", ["", "true"])
def test_one_line_at_the_end_says_what_to_install(tmp_path, ci):
    """Of the true tests of spelling, where there is no program at all."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "tests/companion/test_spelling.py",
            "-p",
            "no:cacheprovider",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": str(tmp_path), "CI": ci},
    )
    lines = [line for line in done.stdout.splitlines() if "hunspell-en-gb" in line]
    if ci:
        assert done.returncode == 1
    else:
        assert done.returncode == 0
        assert lines == [f"2 tests skipped: {needs.HUNSPELL.missing}"]
