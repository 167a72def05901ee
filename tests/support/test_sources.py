"""What a result's sources are hashed with."""

import ast
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from time import sleep
from types import SimpleNamespace

from twolayer.support import sources


def test_threads_parse_one_after_the_other(monkeypatch):
    """CPython before 3.11.8 counts the depth of all threads' trees together: a SystemError."""
    busy = Lock()

    def parse(code):
        assert busy.acquire(blocking=False), "two threads at once"
        sleep(0.01)
        busy.release()
        return ast.parse(code)

    monkeypatch.setattr(sources, "ast", SimpleNamespace(**vars(ast) | {"parse": parse}))
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda n: sources._parsed(f"x = {n}").body[0].lineno, range(12)))
    assert found == {1}
