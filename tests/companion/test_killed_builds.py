"""Builds that are killed, damaged, or run two at a time."""

import itertools
import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from conftest import contents, write_notebook

from companion.figures import make as figures
from twolayer.support.checks import InvalidInput
from twolayer.support.lock import locked

TWO = """\
first:
  title: The first
  template: tiny.ipynb
  quick: {a: 2}
  paper: {a: 3, b: 5}
second:
  title: The second
  template: slow.ipynb
  quick: {a: 5}
  paper: {a: 3, b: 5}
"""
#: What one sees of a build that began, has a place to work in, runs a notebook, made a figure.
SIGNS = (".lock", ".partial*", ".partial*/slow.txt", "first.ipynb")
KILLS = 12
BUILD = [sys.executable, "-m", "companion.figures", "--jobs", "2"]


@pytest.fixture
def two(clone):
    """A clone with two figures, of which the second takes a second longer."""
    (clone / "notebooks/figures.yml").write_text(TWO)
    for name, seconds in (("tiny", 0), ("slow", 1)):
        write_notebook(
            clone / f"notebooks/{name}.ipynb",
            "a = 1\nb = 1",
            f"import time\nopen('{name}.txt', 'w').close()\ntime.sleep({seconds})",
            f"open('{name}.csv', 'w').write('%d' % (a * b))",
            "print(a * b)",
        )
    return clone


def processes_in(folder):
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd().startswith(str(folder)) and process.status() != "zombie":
                found.append(process)
        except psutil.Error:
            continue
    return found


def killed(build, folder, sign, delay):
    """Kill a build some seconds after a sign of it is seen; False if it ends before."""
    while build.poll() is None:
        if any(folder.glob(sign)):
            try:
                build.wait(delay)
            except subprocess.TimeoutExpired:
                build.send_signal(signal.SIGKILL)
                build.wait()
                return True
        time.sleep(0.005)
    assert build.returncode == 0
    return False


def test_a_killed_build_goes_on_where_it_was(two):
    """SIGKILL in all its parts: whole figures are kept, no process and no folder is left."""
    build = subprocess.run(BUILD, cwd=two, capture_output=True, text=True, timeout=300)
    assert build.returncode == 0, build.stderr
    whole, folder = contents(two), two / "book/figures"
    signs, rng = itertools.cycle(SIGNS), np.random.default_rng(0)
    kills = 0
    while kills < KILLS:
        if not kills or contents(two) == whole:
            for file in folder.iterdir():
                file.unlink()  # begin again
        build = subprocess.Popen(BUILD, cwd=two, stderr=subprocess.DEVNULL)
        if killed(build, folder, next(signs), rng.uniform(0, 0.5)):
            kills += 1
            deadline = time.monotonic() + 60
            while (left := processes_in(two)) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert not left
        else:
            assert contents(two) == whole
    again = subprocess.run(BUILD, cwd=two, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    assert contents(two) == whole
    assert not list(folder.glob(".partial*"))
    assert figures.make(two) == []


def test_two_builds_at_once_make_each_figure_once(two):
    builds = [
        subprocess.Popen(BUILD, cwd=two, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [build.communicate(timeout=300) for build in builds]
    assert [build.returncode for build in builds] == [0, 0], said
    lines = sorted(out.strip().splitlines()[-1] for out, _ in said)
    assert lines == ["everything is up to date", "made first, second"] or lines == [
        "everything is up to date",
        "made second, first",
    ]


def test_a_damaged_figure_is_named_and_made_again(two, monkeypatch):
    figures.make(two)
    with monkeypatch.context() as patched:  # what is up to date needs no writing
        patched.setattr(figures, "writable_folder", None)
        assert figures.make(two) == []
    whole = contents(two)
    table, notebook = (two / "book/figures" / name for name in ("tiny.csv", "first.ipynb"))
    text = notebook.read_text()
    for file, damaged in (
        (table, "11"),
        (notebook, text.replace("print(a * b)", "print(b * a)")),
        (notebook, text[: len(text) // 2]),
    ):
        file.write_text(damaged)
        with pytest.warns(RuntimeWarning, match=rf"first: damaged \({file.name}\)"):
            assert figures.make(two) == ["first"]
        assert contents(two) == whole


def test_no_room_is_said_before_any_notebook_runs(two, monkeypatch):
    monkeypatch.setattr(figures, "_ROOM", 10**18)
    monkeypatch.setattr(figures, "_run", None)
    with pytest.raises(InvalidInput, match="MB free; it must be a folder on a disk with"):
        figures.make(two)


def test_a_folder_that_cannot_be_written_is_said_before_any_notebook_runs(two, monkeypatch):
    (two / "book/figures").write_text("a file in its place")
    monkeypatch.setattr(figures, "_run", None)
    with pytest.raises(InvalidInput, match="a folder to write in"):
        figures.make(two)


def test_the_lock_dies_with_its_holder(tmp_path):
    script = "import sys; from pathlib import Path; from twolayer.support.lock import locked\n"
    script += "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", script, str(tmp_path)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout.readline() == b"held\n"
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    with locked(tmp_path):
        pass
