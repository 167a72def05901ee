"""The benchmarks: every line runs, the yardsticks compute what the package computes.

Nothing here looks at a time.
"""

import json
import math
import shutil

import nbformat
import numpy as np
import pytest
from benchmarks import __main__ as command
from benchmarks import plot, report, yardsticks
from benchmarks.catalogue import BENCHMARKS
from benchmarks.results import SIZES, Line, Result
from conftest import ROOT, jupyter_book
from test_book import Page, small_book

import twolayer as tl
from twolayer.flow import right_hand_side
from twolayer.mean_field.field import make_field

LATEST = ROOT / "benchmarks/latest.json"


@pytest.fixture(scope="module")
def tiny():
    return command.measure(list(BENCHMARKS), SIZES["tiny"])


def committed():
    return json.loads(LATEST.read_text("utf-8"))


def names(of):
    """Of all lines but those that need PyTorch, which may be absent."""
    return [line["name"] for line in of["lines"] if "PyTorch" not in line["name"]]


def test_every_benchmark_runs(tiny):
    assert tiny["complete"]
    assert len(names(tiny)) == len(set(names(tiny))) >= 20
    assert {curve["panel"] for curve in tiny["curves"]} == set(plot.PANELS)
    assert len(tiny["costs"]) >= 5
    for line in tiny["lines"]:
        assert math.isfinite(line["measured"]), line
        assert line["met"] in (None, True, False)
    assert sum(line["target"] is not None for line in tiny["lines"]) >= 18


def test_a_run_is_written_whole(tiny, tmp_path):
    for count in (1, 2):
        report.write(tiny, tmp_path)
        history = (tmp_path / "history.csv").read_text("utf-8").splitlines()
        assert len(history) == 1 + count * len(tiny["lines"])
    assert json.loads((tmp_path / "latest.json").read_text("utf-8")) == json.loads(json.dumps(tiny))
    plot.draw(tiny, tmp_path / "latest.svg")
    assert (tmp_path / "latest.svg").stat().st_size > 10_000
    text = report.table(tiny)
    assert all(line["what"] in text for line in tiny["lines"])


def test_the_committed_run_has_every_line(tiny):
    latest = committed()
    assert names(latest) == names(tiny)
    assert latest["size"] != "tiny"
    for line in latest["lines"]:
        again = Line(**{key: value for key, value in line.items() if key != "met"})
        assert again.met == line["met"]
    header, *rows = (ROOT / "benchmarks/history.csv").read_text("utf-8").splitlines()
    assert header == ",".join(report.HISTORY)
    assert len(rows) >= len(latest["lines"])


def test_the_page_shows_the_committed_run(clone):
    book = small_book(clone)
    shutil.copy(ROOT / "book/benchmarks.md", book)
    (clone / "benchmarks").mkdir()
    for name in ("report.py", "latest.json", "latest.svg"):
        shutil.copy(ROOT / "benchmarks" / name, clone / "benchmarks")
    template = nbformat.read(clone / "notebooks/tiny.ipynb", as_version=4)
    template.cells.insert(0, nbformat.v4.new_markdown_cell("# Tiny"))
    nbformat.write(template, clone / "notebooks/tiny.ipynb")
    toc = (book / "_toc.yml").read_text() + "  - file: benchmarks\n"
    (book / "_toc.yml").write_text(toc)
    done = jupyter_book(book)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    latest, page = committed(), Page(clone / "_build/html/benchmarks.html")
    text = " ".join(" ".join(page.text).split()).replace("’", "'")  # a typographer at work
    for line in latest["lines"]:
        for cell in report.cells(line):
            assert " ".join(cell.split()) in text, cell
    for part in (latest["machine"]["processor"], f"numpy {latest['machine']['versions']['numpy']}"):
        assert part in text
    for cost in report.costs(latest):
        assert cost in text
    assert [src for src, alt in page.images if "latest" in src and len(alt) > 60]


def test_ctrl_c_keeps_what_is_done(monkeypatch, tmp_path, capsys):
    def stop(size):
        raise KeyboardInterrupt

    done = Result([Line("a", "the first", 1.0, "s", target=2.0)])
    monkeypatch.setattr(command, "BENCHMARKS", {"a": lambda size: done, "b": stop})
    assert command.main(["--size", "tiny", "--output", str(tmp_path / "out")]) == 130
    output = capsys.readouterr().out
    assert "the first" in output
    assert not (tmp_path / "out").exists()


def test_the_catalogue_is_listed(capsys):
    assert command.main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in BENCHMARKS)


def test_targets_bound_what_they_say():
    assert Line("a", "", 1.0, "s", target=1.0).met
    assert not Line("a", "", 1.1, "s", target=1.0).met
    ratio = {"ratio": 20.0, "target": 30.0, "bounds": "ratio"}
    assert Line("a", "", 1.0, "s", **ratio).met
    assert not Line("a", "", 1.0, "s", **ratio, sense="at least").met
    assert Line("a", "", 1.0, "s").met is None
    assert not Line("a", "", math.nan, "s", target=1.0).met


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
    if yardsticks.HAS_TORCH:
        found = yardsticks.torch_sgd(start.W, start.W_star, 0.7, 0.1, 20, seed=4)
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
