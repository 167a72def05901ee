"""What is installed: pinned, by hash where CI installs it, and without conflicts."""

import re
import subprocess
import sys
import tomllib

from conftest import ROOT


def name_of(requirement):
    return re.match(r"[A-Za-z0-9._-]+", requirement)[0].lower().replace("_", "-").replace(".", "-")


def test_the_lock_has_every_pin_with_hashes():
    """`.ci/lock` makes it anew."""
    pins = {}
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        if "==" in line and not line.startswith("#"):
            pins[name_of(line)] = line.split("==")[1]
    text = (ROOT / "requirements.lock").read_text().replace("\\\n", " ")
    locked = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", line)) >= 1, line[:60]
            locked[name_of(line)] = re.search(r"==([\w.!+]+)", line)[1]
    assert pins.items() <= locked.items(), pins.items() - locked.items()
    extra = set(locked) - set(pins)
    assert len(extra) < 20  # of other systems and versions of Python


def test_ci_installs_by_hash():
    for workflow in ("test", "book", "ranges"):
        text = (ROOT / f".github/workflows/{workflow}.yml").read_text()
        assert "--require-hashes -r requirements.lock" in text


def test_what_is_installed_fits_together():
    done = subprocess.run(
        [sys.executable, "-m", "pip", "check"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout


def test_every_range_has_a_lower_end():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    for wanted in [*project["dependencies"], *(r for extra in extras for r in extra)]:
        assert wanted.startswith("twolayer[") or ">=" in wanted, wanted
