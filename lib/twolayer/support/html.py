"""Small tables for notebooks, of text that is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

import numpy as np


def table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """A title and rows of a name and a text, as HTML.

    Examples
    --------
    >>> table("Task", [("noise", "0 < 1")])
    '<table><caption>Task</caption><tr><th>noise</th><td>0 &lt; 1</td></tr></table>'
    """
    lines = (f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows)
    return f"<table><caption>{escape(title)}</caption>{''.join(lines)}</table>"


def ranges(title: str, arrays: Iterable[tuple[str, np.ndarray]]) -> str:
    """A title and from where to where the entries of arrays go, as HTML.

    Examples
    --------
    >>> ranges("Weights", [("a", np.array([1.0, 2.0]))])
    '<table><caption>Weights</caption><tr><th>a</th><td>1 to 2</td></tr></table>'
    """
    return table(title, ((name, _range(values)) for name, values in arrays))


def _range(values: np.ndarray) -> str:
    low, high = values.min(), values.max()
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
