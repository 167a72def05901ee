"""Sphinx extension: the page's third-party scripts come from the page's own host.

Files of pinned npm packages are fetched once, checked against the registry's SHA-512 and
kept in ``.cache/vendored`` beside the book; with anywidget's script, which is in its
Python package, they become ``_static/vendored``.  A content security policy in every page
makes the browser refuse whatever would still come from elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import io
import os
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging

from .cached import made_once
from .downloads import DownloadError, fetched

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class NpmPackage:
    """A package of the npm registry, and which of its files are wanted.

    The hash is the registry's ``dist.integrity``, in base64; `files` are pairs of a path or folder
    in the package and a path below ``vendored``.
    """

    name: str
    version: str
    sha512: str
    files: tuple[tuple[str, str], ...]

    @property
    def address(self) -> str:
        """Where the archive is."""
        registry = os.environ.get("TWOLAYER_NPM_REGISTRY") or "https://registry.npmjs.org"
        base = self.name.rpartition("/")[2]
        return f"{registry.rstrip('/')}/{self.name}/-/{base}-{self.version}.tgz"


#: What MathJax loads beside its core: LaTeX in, HTML out, and MathML for screen readers.  Its
#: combined scripts, with the menu and the speech engine, weigh twice as much.
MATHJAX_PARTS = ("input/tex", "output/chtml", "a11y/assistive-mml")

_WIDGET_FONTS = (
    "1551f4f60c37af51121f.woff2",
    "eeccf4f66002c6f2ba24.woff",
    "be9ee23c0c6390141475.ttf",
)

PACKAGES = (
    NpmPackage(
        "requirejs",
        "2.3.7",
        "DouTG8T1WanGok6Qjg2SXuCMzszOo0eHeH9hDZ5Y4x8Je+9JB38HdTLT4/VA8OaUhBa0JPVHJ0pyBkM1z+pDsw==",
        (("require.js", "require.js"),),
    ),
    NpmPackage(
        "@jupyter-widgets/html-manager",
        "1.0.15",
        "5thBIV6ymNgmPVOHvzx+gGy8ZSKmSazhtGw4/c4xJDVzRhG9PTeQsRjF3FUTopvFi//SABeNz1yp47bCrJ3CQA==",
        (
            ("dist/embed-amd.js", "embed-amd.js"),
            # It looks in the first place over HTTP, in the second from a file.
            *((f"dist/{font}", f"html-manager/dist/{font}") for font in _WIDGET_FONTS),
            *((f"dist/{font}", font) for font in _WIDGET_FONTS),
        ),
    ),
    NpmPackage(
        "mathjax",
        "3.2.2",
        "Bt+SSVU8eBG27zChVewOicYs7Xsdt40qm4+UpHyX7k0/O9NliPc+x77k1/FEsPsjKPZGJvtRZM1vO+geW0OhGw==",
        (
            *((f"es5/{part}", f"mathjax/{part}") for part in ("startup.js", "core.js")),
            *((f"es5/{part}.js", f"mathjax/{part}.js") for part in MATHJAX_PARTS),
            ("es5/output/chtml/fonts", "mathjax/output/chtml/fonts"),
            ("es5/input/tex/extensions", "mathjax/input/tex/extensions"),
        ),
    ),
)

#: RequireJS finds anywidget's front end here, where it would ask a CDN, and the widget
#: manager its fonts, which it would look for beside the page.
PATHS_JS = """\
{
  const at = (name) => new URL(name, document.currentScript.src).href;
  const paths = {anywidget: at("anywidget"), "@jupyter-widgets/html-manager": at("html-manager")};
  require.config({paths});
}
"""

#: For `nb_ipywidgets_js`: what a page with widgets loads, in this order.
WIDGET_SCRIPTS = ("require.js", "paths.js", "embed-amd.js")

#: Inline scripts and styles are the theme's and the notebooks'; blob: is how anywidget
#: imports a widget's code, unsafe-eval is what the widget manager's template engine needs.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self'; worker-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'"
)


def download(package: NpmPackage) -> bytes:
    """The archive of a package, checked against its hash."""
    try:
        return fetched(package.address, "sha512", base64.b64decode(package.sha512))
    except DownloadError as error:
        raise ExtensionError(
            f"{error}. The page's scripts are downloaded once: go online, or set "
            "TWOLAYER_NPM_REGISTRY to the address of a mirror of the npm registry, and build again."
        ) from None


def unpack(package: NpmPackage, archive: bytes, folder: Path) -> None:
    """Write the wanted files, and no others, below `folder`."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as content:
        for member in content.getmembers():
            inside = member.name.partition("/")[2]
            for source, target in package.files:
                rest = inside.removeprefix(source)
                wanted = inside.startswith(source) and (not rest or rest.startswith("/"))
                data = content.extractfile(member) if wanted and ".." not in rest else None
                if data is not None:  # a regular file
                    file = folder / (target + rest)
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(data.read())


def fetch(cache: Path) -> Path:
    """The folder of everything, below `cache`."""
    digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    return made_once(cache / f"vendored-{digest}", fill)


def fill(folder: Path) -> None:
    """Fetch everything into a folder."""
    for package in PACKAGES:
        logger.info("fetching %s %s", package.name, package.version)
        unpack(package, download(package), folder / "vendored")
    (folder / "vendored/paths.js").write_text(PATHS_JS, "utf-8")
    place = importlib.util.find_spec("anywidget")
    assert place is not None  # it is in requirements.txt
    assert place.origin is not None
    script = Path(place.origin).with_name("nbextension") / "index.js"
    shutil.copy(script, folder / "vendored/anywidget.js")


def use(app: Sphinx, config: Any) -> None:
    """Take the folder into ``_static``."""
    cache = Path(app.srcdir).parent / ".cache"
    config.html_static_path = [*config.html_static_path, str(fetch(cache))]
    config.mathjax_path = "vendored/mathjax/startup.js"
    # The size of formulas is book.css's, not that of whatever font a machine has.
    chtml = {"matchFontHeight": False}
    config.mathjax3_config = {"loader": {"load": list(MATHJAX_PARTS)}, "chtml": chtml}
    config.nb_ipywidgets_js = {f"vendored/{name}": {} for name in WIDGET_SCRIPTS}


def add_policy(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object
) -> None:
    """Put the policy into the head of a page."""
    tag = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}" />'
    context["metatags"] = tag + "\n" + context.get("metatags", "")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the events; before the themes and MyST-NB look at the configuration."""
    app.connect("config-inited", use, priority=100)
    app.connect("html-page-context", add_policy)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
