"""The colours of the figures: a hue for each regime, shades for what approaches it.

The hues are Okabe & Ito's and Tol's, which remain distinct under colour blindness; shades
differ in lightness, which everybody sees.
"""

from __future__ import annotations

from typing import Any

import numpy as np

#: The colour of each corner of the triangle, and of what approaches it.
REGIMES = {"gradient flow": "#0072B2", "high-dimensional": "#D55E00", "mean field": "#009E73"}
#: Runs of SGD that are all compared with one curve.
SGD = "#882255"
#: What tells curves apart when it is no size: activations, moments, terms.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#882255", "#499AC8", "#806000")


#: The contrast to white that lines need, and text (WCAG 2.1, 1.4.11 and 1.4.3), and the darkest.
LINES, TEXT, DARKEST = 3.0, 4.5, 12.0


def shades(colour: str, number: int) -> list[str]:
    """So many shades of a colour, from light to dark, at equal steps of contrast.

    Parameters
    ----------
    colour : str
    number : int
        At least 1.

    Returns
    -------
    list of str
        Of the contrast `LINES` to white, up to `DARKEST`.

    Examples
    --------
    >>> shades("#009E73", 3)
    ['#44a681', '#007152', '#003f2c']
    """
    return [with_contrast(colour, each) for each in np.geomspace(LINES, DARKEST, number)]


def readable(colour: Any) -> str:
    """A colour for text on white: the same, or darker if its contrast is below `TEXT`.

    Parameters
    ----------
    colour : str
        Or whatever Matplotlib takes for one.

    Examples
    --------
    >>> readable("#882255"), readable("#44a681")
    ('#882255', '#348466')
    """
    from matplotlib.colors import to_hex

    # Colours are rounded to 256 steps: hence first, and a little more.
    colour = to_hex(colour)
    return with_contrast(colour, 1.01 * TEXT) if contrast(colour) < TEXT else colour


def contrast(colour: Any) -> float:
    """The contrast of a colour to white, from 1 to 21 (WCAG 2.1).

    Examples
    --------
    >>> contrast("white"), contrast("black")
    (1.0, 21.0)
    """
    return round(1.05 / (_light(_linear(colour)) + 0.05), 6)


def with_contrast(colour: Any, wanted: float) -> str:
    """A colour made darker, or mixed with white, so that its contrast to white is as wanted."""
    from matplotlib.colors import to_hex

    linear, target = _linear(colour), 1.05 / wanted - 0.05
    light = _light(linear)
    if target < light:
        mixed = linear * target / light
    else:  # with white
        mixed = 1 - (1 - linear) * (1 - target) / (1 - light)
    low = mixed <= 0.0031308
    return to_hex(np.where(low, 12.92 * mixed, 1.055 * mixed ** (1 / 2.4) - 0.055))


def _linear(colour: Any) -> np.ndarray:
    """Red, green and blue as amounts of light."""
    from matplotlib.colors import to_rgb

    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def _light(linear: np.ndarray) -> float:
    return float(linear @ (0.2126, 0.7152, 0.0722))


def tint(colour: str, share: float) -> tuple[float, float, float]:
    """A colour mixed with white, for areas under text.

    Parameters
    ----------
    colour : str
    share : float
        Of the colour, in [0, 1].

    Examples
    --------
    >>> tint("#000000", 0.25)
    (0.75, 0.75, 0.75)
    """
    from matplotlib.colors import to_rgb

    red, green, blue = (1 - share * (1 - c) for c in to_rgb(colour))
    return red, green, blue
