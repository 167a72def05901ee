"""The project around the code: README, requirements, style."""

import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest
import yaml
from conftest import ROOT

import twolayer as tl
from twolayer import citing
from twolayer.theory.linear_noise import fluctuations


def test_quick_start_has_exactly_two_one_line_commands():
    readme = (ROOT / "README.md").read_text("utf-8")
    block = re.search(r"<!-- quick start -->\n```bash\n(.*?)```", readme, re.S)
    commands = block[1].strip().splitlines()
    assert len(commands) == 2
    book, tests = commands
    assert book.endswith("jupyter-book build book")
    assert tests.endswith("pytest")
    for command in commands:
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install")


def test_the_ten_lines_of_the_readme_run():
    """The README's example, as it stands, also shown on the page "Reproduce"."""
    readme = (ROOT / "README.md").read_text("utf-8")
    example = re.search(r"```python\n(.*?)```", readme, re.S)[1]
    page = (ROOT / "book/reproduce.md").read_text("utf-8")
    assert example.strip() in page
    done = subprocess.run(
        [sys.executable, "-c", example], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    ode, sgd = map(float, done.stdout.split())
    assert ode > 0
    assert abs(sgd / ode - 1) < 0.2


def test_a_wheel_holds_all_that_the_package_needs(tmp_path):
    """Built, unpacked elsewhere, and the ten lines run from there; no file is left behind."""
    source = tmp_path / "source"  # a build leaves files behind
    made = shutil.ignore_patterns("*.egg-info", "__pycache__", ".*")
    shutil.copytree(ROOT / "lib", source / "lib", ignore=made)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    wheel = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path)]
    subprocess.run([*wheel, str(source)], check=True, timeout=300)
    [file] = tmp_path.glob("twolayer-*.whl")
    with zipfile.ZipFile(file) as content:
        content.extractall(tmp_path / "site")
    assert not (tmp_path / "site/companion").exists()
    held = {p.relative_to(tmp_path / "site") for p in (tmp_path / "site/twolayer").rglob("*.*")}
    ours = {p.relative_to(ROOT / "lib") for p in (ROOT / "lib/twolayer").rglob("[!.]*.*")}
    assert {p for p in ours if p.suffix in (".py", ".csv", ".bib", ".js", ".css", ".typed")} <= held
    readme = (ROOT / "README.md").read_text("utf-8")
    example = re.search(r"```python\n(.*?)```", readme, re.S)[1]
    code = example + "\nprint(tl.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) in done.stdout


def test_requirements_are_pinned_and_cover_the_project():
    lines = (ROOT / "requirements.txt").read_text().split("\n")
    lines = [line for line in lines if line and not line.startswith("#")]
    assert lines[-1] == "-e ."
    pinned = {re.split(r"==", line)[0].lower().replace("_", "-") for line in lines[:-1]}
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[\w.!+]+", line) for line in lines[:-1])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    for wanted in [*project["dependencies"], *(r for extra in extras for r in extra)]:
        name = re.match(r"[A-Za-z0-9._-]+", wanted)[0].lower()
        assert name in pinned or name == "twolayer"


def test_lint_and_format():
    for command in (["check", "."], ["format", "--check", "."]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command], capture_output=True, text=True, cwd=ROOT
        )
        assert done.returncode == 0, done.stdout


def test_modules_stay_small():
    for path in (ROOT / "lib").rglob("[!.]*.py"):
        assert len(path.read_text("utf-8").splitlines()) <= 320, path


def test_every_entry_of_the_api_reference_has_an_example():
    """Functions and classes; doctest runs them.  A misspelt name fails."""
    module, without = "", []
    for line in (ROOT / "book/api.md").read_text("utf-8").splitlines():
        if match := re.match(r"\.\. currentmodule:: (\S+)", line):
            module = match[1]
        elif match := re.match(r"\.\. auto(?:class|function|exception):: (\S+)", line):
            owner, _, name = f"{module}.{match[1]}".rpartition(".")
            if match[1].startswith("twolayer."):
                owner, _, name = match[1].rpartition(".")
            entry = getattr(importlib.import_module(owner), name)
            without += [match[1]] if ">>>" not in entry.__doc__ else []
    assert module
    assert not without


def test_what_is_cited_by_its_number_is_in_the_bibliography():
    known = (ROOT / "lib/twolayer/references.bib").read_text("utf-8")
    for folder, kind in (
        ("book", "[!.]*.md"),
        ("notebooks", "[!.]*.ipynb"),
        ("lib", "[!.]*.py"),
    ):
        for file in (ROOT / folder).rglob(kind):
            text = file.read_text("utf-8")
            for number in re.findall(r"(?:arXiv:|arxiv\.org/abs/)(\d{4}\.\d{4,5})", text):
                assert number in known, f"{file.name}: {number}"


def test_how_to_cite_says_what_the_citation_file_says():
    known = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    paper, companion, *_ = citing.entries().values()
    flat = companion.replace("{", "").replace("}", "")
    for part in (known["title"], known["version"], known["license"]):
        assert str(part) in flat, part
    wanted = known["preferred-citation"]
    flat = paper.replace("{", "").replace("}", "").replace("\\&", "&")
    parts = [wanted["title"], wanted["volume"], wanted["start"], wanted["end"], wanted["year"]]
    parts += [wanted["url"], *(author["family-names"] for author in wanted["authors"])]
    for part in parts:
        assert str(part) in flat, part
    lines = (ROOT / "lib/twolayer/references.bib").read_text("utf-8").splitlines()
    assert "\n".join(lines[:10]) == paper  # the lines that the page shows
    assert "\n".join(lines[10:17]) == companion
    assert paper in (ROOT / "README.md").read_text("utf-8")


def keys(bibtex):
    return re.findall(r"@\w+\{(\w+),", bibtex)


def test_a_citation_names_what_was_used():
    start = tl.Weights.gaussian(p=2, k=1, d=500, seed=0)
    options = {"learning_rate": 0.1, "t_eval": [1e-3]}
    run = tl.simulate(tl.Task("relu"), start, method="projected", **options)
    assert keys(tl.citation(run)) == ["arnaboldi2023", "twolayer", "cho2009kernel", "bartlett1933"]
    sphere = tl.simulate(tl.Task("square"), start, norm="fixed", method="direct", **options)
    assert keys(tl.citation(sphere))[2:] == ["arnaboldi2023escaping"]
    particles = tl.Particles.from_weights(start)
    field = tl.solve_mean_field(tl.Task("square"), particles, [[1.0]], d=500, t_eval=[0.1])
    assert keys(tl.citation(field))[2] == "mei2018"
    band = fluctuations(tl.Task("erf"), start.overlaps(), d=500, **options)
    assert "vankampen2007" in keys(tl.citation(band))
    assert set(citing.BEHIND) <= set(citing.entries())
    with pytest.raises(tl.InvalidInput, match=r"^result: "):
        tl.citation("run")
