"""What the build fetches is checked; without a network it says so."""

import io
import sys
import tarfile
import urllib.error
from contextlib import nullcontext

import pytest
from conftest import ROOT
from sphinx.errors import ExtensionError

sys.path.insert(0, str(ROOT / "book/_ext"))
import vendored


def test_a_changed_archive_is_refused(monkeypatch):
    monkeypatch.setattr(
        vendored.urllib.request, "urlopen", lambda *_, **__: nullcontext(io.BytesIO(b"changed"))
    )
    with pytest.raises(ExtensionError, match=r"requirejs-2\.3\.7\.tgz has the SHA-512"):
        vendored.download(vendored.PACKAGES[0])


def test_offline_is_said(monkeypatch):
    def fail(*_, **__):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(vendored.urllib.request, "urlopen", fail)
    with pytest.raises(ExtensionError, match=r"no route.*go online"):
        vendored.download(vendored.PACKAGES[0])


def test_only_wanted_files_leave_an_archive(tmp_path):
    package = vendored.NpmPackage("x", "1", "", (("a", "out/a"), ("b.js", "b.js")))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in ("package/a/1.js", "package/b.js", "package/c.js", "package/a/../../../evil"):
            entry = tarfile.TarInfo(name)
            entry.size = 2
            archive.addfile(entry, io.BytesIO(b"ok"))
    vendored.unpack(package, buffer.getvalue(), tmp_path / "in")
    found = {f.relative_to(tmp_path).as_posix() for f in tmp_path.rglob("*") if f.is_file()}
    assert found == {"in/out/a/1.js", "in/b.js"}
