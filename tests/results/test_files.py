"""Files are data: whatever is in them, it is read right or refused, and nothing runs."""

import ast
import json

import numpy as np
import pytest
import trials
import xarray
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import twolayer as tl
from companion.claims import measurement as claims
from companion.claims import tables
from twolayer.support import netcdf as storage

TASK = tl.Task("erf", noise=0.1)
START = tl.Weights.gaussian(p=2, k=1, d=20, seed=0)
RUN = tl.simulate(TASK, START, learning_rate=0.1, t_eval=[0.0, 1.0, 2.0], runs=2)
MEAN_FIELD = tl.solve_mean_field(
    tl.Task("square"),
    tl.Particles.from_weights(START),
    START.overlaps().P,
    d=20,
    t_eval=[0.0, 0.5, 1.0],  # more to change than the gaps that NetCDF leaves between names
)
FUZZ = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
KINDS = {"trajectory": (RUN, tl.Trajectory), "mean field": (MEAN_FIELD, tl.MeanFieldTrajectory)}


def read_or_refuse(kind, path):
    """Load; what is read must be what was saved."""
    saved, reader = KINDS[kind]
    try:
        back = reader.load(path)
    except tl.InvalidInput as error:
        return str(error)
    for name in ("t", "M", "P", "a", "a_star", "excess_risk"):
        np.testing.assert_array_equal(getattr(back, name), getattr(saved, name))
    assert back.parameters == saved.parameters
    return None


@pytest.mark.parametrize("kind", KINDS)
def test_every_truncation_is_refused(tmp_path, kind):
    path = KINDS[kind][0].save(tmp_path / "a.nc")
    content = path.read_bytes()
    for keep in [*range(0, 200, 3), *range(200, len(content) - 4, 17)]:
        path.write_bytes(content[:keep])
        assert read_or_refuse(kind, path), keep


@pytest.mark.parametrize("kind", KINDS)
def test_every_changed_byte_is_refused_or_makes_no_difference(tmp_path, kind):
    path = KINDS[kind][0].save(tmp_path / "a.nc")
    content = path.read_bytes()
    refused = 0
    for at in range(0, len(content), 5):
        changed = bytearray(content)
        changed[at] ^= 1 << at % 8
        path.write_bytes(bytes(changed))
        refused += read_or_refuse(kind, path) is not None
    assert refused > 0.9 * len(content) / 5


@FUZZ
@given(data=st.data())
@pytest.mark.parametrize("kind", KINDS)
def test_mutations(tmp_path, kind, data):
    path = KINDS[kind][0].save(tmp_path / "a.nc")
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 8))] = data.draw(
            st.one_of(st.binary(max_size=8), st.sampled_from([b"\xff" * 4, b"\0" * 8, b"\x7f" * 4]))
        )
    path.write_bytes(bytes(content))
    read_or_refuse(kind, path)


@FUZZ
@given(content=st.binary(max_size=300), head=st.sampled_from([b"", b"CDF\x01", b"CDF\x02"]))
def test_bytes_that_were_never_a_file_of_ours(tmp_path, content, head):
    (tmp_path / "a.nc").write_bytes(head + content)
    for kind in KINDS:
        assert read_or_refuse(kind, tmp_path / "a.nc")


def resealed(path, change):
    """The file as somebody would forge it: changed, with a checksum that is right."""
    with xarray.open_dataset(RUN.save(path), engine="scipy", decode_cf=False) as data:
        data = change(data.load())
    storage.write_netcdf(data, path)
    return path


ATTRIBUTES = [
    *(("task", t) for t in ("", "[]", "1", "null", "{}", "[" * 100_000, '{"activation": []}')),
    ("task", '{"activation": "os.system", "target_activation": "erf", "noise": 0}'),
    ("task", '{"activation": "erf", "target_activation": "erf", "noise": NaN}'),
    ("task", '{"activation": "erf", "target_activation": "erf", "noise": "1"}'),
    ("task", '{"activation": "erf", "target_activation": "erf", "noise": -1}'),
    ("task", '{"__class__": "os.system", "args": ["true"]}'),
    *(("parameters", t) for t in ("", "[]", "{", "NaN", "cos\nsystem\n(S'true'\ntR.")),
    *(("provenance", t) for t in ("", "'x'", "{'a': 1}", "{" * 100_000)),
    *(("format", t) for t in ("", "twolayer trajectory 0", "twolayer checkpoint 2")),
]


@pytest.mark.parametrize(("name", "text"), ATTRIBUTES, ids=lambda t: t[:30])
def test_forged_attributes(tmp_path, name, text):
    path = resealed(tmp_path / "a.nc", lambda data: data.assign_attrs({name: text}))
    with pytest.raises(tl.InvalidInput, match=r"a\.nc"):
        tl.Trajectory.load(path)


VARIABLES = {
    "NaN": lambda data: data.assign(M=data["M"] * np.nan),
    "infinite": lambda data: data.assign(P=data["P"] + np.inf),
    "missing": lambda data: data.drop_vars("Q"),
    "no time": lambda data: data.drop_vars("time"),
    "another shape": lambda data: data.assign(P=("one", np.ones(4))),
    "transposed": lambda data: data.transpose(),
    "scalar": lambda data: data.assign(M=0.0),
    "no runs": lambda data: data.isel(run=0, drop=True),
    "no attributes": lambda data: data.drop_attrs(),
}


@pytest.mark.parametrize("change", VARIABLES)
def test_forged_variables(tmp_path, change):
    path = resealed(tmp_path / "a.nc", VARIABLES[change])
    if change == "no runs":  # a good file, of one run
        assert tl.Trajectory.load(path).M.shape == (3, 2, 1)
        return
    with pytest.raises(tl.InvalidInput, match=r"a\.nc"):
        tl.Trajectory.load(path)


def test_attributes_cannot_change_the_numbers(tmp_path):
    """Scale factors and date units are not obeyed."""

    def forge(data):
        for name in ("Q", "M", "excess_risk", "time"):
            data[name].attrs |= {"scale_factor": 2.0, "add_offset": 1.0}
        data["time"].attrs["units"] = "days since 1900-01-01"
        return data

    back = tl.Trajectory.load(resealed(tmp_path / "a.nc", forge))
    assert trials.same_bits(back, RUN)


PUBLISHED = [
    *("", "[]", "1", "null", "{", "[" * 100_000, '{"claims": 1}', '{"claims": [1]}', "\udcff"),
    *(
        '{"claims": [{}]}',
        '{"claims": [{"claim": "1"}]}',
        '{"claims": {"a": 1}}',
        '{"claims": "x"}',
    ),
]


@pytest.mark.parametrize("text", PUBLISHED, ids=lambda t: ascii(t)[:20])
def test_published_json(tmp_path, text):
    (tmp_path / "4.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(tl.InvalidInput, match=r"4\.json.*publish"):
        tables.claims_table(tmp_path)


@FUZZ
@given(data=st.data())
def test_mutations_of_published_json(tmp_path, data):
    entry = claims.Measurement(1, "q", "p", 1.0, 0.1, 0.0, 2.0).as_dict()
    text = json.dumps({"results": {}, "claims": [entry], "comparisons": []})
    at = data.draw(st.integers(0, len(text) - 1))
    text = text[:at] + data.draw(st.text(max_size=4)) + text[at + data.draw(st.integers(0, 9)) :]
    (tmp_path / "4.json").write_text(text, "utf-8")
    try:
        table = tables.claims_table(tmp_path)
    except tl.InvalidInput:
        return
    assert isinstance(table, str)


#: Calls that would let a file run code.
FORBIDDEN = {"eval", "exec", "compile", "unsafe_load", "full_load", "load_module", "__import__"}


def test_nothing_here_can_run_what_a_file_says():
    """No pickle, no eval, and YAML only by the safe loader, anywhere in package or book."""
    sources = [*(ROOT / "lib").rglob("[!.]*.py")]
    assert len(sources) > 20
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names = {alias.name.split(".")[0] for alias in node.names}
                assert not names & {"pickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}
            if isinstance(node, ast.ImportFrom):
                assert node.module not in {"pickle", "shelve", "marshal"}
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                owner = getattr(getattr(node.func, "value", None), "id", "")
                assert name not in FORBIDDEN or (owner, name) == ("re", "compile"), source
                assert (owner, name) not in {("np", "load"), ("yaml", "load"), ("numpy", "load")}
                assert not any(k.arg in ("allow_pickle", "shell") for k in node.keywords), source
