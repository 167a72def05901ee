"""The buttons open this very repository, or there are none; no address leaks what it carries."""

import os
import subprocess
from types import SimpleNamespace

import pytest

from companion.site import inventory, launch
from companion.site.repository import git, on_github


@pytest.mark.parametrize(
    "address",
    [
        "https://github.com/o-1/n.m",
        "https://github.com/o-1/n.m.git",
        "https://github.com/o-1/n.m/",
        "https://github.com/o-1/n.m.git/",
        "http://github.com/o-1/n.m",
        "https://www.github.com/o-1/n.m",
        "https://GitHub.com/o-1/n.m",
        "https://user@github.com/o-1/n.m.git",
        "https://user:token@github.com/o-1/n.m",
        "https://x-access-token:ghs_16C7e42F@github.com/o-1/n.m.git",
        "https://github.com:443/o-1/n.m.git",
        "ssh://git@github.com/o-1/n.m.git",
        "ssh://git@github.com:22/o-1/n.m",
        "ssh://git@ssh.github.com:443/o-1/n.m.git",
        "git+ssh://git@github.com/o-1/n.m.git",
        "git://github.com/o-1/n.m.git",
        "git@github.com:o-1/n.m.git",
        "git@github.com:/o-1/n.m.git",
        "git@github.com:o-1/n.m/",
        "org-77@github.com:o-1/n.m.git",
        "github.com:o-1/n.m",
    ],
)
def test_every_form_of_an_address_on_github(address):
    assert on_github(address) == ("o-1", "n.m")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "https://gitlab.com/o/n",
        "git@gitlab.com:o/n.git",
        "https://github.com.evil.org/o/n",
        "https://github.com@evil.org/o/n",
        "https://evil.org/github.com/o/n",
        "https://notgithub.com/o/n",
        "https://gist.github.com/o/n",
        "https://github.com/o",
        "https://github.com/o/n/tree/main",
        "https://github.com/o/n?x=1",
        "https://github.com/o/..",
        'https://github.com/o/n"><script>',
        "https://user:pass/word@github.com/o/n",
        "https://[github.com/o/n",
        "/srv/github.com/o/n.git",
        "../n",
        "file:///srv/o/n.git",
        r"C:\o\n",
    ],
)
def test_what_is_elsewhere_has_no_buttons(address):
    assert on_github(address) is None


def repository_at(folder, remote):
    folder.mkdir(parents=True, exist_ok=True)
    named = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (
        ["init", "-q"],
        ["remote", "add", "origin", remote],
        [*named, "commit", "-q", "--allow-empty", "-m", "one"],
    ):
        subprocess.run(["git", "-C", str(folder), *command], check=True)


def app(root, configured=""):
    return SimpleNamespace(
        srcdir=root / "book", config=SimpleNamespace(launch_repository=configured)
    )


@pytest.fixture(autouse=True)
def no_actions(monkeypatch):
    for name in [name for name in os.environ if name.startswith(("GITHUB_", "GIT_"))]:
        monkeypatch.delenv(name)


def test_a_clone_knows_its_remote_and_commit(tmp_path):
    repository_at(tmp_path, "https://user:secret@github.com/ours/it.git")
    assert launch.repository(app(tmp_path)) == ("ours", "it")
    assert len(inventory.commit(tmp_path)) == 10
    work = tmp_path / "a work tree"
    command = ["git", "-C", str(tmp_path), "worktree", "add", "-q", "-b", "two", str(work)]
    subprocess.run(command, check=True)
    assert launch.repository(app(work)) == ("ours", "it")


@pytest.mark.parametrize("left", [None, "file", "folder"])
def test_an_archive_within_another_repository_is_not_part_of_it(tmp_path, left):
    """Also if what is called .git there is none."""
    repository_at(tmp_path, "https://github.com/stranger/other")
    root = tmp_path / "deep" / "twolayer-main"
    root.mkdir(parents=True)
    if left == "file":
        (root / ".git").write_text("nothing")
    elif left == "folder":
        (root / ".git").mkdir()
    assert launch.repository(app(root)) is None
    assert inventory.commit(root) == "unknown"


def test_a_repository_that_the_environment_names_is_not_ours(tmp_path, monkeypatch):
    """As where the build is started by a hook of another repository."""
    repository_at(tmp_path / "other", "https://github.com/stranger/other")
    repository_at(tmp_path / "ours", "git@github.com:ours/it.git")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))
    assert launch.repository(app(tmp_path / "ours")) == ("ours", "it")


def test_no_git_is_no_error(tmp_path, monkeypatch):
    repository_at(tmp_path, "https://github.com/ours/it")
    monkeypatch.setenv("PATH", "")
    assert git(tmp_path, "remote") == ""
    assert launch.repository(app(tmp_path)) is None
    assert inventory.commit(tmp_path) == "unknown"


def test_github_actions_names_the_repository_that_it_has_checked_out(tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_REPOSITORY", "ours/it")
    assert launch.repository(app(tmp_path)) is None  # a codespace of another repository
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    assert launch.repository(app(tmp_path)) == ("ours", "it")
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://git.example.org")
    assert launch.repository(app(tmp_path)) is None


def test_what_is_configured_goes_first(tmp_path):
    repository_at(tmp_path, "https://github.com/ours/it")
    assert launch.repository(app(tmp_path, "https://github.com/a/b")) == ("a", "b")
    assert launch.repository(app(tmp_path, "https://gitlab.com/a/b")) is None
