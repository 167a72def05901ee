"""Machine code that is kept on disk is always that of the source as it is."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

from twolayer.kernels import compiler

pytestmark = pytest.mark.skipif(not compiler.COMPILED, reason="there is no compiler here")

#: σ and σ' of ReLU at 1.5, by a kernel that calls another file's.
SCRIPT = """
import numpy as np
from twolayer.kernels.sgd import respond
x, value, slope = np.full(1, 1.5), np.empty(1), np.empty(1)
respond(2, x, value, slope)
print(value[0], slope[0], sum(respond.stats.cache_hits.values()))
"""


@pytest.fixture
def package(tmp_path):
    """A copy of the package without machine code."""
    return copied(tmp_path)


@pytest.fixture(scope="module")
def compiled_once(tmp_path_factory):
    package = copied(tmp_path_factory.mktemp("compiled"))
    assert run(package) == (1.5, 1.0, 0, "")
    return package


@pytest.fixture
def compiled(compiled_once, tmp_path):
    """A copy of the package with its machine code."""
    return shutil.copytree(compiled_once, tmp_path / "lib/twolayer")


def copied(place):
    leave = shutil.ignore_patterns("__pycache__")
    return shutil.copytree(ROOT / "lib/twolayer", place / "lib/twolayer", ignore=leave)


def start(package, script=SCRIPT, **environment):
    environment = os.environ | {"PYTHONPATH": str(package.parent)} | environment
    command = [sys.executable, "-c", script]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, cwd=package.parent, **pipes)


def run(package, **environment):
    """σ, σ', how often machine code was found, and what was said."""
    process = start(package, **environment)
    out, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    value, slope, hits = map(float, out.split())
    return value, slope, int(hits), said


def edit(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_an_edit_of_what_a_kernel_calls_is_seen_and_so_is_going_back(compiled):
    file = compiled / "kernels/functions.py"
    assert run(compiled) == (1.5, 1.0, 1, "")
    edit(file, "value[i] = max(x[i], 0.0)", "value[i] = 2.0 * max(x[i], 0.0)")
    edit(file, "slope[i] = 1.0 if", "slope[i] = 2.0 if")
    assert run(compiled) == (3.0, 2.0, 0, "")
    shutil.copy(ROOT / "lib/twolayer/kernels/functions.py", file)
    assert run(compiled) == (1.5, 1.0, 1, "")


def test_another_flag_of_the_compiler_is_seen(compiled):
    edit(compiled / "kernels/compiler.py", 'FAST = {"reassoc", ', "FAST = {")
    assert run(compiled)[2] == 0
    assert run(compiled, NUMBA_OPT="1")[2] == 0
    assert run(compiled, NUMBA_OPT="1")[2] == 1


def test_a_few_folders_are_kept(package):
    kept = 2
    edit(package / "kernels/compiler.py", f"_KEPT = {compiler._KEPT}", f"_KEPT = {kept}")
    for number in range(kept + 2):
        edit(package / "kernels/compiler.py", "\n#: Sums may", f"\n#: {number}\n#: Sums may")
        assert start(package, "import twolayer.kernels.functions").wait() == 0
    assert len(list((package / "kernels/__pycache__").glob("twolayer-*"))) == kept


def test_a_file_that_was_cut_costs_time_only(compiled):
    for file in compiled.rglob("*.nb[ic]"):
        file.write_bytes(file.read_bytes()[:100])
    assert run(compiled) == (1.5, 1.0, 0, "")
    assert run(compiled) == (1.5, 1.0, 1, "")


def test_without_a_place_for_it_kernels_are_compiled_and_it_is_said_once(package, tmp_path):
    (package / "kernels/__pycache__").write_text("no folder")
    nowhere = str(tmp_path / "file")
    open(nowhere, "w").close()
    value, slope, hits, said = run(package, HOME=nowhere, XDG_CACHE_HOME=nowhere)
    assert (value, slope, hits) == (1.5, 1.0, 0)
    assert said.count("Warning") == said.count("machine code cannot be kept") == 1
    assert "NUMBA_CACHE_DIR" in said
    places = {"HOME": nowhere, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    assert run(package, **places) == (1.5, 1.0, 0, "")
    assert run(package, **places) == (1.5, 1.0, 1, "")


def test_processes_that_compile_at_once_do_not_disturb_each_other(package):
    together = [start(package) for _ in range(3)]
    answers = [process.communicate(timeout=300) for process in together]
    assert {out.split()[0] for out, _ in answers} == {"1.5"}
    assert {said for _, said in answers} == {""}
    assert run(package) == (1.5, 1.0, 1, "")


def test_kernels_call_nothing_that_the_name_of_the_folder_does_not_cover():
    for file in (ROOT / "lib/twolayer/kernels").glob("*.py"):
        assert not re.findall(r"(?:from|import) twolayer(?!\.kernels)", file.read_text()), file
