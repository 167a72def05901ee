"""What the build fetches is checked; what cannot be had is said in one line."""

import base64
import hashlib
import io
import socket
import tarfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from sphinx.errors import ExtensionError

from companion.site import downloads, vendored

CONTENT = b"an archive" * 1000
PACKAGE = vendored.NpmPackage(
    "@scope/name", "1.2", base64.b64encode(hashlib.sha512(CONTENT).digest()).decode(), ()
)


def whole(code=200, content=CONTENT, promised=None):
    """An answer; one that promises more than it gives ends too early."""

    def answer(handler):
        handler.send_response(code)
        handler.send_header("Content-Length", str(len(content) if promised is None else promised))
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def hang_up(handler):
    handler.connection.shutdown(socket.SHUT_RDWR)


def nonsense(handler):
    handler.wfile.write(b"no HTTP at all\r\n\r\n")


@contextmanager
def registry(monkeypatch, *answers):
    """A registry that gives these answers in turn, and the last one for ever."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            answers[min(len(asked), len(answers)) - 1](self)

        def log_message(self, *_):
            pass

    monkeypatch.setattr(downloads.time, "sleep", lambda seconds: None)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("TWOLAYER_NPM_REGISTRY", address)
        yield asked
        server.shutdown()


SHORT = whole(content=CONTENT[:-1], promised=len(CONTENT))
#: What may go wrong, and how it is told.
PASSING = {
    "short": (SHORT, r"IncompleteRead\(9999 bytes read, 1 more expected\)"),
    "cut": (whole(content=CONTENT[:-1]), r"9,999 bytes\) has the sha512 [0-9a-f]{128}, not"),
    "changed": (whole(content=b"Please log in"), r"13 bytes\) has the sha512"),
    "empty": (whole(content=b""), r"0 bytes\) has the sha512"),
    "broken": (whole(code=503), "the server answers 503 Service Unavailable"),
    "gateway": (whole(code=502), "the server answers 502"),
    "busy": (whole(code=429), "the server answers 429 Too Many Requests"),
    "silent": (hang_up, "closed connection without response|reset by peer"),
    "nonsense": (nonsense, "no HTTP at all"),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_may_pass_is_tried_again_and_then_said(monkeypatch, name):
    answer, message = PASSING[name]
    with registry(monkeypatch, answer, answer, whole()) as asked:
        assert vendored.download(PACKAGE) == CONTENT
        assert asked == ["/@scope/name/-/name-1.2.tgz"] * 3
    with registry(monkeypatch, answer) as asked:
        with pytest.raises(ExtensionError, match=message) as caught:
            vendored.download(PACKAGE)
        assert len(asked) == len(downloads.PAUSES) + 1
    said = str(caught.value)
    assert "\n" not in said
    assert said.startswith("cannot fetch http://127.0.0.1:")
    assert "go online, or set TWOLAYER_NPM_REGISTRY" in said


def test_what_will_not_pass_is_said_at_once(monkeypatch):
    with registry(monkeypatch, whole(code=404)) as asked:
        with pytest.raises(ExtensionError, match="the server answers 404 Not Found"):
            vendored.download(PACKAGE)
        assert len(asked) == 1


@pytest.mark.parametrize(
    "address",
    [
        "registry.example.org",
        "htp://registry.example.org",
        "http://[registry",
        "http://127.0.0.1:port",
        "http://user:secret@127.0.0.1:port",
        "http://a place/with blanks",
        "https://",
        "/var/mirror",
    ],
)
def test_an_address_that_is_none_is_said(monkeypatch, address):
    monkeypatch.setenv("TWOLAYER_NPM_REGISTRY", address)
    monkeypatch.setattr(downloads.time, "sleep", lambda seconds: None)
    with pytest.raises(
        ExtensionError, match=r"^cannot fetch .*set TWOLAYER_NPM_REGISTRY"
    ) as caught:
        vendored.download(PACKAGE)
    assert "secret" not in str(caught.value)


def test_offline_is_said(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("TWOLAYER_NPM_REGISTRY", f"http://127.0.0.1:{free.getsockname()[1]}")
        monkeypatch.setattr(downloads.time, "sleep", lambda seconds: None)
        with pytest.raises(ExtensionError, match=r"Connection refused.*go online"):
            vendored.download(PACKAGE)


def test_an_empty_address_is_none(monkeypatch):
    monkeypatch.setenv("TWOLAYER_NPM_REGISTRY", "")
    assert PACKAGE.address == "https://registry.npmjs.org/@scope/name/-/name-1.2.tgz"


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


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / ".cache").write_text("a file in its place")
    with pytest.raises(ExtensionError, match=r"^cannot make .*/vendored-\w+, which pages need"):
        vendored.fetch(tmp_path / ".cache")
