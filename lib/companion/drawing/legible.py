"""Whether the text of a figure can be read, on a phone and in its colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from twolayer.support.checks import InvalidInput

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: On a phone held upright a figure is so many pixels wide, and its smallest text so high.
PHONE, READABLE = 350.0, 7.0
#: The contrast to white that text needs (WCAG 2.1, 1.4.3).
TEXT = 4.5


def contrast(colour: Any) -> float:
    """The contrast of a colour to white, from 1 to 21 (WCAG 2.1).

    Examples
    --------
    >>> contrast("white"), contrast("black")
    (1.0, 21.0)
    """
    from matplotlib.colors import to_rgb

    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return round(1.05 / (float(linear @ (0.2126, 0.7152, 0.0722)) + 0.05), 6)


def check_legible(figure: Figure) -> None:
    """Refuse a figure whose text is too small for a phone, or too pale.

    Raises
    ------
    InvalidInput
        If some text is less than 7 pixels high when the figure is 350 pixels wide, or has a
        contrast to white below 4.5.

    Examples
    --------
    >>> import matplotlib.figure
    >>> wide = matplotlib.figure.Figure(figsize=(12, 4))
    >>> ax = wide.add_subplot(title="small on a phone")
    >>> check_legible(wide)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    twolayer.support.checks.InvalidInput: ...
    """
    from matplotlib.text import Text

    figure.draw_without_rendering()  # makes the labels of the ticks
    scale = PHONE / (72 * figure.get_figwidth())
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip():
            if contrast(text.get_color()) < TEXT:
                got = f"{text.get_text()!r} in {text.get_color()}"
                raise InvalidInput("figure", got, "text that can be read: see colours.readable")
            height = text.get_fontsize() * scale
            if height < READABLE:
                got = f"{text.get_text()!r}, {height:.1f} pixels high on a phone"
                allowed = f"text of {READABLE:g} pixels: a narrower figure or larger text"
                raise InvalidInput("figure", got, allowed)
