"""Every word of the prose is in an English dictionary, or in our list of names and terms."""

import json
import re
import subprocess

import pytest
from conftest import ROOT

WORDS = ROOT / "tests/words.txt"
#: Directives that hold prose; other fences hold code, formulas or lists of files.
PROSE = ("admonition", "dropdown", "figure", "glossary", "note", "tip", "warning")
#: What is no prose within a paragraph: formulas, code, roles, targets, addresses, files.
NO_PROSE = re.compile(
    r"\$\$.*?\$\$(?: \(\w+\))?|\$[^$]*\$|`[^`]*`|\{\w+(?::\w+)?\}|\]\([^)]*\)|https?://\S+|<[^>\n]+>"
    r"|\[@[^\]]*\]|[\w.-]+@[\w.-]+|\\begin\{.*?\\end\{\w+\*?\}"
    r"|[\w./-]+\.(?:md|py|ipynb|yml|toml|txt|nc|cff|json|csv|svg|pdf)\b",
    re.S,
)
pytestmark = pytest.mark.usefixtures("hunspell")


def prose():
    """Name → text, of the pages, the notebooks and what stands at the root."""
    pages = [*(ROOT / "book").glob("[!.]*.md"), *ROOT.glob("[!.]*.md")]
    out = {page.name: page.read_text("utf-8") for page in pages}
    for notebook in (ROOT / "notebooks").glob("[!.]*.ipynb"):
        cells = json.loads(notebook.read_text("utf-8"))["cells"]
        out[notebook.name] = "\n".join(
            "".join(c["source"]) for c in cells if c["cell_type"] == "markdown"
        )
    return out


def unfenced(text):
    """The lines that are prose, those within directives among them."""
    code = None
    for line in text.splitlines():
        fence = re.match(r"\s*(`{3,}|:{3,})(?:\{([\w-]+)\})?(.*)", line)
        if code:
            code = None if fence and fence[1] == code else code
        elif fence:
            opens_code = fence[2] not in PROSE if fence[2] else fence[3].strip()
            code = fence[1] if opens_code else None
            yield "" if opens_code else fence[3]
        elif not re.match(r"\s*:(?!alt:)[\w-]+:|\(\S+\)=$", line):
            yield line.replace(":alt:", "")


def words_of(text):
    plain = NO_PROSE.sub(" ", "\n".join(unfenced(text))).replace("’", "'")
    return set(re.findall(r"(?<![\w\\])[A-Za-zÀ-ž]+(?:'[a-z]+)?(?![\w])", plain))


def unknown(words):
    """Those that neither the dictionary nor our list knows."""
    command = ["hunspell", "-l", "-d", "en_GB", "-i", "utf-8"]
    done = subprocess.run(command, input="\n".join(words), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split()) - set(WORDS.read_text("utf-8").split())


def test_every_word_is_known():
    words = {name: words_of(text) for name, text in prose().items()}
    wrong = unknown(set().union(*words.values()))
    assert not {name: found for name, its in words.items() if (found := its & wrong)}


def test_a_misspelling_is_found_and_code_is_not():
    text = "The plataeu of `rusk` and $\\gama$, see [there](xq.md).\n```python\nfoo = brr\n```\n"
    assert unknown(words_of(text)) == {"plataeu"}
    directive = (
        "```{figure} a.svg\n:name: fig-a\n:width: 100%\n\nA captoin.\n```\n\nAnd a sentennze.\n"
    )
    assert unknown(words_of(directive)) == {"captoin", "sentennze"}
