"""The colours of the figures: a hue for each regime, shades for what approaches it.

The hues are Okabe & Ito's and Tol's, which remain distinct under colour blindness; shades
differ in lightness, which everybody sees.  Builds on nothing else of the package.
"""

from __future__ import annotations

import numpy as np

#: The colour of each corner of the triangle, and of what approaches it.
REGIMES = {"gradient flow": "#0072B2", "high-dimensional": "#D55E00", "mean field": "#009E73"}
#: Runs of SGD that are all compared with one curve.
SGD = "#882255"
#: What tells curves apart when it is no size: activations, moments, terms.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#882255", "#56B4E9", "#806000")


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
        The lightest has the contrast 3 to white that lines need (WCAG 1.4.11), the darkest 12.

    Examples
    --------
    >>> shades("#009E73", 3)
    ['#44a681', '#007152', '#003f2c']
    """
    from matplotlib.colors import to_hex, to_rgb

    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    light = linear @ (0.2126, 0.7152, 0.0722)
    found = []
    for contrast in np.geomspace(3.0, 12.0, number):
        wanted = 1.05 / contrast - 0.05
        if wanted < light:
            mixed = linear * wanted / light
        else:  # with white
            mixed = 1 - (1 - linear) * (1 - wanted) / (1 - light)
        low = mixed <= 0.0031308
        found.append(to_hex(np.where(low, 12.92 * mixed, 1.055 * mixed ** (1 / 2.4) - 0.055)))
    return found


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
