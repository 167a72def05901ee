"""What tests need beside Python: found, else installed, else their skips are said in one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from twolayer.support.lock import locked

Command = tuple[str, ...]


@dataclass(frozen=True)
class Need:
    """A program: where it is, what Debian calls it, and how one who is not root gets it."""

    name: str
    find: Callable[[], str | None]
    packages: Command
    otherwise: Command = ()

    @property
    def missing(self) -> str:
        """Why a test is skipped, and the remedy."""
        ways = [("sudo", "apt-get", "install", *self.packages), self.otherwise]
        remedy = " or ".join(f"`{' '.join(way)}`" for way in ways if way)
        return f"no {self.name} that runs, and none could be installed: {remedy}"


def _works(*command: str) -> bool:
    try:
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        quiet = {"stdin": subprocess.DEVNULL, "capture_output": True, "env": environment}
        return subprocess.run(command, **quiet, timeout=900).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def find_chromium() -> str | None:
    """The system's, else Playwright's own."""
    # Half a second that few tests need.
    from playwright.sync_api import sync_playwright

    from companion.site.printable import find_chromium

    with sync_playwright() as playwright:
        return find_chromium(playwright)


def find_hunspell() -> str | None:
    """With an English dictionary."""
    place = shutil.which("hunspell")
    return place if place and _works(place, "-l", "-d", "en_GB") else None


PLAYWRIGHT = str(Path(sys.executable).with_name("playwright"))
CHROMIUM = Need("Chromium", find_chromium, ("chromium",), (PLAYWRIGHT, "install", "chromium"))
HUNSPELL = Need("hunspell", find_hunspell, ("hunspell", "hunspell-en-gb"))


def installs(need: Need) -> Iterable[tuple[Command, ...]]:
    """Ways to install it: the system's for root and for CI, else Playwright's."""
    root = os.geteuid() == 0
    if root or os.environ.get("CI"):
        sudo = () if root else ("sudo", "-n")
        apt = (*sudo, "apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300")
        yield (*apt, "update"), (*apt, "install", "-y", *need.packages)
    if need.otherwise:
        yield ((*need.otherwise, "--with-deps") if root else need.otherwise,)


def provide(need: Need, shared: Path) -> str | None:
    """Where the program is, after at most one attempt to install it for all who share a folder."""
    with locked(shared, waiting=lambda: None):
        tried = shared / f"{need.name}.tried"
        found = need.find()
        if found is None and not tried.exists():
            tried.touch()
            for way in installs(need):
                if all(_works(*command) for command in way):
                    found = need.find()
                if found:
                    break
    return found


def required(need: Need, shared: Path) -> str:
    """Where it is; a test that asks is skipped without it, and fails in CI."""
    found = provide(need, shared)
    if found is None and os.environ.get("CI"):
        pytest.fail(need.missing, pytrace=False)
    return found or pytest.skip(need.missing)


def summary(skipped: Iterable[pytest.TestReport]) -> list[str]:
    """A line for each program that was missing: how many tests were skipped, and the remedy."""
    reasons = [report.longrepr[2].removeprefix("Skipped: ") for report in skipped]
    counts = {need.missing: reasons.count(need.missing) for need in (CHROMIUM, HUNSPELL)}
    return [f"{count} tests skipped: {why}" for why, count in counts.items() if count]
