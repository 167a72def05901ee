"""`Explorer`: the live widget of a notebook; the kernel computes, in a thread.

Needs anywidget (``pip install twolayer[explorer]``).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from importlib import resources
from typing import Any

import anywidget
import traitlets

from twolayer.activations.known import ACTIVATIONS
from twolayer.explorer.compute import compute
from twolayer.explorer.presets import PRESETS
from twolayer.explorer.request import STARTS, THEORIES
from twolayer.support.checks import InvalidInput
from twolayer.support.threads import one_core

#: Seconds between two reports of progress.
_PAUSE = 0.2


def info() -> dict[str, Any]:
    """What the front end's form offers."""
    return {
        "activations": {name: name for name in ACTIVATIONS},
        "starts": STARTS,
        "theories": THEORIES,
        "presets": {name: list(preset) for name, preset in PRESETS.items()},
    }


class Cancelled(Exception):
    """Raised inside a computation that nobody waits for any more."""


class Explorer(anywidget.AnyWidget):
    """Move p, d, γ and the rest, and see the curves, neurons and overlaps change.

    Parameters
    ----------
    request : mapping, optional
        Where to start; see `Request.from_dict`.

    Attributes
    ----------
    answer : dict
        The last answer, of `compute`.

    Examples
    --------
    >>> widget = Explorer({"p": 4, "d": 20, "t_max": 10.0})
    >>> widget.answer["request"]["p"]
    4
    """

    _esm = resources.files("twolayer.explorer").joinpath("assets/explorer.js").read_text("utf-8")
    _css = resources.files("twolayer.explorer").joinpath("assets/explorer.css").read_text("utf-8")
    info = traitlets.Dict().tag(sync=True)
    answer = traitlets.Dict().tag(sync=True)

    def __init__(self, request: Mapping[str, Any] | None = None) -> None:
        super().__init__(info=info(), answer=compute(request or {}))
        self._wanted = 0
        self.on_msg(self._hear)

    def _hear(self, _: Any, message: Any, __: Any) -> None:
        kind = message.get("type") if isinstance(message, dict) else None
        if kind == "hello":
            self.send({"type": "hello"})
        elif kind == "cancel":
            self._wanted = 0
        elif kind == "compute":
            self._wanted = message["id"]
            work = (message["id"], message["request"])
            threading.Thread(target=self._work, args=work, daemon=True).start()

    def _work(self, number: int, request: Any) -> None:
        """Compute one request; give up as soon as another one is wanted."""
        said = time.monotonic()

        def report(share: float, words: str) -> None:
            nonlocal said
            if self._wanted != number:
                raise Cancelled
            if time.monotonic() - said > _PAUSE:
                said = time.monotonic()
                message = {"type": "progress", "id": number, "share": share, "words": words}
                self.send(message)

        def show(first: dict[str, Any]) -> None:
            if self._wanted == number:
                self.send({"type": "first", "id": number, "answer": first})

        try:
            with one_core(0):  # nor shall the large ones keep the page waiting for a core
                answer = compute(request, report, show)
        except Cancelled:
            return
        except InvalidInput as error:
            self.send({"type": "failed", "id": number, "reason": str(error)})
        except Exception as error:  # the reader shall see it, whatever it is
            reason = f"{type(error).__name__}: {error}"
            self.send({"type": "failed", "id": number, "reason": reason})
        else:
            if self._wanted == number:
                self.send({"type": "answer", "id": number, "answer": answer})
                self.answer = answer
