"""Scripts and styles, on the pages that ask for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sphinx.application import Sphinx


def loads(name: str) -> Callable[..., None]:
    """What "html-page-context" calls: pages with `name` in their metadata load its two files."""

    def add_files(app: Sphinx, page: str, *_: Any) -> None:
        if name in app.env.metadata.get(page, {}):
            app.add_js_file(f"{name}.js", loading_method="defer")
            app.add_css_file(f"{name}.css")

    return add_files
