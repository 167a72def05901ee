"""Nothing is lost: kills, damaged checkpoints, full disks, two at a time."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import trials

import twolayer as tl
from twolayer.sgd import checkpoint, plan, planning, resume
from twolayer.sgd import run as chain
from twolayer.sgd.state import begin
from twolayer.support import netcdf as storage
from twolayer.support import sources
from twolayer.support.lock import Busy, locked
from twolayer.support.versions import versions

TASK, START = tl.Task("erf", noise=0.01), tl.Weights.gaussian(p=3, k=2, d=20, seed=0)
COMMON = {"learning_rate": 0.2, "t_eval": np.linspace(0, 3, 5), "runs": 2, "seed": 4}


def test_25_kills_at_random_moments_change_no_bit():
    kills = trials.kill_and_resume(25)
    assert len(kills.moments) == 25
    assert kills.identical == kills.completed >= 1
    assert max(kills.resumed_at) > 0


@pytest.fixture
def kept(tmp_path):
    """A checkpoint folder of finished runs, and their result."""
    folder = tmp_path / "state"
    return folder, tl.simulate(TASK, START, checkpoint=folder, **COMMON)


def damage(file, how):
    content = bytearray(file.read_bytes())
    if how == "bit":
        content[len(content) - 40] ^= 1
    elif how == "text":
        content = bytearray(b"not a checkpoint at all")
    else:
        content = content[: int(how * len(content))]
    file.write_bytes(content)


@pytest.mark.parametrize("how", [0.0, 0.3, 0.9, 0.999, "bit", "text"])
def test_a_damaged_checkpoint_is_named_set_aside_and_redone(kept, how):
    folder, whole = kept
    damage(folder / "run-00001.nc", how)
    with pytest.warns(RuntimeWarning, match=r"run-00001\.nc.*set aside as run-00001\.nc\.damaged"):
        again = tl.simulate(TASK, START, checkpoint=folder, **COMMON)
    assert trials.same_bits(again, whole)
    assert (folder / "run-00001.nc.damaged").exists()
    damage(folder / "run-00001.nc", how)
    with pytest.warns(RuntimeWarning, match=r"run-00001\.nc\.2\.damaged"):
        tl.simulate(TASK, START, checkpoint=folder, **COMMON)


@pytest.mark.parametrize(
    "changed",
    [
        {"block": -1},
        {"block": 10**9},
        {"random_state": {}},
        {"random_state": {"bit_generator": "PCG64", "state": {}}},
        {"arrays": {"students": np.full((3, 20), np.nan)}},
        {"arrays": {"students": np.zeros((3, 21))}},
    ],
    ids=trials.named,
)
def test_a_checkpoint_with_a_good_seal_is_still_looked_at(kept, changed):
    """Whoever can write a file can seal it: its content must fit, too."""
    folder, whole = kept
    this, _ = planning.make_plan(
        planning.Asked(TASK, START, None, 0.2, COMMON["t_eval"], 4, "auto", "overlaps")
    )
    state, outcome = begin(this, 1)
    fields = {
        "block": 0,
        "random_state": state.draws.state,
        "arrays": {
            "students": state.students,
            "Q": outcome.Q[:0],
            "M": outcome.M[:0],
            "excess_risk": outcome.excess_risk[:0],
        },
    }
    arrays = fields["arrays"] | changed.get("arrays", {})
    content = checkpoint.Checkpoint(**fields | changed | {"arrays": arrays})
    checkpoint.save(folder / "run-00001.nc", resume._agreed(this), content)
    with pytest.warns(RuntimeWarning, match=r"set aside as run-00001\.nc\.damaged"):
        again = tl.simulate(TASK, START, checkpoint=folder, **COMMON)
    assert trials.same_bits(again, whole)


@pytest.mark.parametrize(
    ("changed", "kept_and_asked"),
    [
        ({"learning_rate": 0.3}, r"learning_rate=0\.2.*learning_rate=0\.3"),
        ({"seed": 5}, "seed=4.*seed=5"),
        ({"task": tl.Task("erf", noise=0.02)}, r"noise=0\.01.*noise=0\.02"),
        ({"start": tl.Weights.gaussian(p=3, k=2, d=20, seed=1)}, "start="),
        ({"start": tl.Weights.gaussian(p=4, k=2, d=20, seed=0)}, "p=3.*p=4"),
        ({"record": "norms"}, "record='overlaps'.*record='norms'"),
        ({"method": "direct"}, "method='projected'.*method='direct'"),
    ],
)
def test_other_parameters_are_refused_with_both_shown(kept, changed, kept_and_asked, monkeypatch):
    folder, _ = kept
    rest = COMMON | changed
    task, start = rest.pop("task", TASK), rest.pop("start", START)
    monkeypatch.setattr("twolayer.sgd.simulator.run", None)  # before any work
    with pytest.raises(tl.InvalidInput, match=kept_and_asked) as caught:
        tl.simulate(task, start, checkpoint=folder, **rest)
    assert caught.value.argument == "checkpoint"
    assert not list(folder.glob("*.damaged"))


def halving(t):
    return 0.2 / (1 + t)


SCHEDULES = [
    tl.schedules.cosine(0.3, 0.05, steps=1500),
    tl.schedules.piecewise({0: 0.3, 200: 0.1, 701: 0.2}, in_="samples"),
    tl.schedules.piecewise({0.0: 0.3, 1.01: 0.1, 3.5: 0.2}),
    tl.schedules.warmup(0.3, 2.0, then=tl.schedules.constant(0.2)),
]


@pytest.mark.parametrize(
    "options",
    [
        {"method": "direct"},
        {"method": "projected"},
        {"method": "projected", "batch": 3},
        {"second_layer_rate": 0.1},
        {"learning_rate": halving},
        *({"learning_rate": schedule} for schedule in SCHEDULES),
        {"learning_rate": SCHEDULES[0], "batch": 3, "second_layer_rate": 0.1},
    ],
    ids=[
        "direct",
        "projected",
        "batches",
        "second layer",
        "function",
        *map(trials.named, SCHEDULES),
        "all",
    ],
)
def test_later_times_and_more_runs_go_on_bit_for_bit(tmp_path, options):
    """Whether the first part ends inside a block or between two."""
    common = COMMON | options | {"d": None, "progress": False}
    times = np.linspace(0, 6, 13)
    whole = tl.simulate(TASK, START, **common | {"t_eval": times, "runs": 3})
    first = tl.simulate(TASK, START, **common | {"t_eval": times[:8]}, checkpoint=tmp_path)
    assert trials.same_bits(first, tl.simulate(TASK, START, **common | {"t_eval": times[:8]}))
    went_on = tl.simulate(TASK, START, **common | {"t_eval": times, "runs": 3}, checkpoint=tmp_path)
    assert trials.same_bits(went_on, whole)
    later = tl.simulate(TASK, START, **common | {"t_eval": times[-1:]}, checkpoint=tmp_path)
    np.testing.assert_array_equal(later.Q[:, 0], whole.Q[:2, -1])


@pytest.mark.parametrize("rate", [halving, *SCHEDULES], ids=trials.named)
def test_later_times_under_another_schedule_are_refused(tmp_path, rate):
    """Also where it is another only after the end of what is kept, if that can be known."""
    common = COMMON | {"runs": 1, "checkpoint": tmp_path}
    tl.simulate(TASK, START, **common | {"learning_rate": rate})
    later = common | {"t_eval": np.append(COMMON["t_eval"], 6.0)}
    others = [
        lambda t: 0.2 / (1 + t) if t < 2 else 0.1,
        tl.schedules.cosine(0.3, 0.05, steps=1501),
        tl.schedules.piecewise({0: 0.3, 200: 0.1, 701: 0.2}, in_="steps"),
        tl.schedules.piecewise({0.0: 0.3, 1.01: 0.1, 3.5: 0.25}),
        tl.schedules.warmup(0.3, 2.0, then=tl.schedules.constant(0.1)),
    ]
    for other in others:
        with pytest.raises(tl.InvalidInput, match=r"^checkpoint: .*schedule="):
            tl.simulate(TASK, START, **later | {"learning_rate": other})
    went_on = tl.simulate(TASK, START, **later | {"learning_rate": rate})
    del later["checkpoint"]
    assert trials.same_bits(went_on, tl.simulate(TASK, START, **later | {"learning_rate": rate}))


@pytest.mark.parametrize("method", ["direct", "projected"])
def test_a_run_that_stopped_at_a_risk_goes_on_where_the_block_began(tmp_path, method):
    """Bit for bit, asked for times of which the one that it stopped at is none."""
    common = COMMON | {"method": method, "t_eval": np.linspace(0, 3, 41), "second_layer_rate": 0.1}
    common["runs"] = 1
    whole = tl.simulate(TASK, START, **common)
    common["stop_at_risk"] = float(whole.risk[0, 19])
    first = tl.simulate(TASK, START, **common, checkpoint=tmp_path)
    last = first.t.size - 1
    assert last <= 19
    assert trials.same_bits(first, tl.simulate(TASK, START, **common, checkpoint=tmp_path))
    assert first.steps[-1] % first.provenance["block"]
    without = common | {"t_eval": np.delete(common["t_eval"], last)}
    went_on = tl.simulate(TASK, START, **without, checkpoint=tmp_path)
    assert went_on.t[-1] > first.t[-1]
    assert trials.same_bits(went_on, tl.simulate(TASK, START, **without))
    with pytest.raises(tl.InvalidInput, match=r"^checkpoint: .*stop at risk="):
        tl.simulate(TASK, START, **common | {"stop_at_risk": 0.5}, checkpoint=tmp_path)


def test_times_between_those_recorded_are_refused(kept):
    folder, _ = kept
    with pytest.raises(tl.InvalidInput, match=r"t_eval.*of those recorded, or after \d+ steps"):
        tl.simulate(TASK, START, checkpoint=folder, **COMMON | {"t_eval": [0.0, 1.0, 3.0]})


@pytest.mark.parametrize("name", ["twolayer", "numpy", "scipy", "numba"])
def test_another_version_is_refused_with_both_shown(kept, monkeypatch, name):
    folder, _ = kept
    have = versions()[name]
    monkeypatch.setattr(plan, "versions", lambda: versions() | {name: "99.1"})
    with pytest.raises(tl.InvalidInput, match=f"{name} version='{have}'.*version='99.1'"):
        tl.simulate(TASK, START, checkpoint=folder, **COMMON)


def test_a_change_of_any_file_that_a_run_reaches_is_refused(kept, monkeypatch):
    folder, _ = kept
    reached = sources.reached_from({"twolayer.sgd.run"})
    names = {".".join(name.split(".")[1:]) for name in reached}
    assert {"sgd.plan", "kernels.sgd", "kernels.compiler", "problem.task"} < names
    assert {"activations.known", "activations.erf"} < names
    assert not [name for name in names if name.split(".")[0] in ("flow", "theory", "explorer")]
    more = reached | {"twolayer.other": reached["twolayer.sgd.plan"]}
    monkeypatch.setattr(sources, "reached_from", lambda _: more)
    sources.digest_of.cache_clear()
    with pytest.raises(tl.InvalidInput, match=r"source='\w+'.*source='\w+'"):
        tl.simulate(TASK, START, checkpoint=folder, **COMMON)
    sources.digest_of.cache_clear()


def test_another_format_is_refused_with_both_shown(kept, monkeypatch):
    folder, _ = kept
    monkeypatch.setattr(checkpoint, "_FORMAT", "twolayer checkpoint 9")
    with pytest.raises(tl.InvalidInput, match=r"format 'twolayer checkpoint 3'.*checkpoint 9"):
        tl.simulate(TASK, START, checkpoint=folder, **COMMON)


def test_leftovers_of_a_kill_are_swept(kept):
    folder, _ = kept
    (folder / ".run-00000.nc.abc.partial").write_bytes(b"half")
    tl.simulate(TASK, START, checkpoint=folder, **COMMON)
    assert {f.name for f in folder.iterdir()} == {".lock", "run-00000.nc", "run-00001.nc"}


def test_two_simulations_in_one_folder_do_not_fight(kept):
    folder, _ = kept
    script = """
import sys
from pathlib import Path
from twolayer.support.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", script, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(tl.InvalidInput, match="no other simulation"):
            tl.simulate(TASK, START, checkpoint=folder, **COMMON)
        other.kill()
        other.wait()
    tl.simulate(TASK, START, checkpoint=folder, **COMMON)


def test_forked_children_do_not_hold_the_lock(tmp_path):
    script = """
import os, sys, time
from pathlib import Path
from twolayer.support.lock import locked
with locked(Path(sys.argv[1])):
    if os.fork() == 0:
        time.sleep(600)
        os._exit(0)
    print("held", flush=True)
    time.sleep(60)
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(Busy), locked(tmp_path):
            pass
        other.kill()
        other.wait()
        with locked(tmp_path, waiting=lambda: None):  # the child may not have run yet
            os.killpg(other.pid, signal.SIGKILL)  # it is still there


def test_where_a_file_system_has_no_locks_nothing_is_locked(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with locked(tmp_path):
        pass


def no_work(*_, **__):
    raise AssertionError("work began")


@pytest.fixture(params=["full", "read-only"])
def small_disk(request, tmp_path):
    """A file system of its own, full or read-only; needs to be root."""
    place = tmp_path / "disk"
    place.mkdir()
    option = "size=64k" if request.param == "full" else "ro,size=1m"
    command = ["mount", "-t", "tmpfs", "-o", option, "tmpfs", str(place)]
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a file system")
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("this system lets nobody mount a file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_no_room_is_said_before_the_work(small_disk, monkeypatch):
    monkeypatch.setattr("twolayer.sgd.simulator.run", no_work)
    start = tl.Weights.gaussian(p=30, k=2, d=100, seed=0)
    with pytest.raises(tl.InvalidInput, match=r"^checkpoint: got .*(MB free|Read-only)"):
        tl.simulate(TASK, start, checkpoint=small_disk / "state", **COMMON)


def test_saving_where_there_is_no_room_names_the_file(small_disk):
    run = tl.simulate(TASK, START, **COMMON | {"runs": 60, "t_eval": np.linspace(0, 1, 60)})
    with pytest.raises(OSError, match=r"cannot save to .*a\.nc: .*(No space|Read-only)"):
        run.save(small_disk / "a.nc")
    assert not list(small_disk.iterdir())


def test_the_same_without_being_root(tmp_path, monkeypatch):
    """The check itself, with the system's answers replaced."""
    monkeypatch.setattr("twolayer.sgd.simulator.run", no_work)
    few = SimpleNamespace(free=1000)
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda _: few)
    with pytest.raises(tl.InvalidInput, match=r"0\.0 MB free; it must be a folder on a disk"):
        tl.simulate(TASK, START, checkpoint=tmp_path / "state", **COMMON)


def test_a_disk_that_fills_up_does_not_cost_the_run(tmp_path, monkeypatch):
    whole = tl.simulate(TASK, START, **COMMON)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_netcdf", full)
    with pytest.warns(RuntimeWarning, match="no checkpoint now.*No space"):
        run = tl.simulate(TASK, START, checkpoint=tmp_path / "state", **COMMON)
    assert trials.same_bits(run, whole)


@pytest.mark.parametrize("workers", [None, 2])
def test_a_run_that_blows_up_does_so_again_from_its_checkpoint(tmp_path, workers, monkeypatch):
    monkeypatch.setattr(chain, "_SAVE_EVERY", 0.0)
    monkeypatch.setattr(chain, "_BATCH", 1)
    task = tl.Task("square")
    start = tl.Weights.gaussian(p=2, k=1, d=40, seed=0)
    common = {"learning_rate": 6.0, "t_eval": np.linspace(0, 30, 400), "seed": 1}
    found = []
    for _ in range(3):
        executor = None if workers is None else ThreadPoolExecutor(workers)
        with pytest.raises(tl.Divergence) as caught:
            tl.simulate(task, start, executor=executor, checkpoint=tmp_path / "state", **common)
        found.append(caught.value)
    assert found[0].step == found[1].step == found[2].step
    assert found[0].trajectory.t.size >= 1
    assert trials.same_bits(found[0].trajectory, found[2].trajectory)


def test_nothing_is_warned_of_when_all_is_well(kept):
    folder, whole = kept
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert trials.same_bits(tl.simulate(TASK, START, checkpoint=folder, **COMMON), whole)
