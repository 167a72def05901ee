"""Results as labelled arrays, and on disk and back."""

import json

import numpy as np
import pytest
import xarray

import twolayer as tl


@pytest.fixture(scope="module")
def task():
    return tl.Task("erf", noise=0.02)


@pytest.fixture(scope="module")
def start():
    return tl.Weights.gaussian(p=3, k=2, d=20, seed=0)


@pytest.fixture(scope="module", params=["solve", "simulate"])
def trajectory(request, task, start):
    t = [0.0, 0.5, 2.0]
    if request.param == "solve":
        return tl.solve(task, start.overlaps(), learning_rate=0.3, t_eval=t)
    return tl.simulate(task, start, learning_rate=0.3, t_eval=t, runs=2, seed=1)


def test_risk_is_consistent(trajectory, task):
    np.testing.assert_allclose(trajectory.risk - trajectory.excess_risk, 0.01, rtol=1e-14)
    for run in range(trajectory.M.shape[0] if trajectory.M.ndim == 4 else 1):
        state = trajectory.overlaps(1, run)
        where = (run, 1) if trajectory.M.ndim == 4 else (1,)
        assert tl.risk(task, state) == pytest.approx(trajectory.risk[where], rel=1e-12)


def test_xarray_is_labelled(trajectory):
    data = trajectory.to_xarray()
    lead = ("run",) if trajectory.M.ndim == 4 else ()
    assert data["Q"].dims == (*lead, "time", "neuron", "neuron_2")
    assert data["M"].dims == (*lead, "time", "neuron", "target")
    assert data["P"].dims == ("target", "target_2")
    assert data["excess_risk"].dims == (*lead, "time")
    assert data["time"].attrs["units"] == "p d / γ steps"
    for name in data.data_vars:
        assert data[name].attrs["units"] == "1"
        assert data[name].attrs["long_name"]
    np.testing.assert_array_equal(data["M"].sel(target=1), trajectory.M[..., 1])
    assert json.loads(data.attrs["task"])["noise"] == 0.02
    assert json.loads(data.attrs["parameters"])["learning_rate"] == 0.3
    assert json.loads(data.attrs["provenance"])["numpy"] == np.__version__


def test_save_and_load_bit_for_bit(trajectory, tmp_path):
    path = trajectory.save(tmp_path / "result.nc")
    assert [f.name for f in tmp_path.iterdir()] == ["result.nc"]
    back = tl.Trajectory.load(path)
    for name in ("t", "Q", "M", "P", "excess_risk", "risk"):
        np.testing.assert_array_equal(getattr(back, name), getattr(trajectory, name))
    assert back.task == trajectory.task
    assert back.parameters == trajectory.parameters
    assert back.provenance == trajectory.provenance
    trajectory.save(path)


def test_anybody_can_read_it(trajectory, tmp_path):
    with xarray.open_dataset(trajectory.save(tmp_path / "a.nc")) as data:
        assert data["time"].size == 3


@pytest.mark.parametrize("keep", [0, 3, 200, 900])
def test_damaged_files_are_refused(trajectory, tmp_path, keep):
    path = trajectory.save(tmp_path / "a.nc")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(tl.InvalidInput, match=r"a\.nc"):
        tl.Trajectory.load(path)


def test_other_files_are_refused(tmp_path):
    xarray.Dataset({"x": ("n", np.zeros(3))}).to_netcdf(tmp_path / "other.nc", engine="scipy")
    with pytest.raises(tl.InvalidInput, match="twolayer trajectory"):
        tl.Trajectory.load(tmp_path / "other.nc")
    with pytest.raises(FileNotFoundError):
        tl.Trajectory.load(tmp_path / "none.nc")


def test_saving_needs_a_folder(trajectory, tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        trajectory.save(tmp_path / "missing" / "a.nc")


def softplus(x):
    return np.logaddexp(0.0, x)


def test_functions_of_ones_own_are_given_to_load(tmp_path, start):
    """A file keeps the name of a function; the task brings the function back."""
    own = tl.Task(softplus, "erf", noise=0.02)
    flow = tl.solve(own, start.overlaps(), terms="gradient-flow", t_eval=[0.0, 1.0])
    particles, P = tl.Particles.from_weights(start), start.overlaps().P
    field = tl.solve_mean_field(own, particles, P, d=20, nodes=6, t_eval=[0.0])
    for kept in (flow, field):
        path, load = kept.save(tmp_path / "own.nc"), type(kept).load
        with pytest.raises(tl.InvalidInput, match=r"must be given: .*'softplus'") as caught:
            load(path)
        assert caught.value.argument == "path"
        back = load(path, own)
        assert back.task is own
        np.testing.assert_array_equal(back.M, kept.M)
        for other in (tl.Task(softplus, "erf"), tl.Task(softplus, noise=0.02), tl.Task("erf")):
            with pytest.raises(tl.InvalidInput, match="the one of the file") as caught:
                load(path, task=other)
            assert caught.value.argument == "task"
        with pytest.raises(tl.InvalidInput, match=r"a twolayer\.Task"):
            load(path, task="softplus")
