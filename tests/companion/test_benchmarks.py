"""The benchmarks: every line runs, the yardsticks compute what the package computes.

Nothing here looks at a time.
"""

import json
import math
import os
import shutil
import subprocess
import sys

import nbformat
import numpy as np
import pytest
from benchmarks import plot, yardsticks
from benchmarks.report import Line, Run
from conftest import ROOT, jupyter_book
from test_book import Page, small_book

import twolayer as tl
from companion.claims.typeset import typeset
from twolayer.flow import right_hand_side
from twolayer.mean_field.field import make_field

BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture(scope="module")
def latest():
    return json.loads((BENCHMARKS / "latest.json").read_text("utf-8"))


def pytest_on_benchmarks(*options):
    command = [sys.executable, "-m", "pytest", "benchmarks", "-q", "-p", "no:xdist", *options]
    alone = {n: value for n, value in os.environ.items() if not n.startswith("PYTEST_")}
    done = subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    return done.stdout


def always(names):
    return sorted(name for name in names if "PyTorch" not in name and "JAX" not in name)


def test_every_benchmark_runs_and_is_in_the_committed_run(latest):
    said = pytest_on_benchmarks("--benchmark-disable", "-rp", "-p", "no:cacheprovider")
    passed = [line for line in said.splitlines() if line.startswith("PASSED benchmarks/bench_")]
    ran = [line.partition("::")[2] for line in passed]
    assert len(ran) > 100
    assert always(ran) == always(one["name"] for one in latest["benchmarks"])


def test_pytest_benchmark_writes_what_the_report_reads(tmp_path, latest):
    file = tmp_path / "run.json"
    quick = ("--benchmark-max-time=0", "--benchmark-min-rounds=1", f"--benchmark-json={file}")
    pytest_on_benchmarks("--benchmark-only", "-k", "test_xi", *quick)
    found = json.loads(file.read_text("utf-8"))
    assert {*found} == {*latest}
    for part in ("machine_info", "commit_info", "run"):
        assert {*found[part]} == {*latest[part]}
    run = Run(found)
    assert run.seconds("test_xi[ours]") > 0
    assert run.info("test_xi[ours]", "error") < 1e-8


def test_the_plot_is_of_the_committed_run(latest, tmp_path):
    run = Run(latest)
    lines = run.lines()
    assert len({line.name for line in lines}) == len(lines) >= 20
    assert sum(line.better is not None for line in lines) >= 18
    assert len(run.costs()) >= 5
    assert {*run.curves()} == {*plot.PANELS}
    plot.draw(run, tmp_path / "latest.svg")
    drawn, committed = (
        f.read_text("utf-8") for f in (tmp_path / "latest.svg", BENCHMARKS / "latest.svg")
    )
    for text in [line.name for line in lines if line.target or line.at_least or line.at_most]:
        assert text in drawn
        assert text in committed


def test_the_page_shows_the_committed_run(clone, latest):
    book = small_book(clone)
    shutil.copy(ROOT / "book/benchmarks.md", book)
    (clone / "benchmarks").mkdir()
    for name in ("report.py", "latest.json", "latest.svg", "stored.json"):
        shutil.copy(BENCHMARKS / name, clone / "benchmarks")
    template = nbformat.read(clone / "notebooks/tiny.ipynb", as_version=4)
    template.cells.insert(0, nbformat.v4.new_markdown_cell("# Tiny"))
    nbformat.write(template, clone / "notebooks/tiny.ipynb")
    toc = (book / "_toc.yml").read_text() + "  - file: benchmarks\n"
    (book / "_toc.yml").write_text(toc)
    done = jupyter_book(book)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    run, page = Run(latest), Page(clone / "_build/html/benchmarks.html")
    text = " ".join(" ".join(page.text).split()).replace("’", "'")  # a typographer at work
    for line in run.lines():
        for cell in line.cells:
            shown = typeset(cell).replace("Ψ^", "Ψ ")  # raised
            assert " ".join(shown.split()) in text, cell
    machine = latest["machine_info"]
    for part in (machine["processor"], f"numpy {machine['versions']['numpy']}"):
        assert part in text
    for said in (*run.costs(), *(row[0] for row in run.sizes())):
        assert said in text
    assert [src for src, alt in page.images if "latest" in src and len(alt) > 60]


def test_what_got_slower_is_marked_whatever_the_machine(latest):
    slow = json.loads(json.dumps(latest))
    timed = [one for one in slow["benchmarks"] if "min" in one["stats"]]
    for n, one in enumerate(timed):
        one["stats"]["min"] *= 3.0 * (1 + (n == 5))
    stored = Run(latest).timed()
    assert Run(latest).slower(stored) == []
    assert Run(slow).slower(stored) == [f"{timed[5]['name']}: 2 times"]


@pytest.mark.parametrize(
    ("value", "targets", "better", "cell"),
    [
        (1.0, {"target": 1.0}, 1.0, "at most 1 s"),
        (2.0, {"target": 1.0}, 0.5, "at most 1 s"),
        (0.0, {"target": 0.0}, math.inf, "at most 0 s"),
        (1.0, {"theirs": 20.0, "at_least": 10.0}, 2.0, "at least 10 ×"),
        (3.0, {"theirs": 1.0, "share": True, "at_most": 1.5}, 0.5, "at most 1.5 ×"),
        (1.0, {"theirs": 20.0}, None, ""),
    ],
)
def test_targets_bound_what_they_say(value, targets, better, cell):
    line = Line("a", "", value, "s", **targets)
    assert line.better == better
    verdict = "" if better is None else "met" if better >= 1 else "not met"
    assert line.cells[-2:] == (cell, verdict)


# --- the yardsticks are honest: they compute the same ---------------------------------------


def test_euler_has_the_packages_right_hand_side():
    start = tl.Weights.gaussian(p=6, k=2, d=30, seed=1, orthonormal_target=True).overlaps()
    task = tl.Task("erf", noise=0.1)
    for full, terms in ((False, "gradient-flow"), (True, "full")):
        dQ, dM = right_hand_side(task, start.P, 0.5, terms)(start.Q, start.M)
        rates = yardsticks.euler_rates(start.Omega, 6, 0.5, 0.1, full)
        assert rates == pytest.approx(np.concatenate((dQ, dM), 1), abs=1e-13)


def test_euler_converges_to_the_packages_solution():
    start = tl.Weights.gaussian(p=3, k=2, d=30, seed=1, orthonormal_target=True).overlaps()
    sol = tl.solve(tl.Task("erf"), start, learning_rate=0.5, t_eval=[1.0])
    errors = []
    for dt in (0.01, 0.005):
        state = yardsticks.euler(start.Omega, 3, 0.5, 0.0, True, dt, np.array([round(1 / dt)]))
        errors.append(np.abs(state[0, :3, :3] - sol.Q[0]).max())
    assert errors[0] < 0.01
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.05)


def test_sample_by_sample_sgd_is_the_papers():
    from reference import sgd_step

    start = tl.Weights.gaussian(p=3, k=2, d=8, seed=0)
    W = start.W
    rng = np.random.default_rng(4)
    x = rng.standard_normal((20, 8)) / np.sqrt(8)
    noise = np.sqrt(0.1) * rng.standard_normal(20)
    for sample, z in zip(x, noise, strict=True):
        W = sgd_step("erf", W, start.W_star, sample, z, 0.7)
    found = yardsticks.numpy_sgd(start.W, start.W_star, 0.7, 0.1, 20, seed=4)
    assert found == pytest.approx(W, abs=1e-13)
    for here, peer in (
        (yardsticks.HAS_TORCH, yardsticks.torch_sgd),
        (yardsticks.HAS_JAX, yardsticks.jax_sgd),
    ):
        if here:
            found = peer(start.W, start.W_star, 0.7, 0.1, 20, seed=4)
            assert found == pytest.approx(W, abs=1e-13)


@pytest.mark.parametrize("outside", [3, math.inf])
@pytest.mark.parametrize("activation", ["square", "erf"])
def test_pairs_give_the_packages_field(activation, outside):
    weights = tl.Weights.gaussian(p=20, k=2, d=5, seed=3, orthonormal_target=True)
    start = tl.Particles.from_weights(weights)
    field = make_field(tl.Task(activation), np.eye(2), start.p, outside, "exact", 40)
    if activation == "square":
        found = yardsticks.pairwise_square(start.m, start.q, outside)
    else:
        found = yardsticks.pairwise_erf(start.m, start.q, outside, 40)
    for ours, theirs in zip(field.drift(start.m, start.q, start.weight), found, strict=True):
        assert theirs == pytest.approx(ours, abs=1e-12)
