"""Numbers as in print: powers of ten, minus signs, units, uncertainties, in one way everywhere."""

from __future__ import annotations

import re

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_POWER = re.compile(r"(?<![\w.])(\([^()]*\)|\d[\d.,]*)e([+-]?\d+)(?!\w)")
_ZERO = re.compile(r"(?<![\w.,)])-(?=0(\.0*)?(?![\d.]))")
_MINUS = re.compile(r"(?<![\w.,)\]}-])-(?=\d)")
_UNIT = re.compile(r"(?<=\d) (?=(?:s|ms|µs|ns|h|MB|GB|%|minutes?|hours?|seconds?)(?!\w))")
#: Code, formulas and addresses in Markdown.
_KEPT = re.compile(r"(`[^`]*`|\$[^$]*\$|\]\([^)]*\))")
_PSI = re.compile(r"Ψ\^(\w+)")


def typeset(text: str) -> str:
    """The text with its numbers as a printer would set them.

    Examples
    --------
    >>> typeset("(3.64 ± 0.39)e-05 at t = 1e+04, from -0.15 to -0.00 in 3 s")
    '(3.64\u00a0±\u00a00.39)\u00a0·\u00a010⁻⁵ at t = 10⁴, from −0.15 to 0.00 in 3\u00a0s'
    """
    text = _POWER.sub(_power, text)
    text = _MINUS.sub("−", _ZERO.sub("", text))
    text = text.replace(" ± ", "\u00a0±\u00a0")
    return _UNIT.sub("\u00a0", text)


def for_tables(text: str) -> str:
    """The same for Markdown: Ψ^Var is raised, code and formulas stay as they are.

    Examples
    --------
    >>> for_tables("without Ψ^Var, `rtol=1e-10`: 1e-10")
    'without Ψ<sup>Var</sup>, `rtol=1e-10`: 10⁻¹⁰'
    """
    parts = _KEPT.split(text)
    parts[::2] = [_PSI.sub(r"Ψ<sup>\1</sup>", typeset(part)) for part in parts[::2]]
    return "".join(parts)


def _power(found: re.Match[str]) -> str:
    mantissa, exponent = found[1], str(int(found[2])).translate(_RAISED)
    if exponent == "⁰":
        return mantissa
    return f"10{exponent}" if mantissa == "1" else f"{mantissa}\u00a0·\u00a010{exponent}"
