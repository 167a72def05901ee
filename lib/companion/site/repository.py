"""What git knows of a clone, and of it alone; where there is no git, or no clone, nothing."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

_HOSTS = ("github.com", "www.github.com", "ssh.github.com")
_SCHEMES = ("https", "http", "ssh", "git", "git+ssh", "git+https")
#: git's short form of an address of ssh: user@host:path.
_SHORT = re.compile(r"(?:[^/@:]+@)?([^/@:]+):(?!//)(.*)")
_PLACE = re.compile(r"/*([A-Za-z0-9_-]+)/([A-Za-z0-9._-]+?)(?:\.git)?/*")


def git(root: Path, *command: str) -> str:
    """What git answers about the repository whose top `root` is; "" if it has nothing to say.

    A repository around the folder is somebody else's, and so is one that the environment names
    (as within a hook).
    """
    try:
        done = subprocess.run(
            ["git", "--git-dir", str(root / ".git"), *command],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def on_github(address: str) -> tuple[str, str] | None:
    """Owner and name in the address of a repository on GitHub, in any form that git takes.

    User, password and port are left behind: an address may carry a token.

    Examples
    --------
    >>> on_github("git@github.com:owner/name.git")
    ('owner', 'name')
    >>> on_github("https://user:secret@github.com/owner/name/")
    ('owner', 'name')
    >>> on_github("https://example.org/github.com/owner/name")
    """
    try:
        parts = urlsplit(address)
        host, path = parts.hostname or "", parts.path
        known = parts.scheme in _SCHEMES and not parts.query and not parts.fragment
    except ValueError:
        return None
    if short := _SHORT.fullmatch(address):
        host, path, known = short[1].lower(), short[2], True
    place = _PLACE.fullmatch(path)
    if not (known and host in _HOSTS and place) or not place[2].strip("."):
        return None
    return place[1], place[2]
