"""Sphinx extension: buttons that open a figure's notebook on Binder or Colab, or download it.

They lead to the template in ``notebooks/``, which is in the repository; the executed notebook of
the page is not.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sphinx.application import Sphinx
from sphinx.util import logging

from companion.figures.catalogue import load

from .repository import git, on_github

logger = logging.getLogger(__name__)


def repository(app: Sphinx) -> tuple[str, str] | None:
    """Owner and name on GitHub, if they can be known."""
    if app.config.launch_repository:
        return on_github(app.config.launch_repository)
    root = Path(app.srcdir).parent
    return on_github(git(root, "remote", "get-url", "origin") or _named_by_actions(root))


def _named_by_actions(root: Path) -> str:
    """The repository that GitHub Actions has checked out here (without git, if there is none)."""
    here = os.environ.get("GITHUB_WORKSPACE")
    if not here or Path(here).resolve() != root.resolve():
        return ""
    server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
    return f"{server}/{os.environ.get('GITHUB_REPOSITORY', '')}"


def buttons(owner: str, name: str, branch: str, template: str) -> list[dict[str, str]]:
    """Binder and Colab."""
    path = quote(f"notebooks/{template}")
    places = {
        "Binder": f"https://mybinder.org/v2/gh/{owner}/{name}/{branch}?urlpath=lab/tree/{path}",
        "Colab": f"https://colab.research.google.com/github/{owner}/{name}/blob/{branch}/{path}",
    }
    clone = f"!git clone https://github.com/{owner}/{name} && pip install -q -e './{name}[figures]'"
    first = f"first run there: {clone}, then restart the session"
    return [
        {
            "type": "link",
            "text": place,
            "tooltip": f"Open this notebook on {place}"
            + (f"; {first}" if place == "Colab" else ""),
            "icon": "fas fa-cloud",
            "url": url,
        }
        for place, url in places.items()
    ]


def add(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Put the buttons on the pages of figures."""
    known = app.env.launch_templates
    if page not in known or "header_buttons" not in context:
        return
    file = known[page]
    target = Path(app.outdir) / "_downloads/notebooks" / file.name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, target)
    download = {
        "type": "link",
        "text": "Notebook",
        "tooltip": "Download this notebook, without outputs",
        "icon": "fas fa-download",
        "url": f"{'../' * page.count('/')}_downloads/notebooks/{file.name}",
    }
    found = repository(app)
    places = buttons(*found, app.config.launch_branch, file.name) if found else []
    group = {
        "type": "group",
        "tooltip": "Open or download this notebook",
        "icon": "fas fa-rocket",
        "buttons": [*places, download],
        "label": "launch-buttons",
    }
    context["header_buttons"].append(group)


def find(app: Sphinx) -> None:
    """Know which page is made of which template."""
    entries = load(Path(app.srcdir).parent)
    app.env.launch_templates = {f"figures/{name}": f.template for name, f in entries.items()}
    if repository(app) is None:
        wanted = "launch_repository in _config.yml as https://github.com/OWNER/NAME"
        if app.config.launch_repository:  # not shown: it may carry a token
            logger.warning("no Binder and Colab buttons: write %s", wanted)
        else:
            logger.info("no Binder and Colab buttons: no remote on GitHub; set %s", wanted)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the event; after the theme has made its own buttons."""
    app.add_config_value("launch_repository", "", "html")
    app.add_config_value("launch_branch", "main", "html")
    app.connect("builder-inited", find)
    app.connect("html-page-context", add, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
