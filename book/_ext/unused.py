"""Take out of style sheets and icon fonts what no page of a site uses.

The theme's style sheets and its icon font are made for every site that there may be; the least of
it is used here.  A rule stays if all classes that it asks
for occur as words in some page or script, so that what a script adds later has its style as well.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

import tinycss2
from fontTools import subset
from tinycss2.ast import Node

#: What a script may put together from parts, by its beginning.
_COMPOSED = "bs-"
_WORD = re.compile(r"[A-Za-z_][\w-]*")
_CLASS = re.compile(r"\.((?:[\w-]|\\.)+)")
#: Classes in these are alternatives, or must be absent.
_FUNCTION = re.compile(r":(?:not|is|where|has)\((?:[^()]|\([^()]*\))*\)")
#: An icon, as style sheets write it: a character of the private use area, or its number.
_ICON = re.compile(r"\\([ef][0-9a-f]{3})\b|([\ue000-\uf8ff])", re.IGNORECASE)


def words(files: Iterable[Path]) -> set[str]:
    """All that may be the name of a class in pages and scripts."""
    return {word for file in files for word in _WORD.findall(file.read_text("utf-8", "ignore"))}


def lean(sheet: str, known: Collection[str]) -> str:
    """A style sheet without the rules that ask for classes of other names.

    Examples
    --------
    >>> lean("a, .one > .two { top: 0 } .one:not(.two) { top: 1 } /* more */", {"one"})
    'a{top: 0}.one:not(.two){top: 1}'
    """
    return _kept(tinycss2.parse_stylesheet(sheet, True, True), known)


def _kept(rules: Iterable[Node], known: Collection[str]) -> str:
    out = []
    for rule in rules:
        if rule.type == "qualified-rule":
            selectors = [each for each in _selectors(rule.prelude) if _asks_for(each) <= known]
            if selectors:
                out.append(f"{','.join(selectors)}{{{_text(rule.content)}}}")
        elif rule.lower_at_keyword in ("media", "supports"):
            inside = _kept(tinycss2.parse_rule_list(rule.content, True, True), known)
            if inside:
                out.append(f"@{rule.at_keyword} {_text(rule.prelude)}{{{inside}}}")
        else:
            out.append(rule.serialize())
    return "".join(out)


def _selectors(tokens: Iterable[Node]) -> list[str]:
    parts: list[list[Node]] = [[]]
    for token in tokens:
        if token == ",":
            parts.append([])
        else:
            parts[-1].append(token)
    return [_text(part) for part in parts]


def _asks_for(selector: str) -> set[str]:
    found = _CLASS.findall(_FUNCTION.sub("", selector))
    return {each for each in found if not each.startswith(_COMPOSED) and "\\" not in each}


def _text(tokens: Iterable[Node]) -> str:
    return tinycss2.serialize([each for each in tokens if each.type != "comment"]).strip()


def icons(sheets: Iterable[str]) -> set[int]:
    r"""The characters of an icon font that style sheets use.

    Examples
    --------
    >>> sorted(map(hex, icons([r'a { content: "\f0c9" }', f'b {{ content: "{chr(0xF0DA)}" }}'])))
    ['0xf0c9', '0xf0da']
    """
    found = (match for sheet in sheets for match in _ICON.findall(sheet))
    return {int(code, 16) if code else ord(character) for code, character in found}


def shrink_font(file: Path, characters: set[int]) -> None:
    """Keep these characters of a WOFF2 font, in its place."""
    options = subset.Options(flavor="woff2", layout_features=[], notdef_outline=True)
    font = subset.load_font(str(file), options)
    worker = subset.Subsetter(options)
    worker.populate(unicodes=characters)
    worker.subset(font)
    subset.save_font(font, str(file), options)


def remove(site: Path) -> None:
    """Make the style sheets and icon fonts of a written site small."""
    used = [*site.rglob("*.html"), *site.glob("_static/**/*.js")]
    known = words(file for file in used if "vendored" not in file.parts)
    sheets = []
    for file in sorted(site.glob("_static/**/*.css")):
        text = file.read_text("utf-8")
        sheets.append(lean(text, known))
        if sheets[-1] != text:
            file.write_text(sheets[-1], "utf-8")
    characters = icons(sheets)
    for file in site.glob("_static/vendor/fontawesome/webfonts/*.woff2"):
        shrink_font(file, characters)
