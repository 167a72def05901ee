"""The project around the code: README, requirements, style."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile

from conftest import ROOT


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
    shutil.copytree(ROOT / "lib", source / "lib", ignore=shutil.ignore_patterns("*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    wheel = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path)]
    subprocess.run([*wheel, str(source)], check=True, timeout=300)
    [file] = tmp_path.glob("twolayer-*.whl")
    with zipfile.ZipFile(file) as content:
        content.extractall(tmp_path / "site")
    held = {p.relative_to(tmp_path / "site") for p in (tmp_path / "site/twolayer").rglob("*.*")}
    ours = {p.relative_to(ROOT / "lib") for p in (ROOT / "lib/twolayer").rglob("*.*")}
    assert {p for p in ours if p.suffix in (".py", ".csv", ".js", ".css", ".typed")} <= held
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
    for path in (ROOT / "lib").rglob("*.py"):
        assert len(path.read_text("utf-8").splitlines()) <= 400, path
