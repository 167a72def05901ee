r"""Sphinx extension: what stands next to a formula in a line, such as a comma, stays beside it.

To a browser a formula is a box, before and after which a line may end.
"""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

from .written import on_all_pages

_FORMULA = re.compile(r'[(\[“]*<span class="math notranslate nohighlight">[^<]*</span>[^\s<]*')


def unbroken(page: str) -> str:
    r"""The page with every formula and what touches it in a span that does not break.

    Examples
    --------
    >>> comma = '<span class="math notranslate nohighlight">\\(p\\)</span>, then'
    >>> unbroken(comma)
    '<span class="unbroken"><span class="math notranslate nohighlight">\\(p\\)</span>,</span> then'
    """

    def together(found: re.Match[str]) -> str:
        alone = found[0].startswith("<") and found[0].endswith("</span>")
        return found[0] if alone else f'<span class="unbroken">{found[0]}</span>'

    return _FORMULA.sub(together, page)


def setup(app: Sphinx) -> dict[str, Any]:
    """Do so on all pages."""
    on_all_pages(app, lambda page, _: unbroken(page))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
