"""The colours of the figures: a hue for each regime, shades for what approaches it.

The hues are Okabe & Ito's and Tol's, which remain distinct under colour blindness; shades
differ in lightness, which everybody sees.
"""

from __future__ import annotations

from typing import Any

from twolayer.support.checks import InvalidInput, check_choice, check_integer

#: The colour of each corner of the triangle, and of what approaches it.
REGIMES = {"gradient flow": "#0072B2", "high-dimensional": "#D55E00", "mean field": "#009E73"}
#: Runs of SGD that are all compared with one curve.
SGD = "#882255"
#: What tells curves apart when it is no size: activations, moments, terms.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#882255", "#499AC8", "#806000")

#: One shade of each, two, ...: contrasts to white from 3 to 12, at equal ratios.
_SHADES = {
    REGIMES["gradient flow"]: (
        ("#7498c2",),
        ("#7498c2", "#00395d"),
        ("#7498c2", "#0068a3", "#00395d"),
        ("#7498c2", "#2877b4", "#00588b", "#00395d"),
        ("#7498c2", "#417fb7", "#0068a3", "#005180", "#00395d"),
        ("#7498c2", "#4d84b9", "#0071b1", "#005e95", "#004c79", "#00395d"),
        ("#7498c2", "#5487bb", "#2877b4", "#0068a3", "#00588b", "#004974", "#00395d"),
    ),
    REGIMES["high-dimensional"]: (
        ("#da7c59",),
        ("#da7c59", "#5e2600"),
        ("#da7c59", "#a54700", "#5e2600"),
        ("#da7c59", "#be5300", "#8d3c00", "#5e2600"),
        ("#da7c59", "#ca5900", "#a54700", "#823600", "#5e2600"),
        ("#da7c59", "#d25d00", "#b44e00", "#974000", "#7b3300", "#5e2600"),
        ("#da7c59", "#d56116", "#be5300", "#a54700", "#8d3c00", "#763100", "#5e2600"),
    ),
    REGIMES["mean field"]: (
        ("#44a681",),
        ("#44a681", "#003f2c"),
        ("#44a681", "#007152", "#003f2c"),
        ("#44a681", "#00835f", "#006145", "#003f2c"),
        ("#44a681", "#008c66", "#007152", "#00583f", "#003f2c"),
        ("#44a681", "#00926a", "#007c59", "#00674a", "#00533b", "#003f2c"),
        ("#44a681", "#00966d", "#00835f", "#007152", "#006145", "#005038", "#003f2c"),
    ),
    SGD: (
        ("#b08b98",),
        ("#b08b98", "#65173e"),
        ("#b08b98", "#934d6a", "#65173e"),
        ("#b08b98", "#9b6278", "#8c355d", "#65173e"),
        ("#b08b98", "#a06c80", "#934d6a", "#892656", "#65173e"),
        ("#b08b98", "#a27284", "#975a72", "#8e3f62", "#842152", "#65173e"),
        ("#b08b98", "#a57688", "#9b6278", "#934d6a", "#8c355d", "#7f1f4f", "#65173e"),
    ),
}
#: Colours too pale for text, and the same with a contrast of 4.5 to white.
_READABLE = {
    "#d55e00": "#c35500",
    "#009e73": "#008761",
    "#499ac8": "#3a7da3",
    "#7498c2": "#5b789a",
    "#417fb7": "#3e7ab0",
    "#4d84b9": "#477aab",
    "#5487bb": "#4b79a9",
    "#da7c59": "#ae6245",
    "#ca5900": "#c35500",
    "#d25d00": "#c25600",
    "#d56116": "#c05713",
    "#44a681": "#348466",
    "#008c66": "#008762",
    "#00926a": "#008761",
    "#00966d": "#008761",
    "#b08b98": "#8c6e79",
    "#a06c80": "#9a687b",
    "#a27284": "#96697a",
    "#a57688": "#956a7a",
}


def shades(colour: str, number: int) -> list[str]:
    """So many shades of a colour of a regime or of SGD, 1 to 7, from light to dark.

    Examples
    --------
    >>> shades("#009E73", 3)
    ['#44a681', '#007152', '#003f2c']
    """
    known = _SHADES[check_choice("colour", colour, _SHADES)]
    if check_integer("number", number, 1) > len(known):
        raise InvalidInput("number", str(number), f"at most {len(known)} shades")
    return list(known[number - 1])


def readable(colour: Any) -> str:
    """A colour for text on white: the same, or darker if it is one of ours and too pale.

    Examples
    --------
    >>> readable("#882255"), readable("#44a681")
    ('#882255', '#348466')
    """
    from matplotlib.colors import to_hex

    return _READABLE.get(to_hex(colour), to_hex(colour))


def tint(colour: str, share: float) -> tuple[float, float, float]:
    """A colour mixed with white, for areas under text; `share` of the colour, in [0, 1].

    Examples
    --------
    >>> tint("#000000", 0.25)
    (0.75, 0.75, 0.75)
    """
    from matplotlib.colors import to_rgb

    red, green, blue = (1 - share * (1 - c) for c in to_rgb(colour))
    return red, green, blue
