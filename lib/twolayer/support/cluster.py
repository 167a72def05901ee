"""Work on a Dask cluster, as a `concurrent.futures.Executor`."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from twolayer.support.checks import InvalidInput, shown
from twolayer.support.sources import digest_of
from twolayer.support.threads import is_local

#: Times that work is given to another worker when one fails.
_RETRIES = 3
#: Seconds to wait for a scheduler to answer.
_PATIENCE = 10
#: Seconds to wait for a first worker; and for all to answer, who on a busy machine take as long to
#: import the package.
_WORKERS, _ANSWER = 4.0, 30.0
#: What distributed's own transports listen on.
_ADDRESS = re.compile(r"(tcp|tls|ws|wss|ucx|inproc)://\S+")


@contextmanager
def cluster(address: str) -> Iterator[Executor]:
    """An executor for a Dask cluster, by its scheduler's address, for as long as the block lasts.

    Work of a worker that dies is done again by another.  `InvalidInput` if there is no scheduler
    at this address, as "tcp://scheduler:8786", or dask.distributed is not installed.
    """
    try:
        from distributed import Client
    except ImportError:
        allowed = "left out where dask.distributed is missing: pip install 'twolayer[dask]'"
        raise InvalidInput("dask", address, allowed) from None
    allowed = "the address of a Dask scheduler, as tcp://scheduler:8786"
    # Looked at first: a client that cannot exist still starts threads.
    if not isinstance(address, str) or not _ADDRESS.fullmatch(address):
        raise InvalidInput("dask", shown(address), allowed)
    try:
        client = Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, TypeError, ValueError) as error:
        raise InvalidInput("dask", address, f"{allowed} ({error})") from error
    with client:
        yield client.get_executor(retries=_RETRIES)


def check_workers(executor: Executor | None, module: str) -> None:
    """Refuse a Dask executor whose workers are none, or cannot run a module as it is here.

    Work would wait for a worker for ever, and one without the package does not say so.  Refused
    within seconds, or half a minute if workers are silent; other executors are not looked at.
    """
    client = getattr(executor, "_client", None)
    if not hasattr(client, "scheduler_info") or client.asynchronous:
        return
    until = time.monotonic() + _WORKERS
    while not client.scheduler_info()["workers"]:
        if time.monotonic() > until:
            allowed = "one with workers (client.wait_for_workers(1) waits for the first)"
            raise InvalidInput("executor", "a Dask cluster without workers", allowed)
        time.sleep(0.1)
    pool = ThreadPoolExecutor(1)
    try:
        asked = pool.submit(client.run, digest_of, module, on_error="return")
        found = asked.result(_ANSWER)
    except TimeoutError:
        allowed = f"one whose workers answer within {_ANSWER:g} s"
        raise InvalidInput("executor", "a Dask cluster with a silent worker", allowed) from None
    finally:
        pool.shutdown(wait=False)
    for worker, digest in found.items():
        if digest != digest_of(module):
            why = shown(digest) if isinstance(digest, BaseException) else "another version of it"
            allowed = "one whose workers all have this version of the package twolayer"
            raise InvalidInput("executor", f"a Dask cluster with {worker}: {why}", allowed)


def check_can_be_sent(arguments: Mapping[str, Any], executor: Executor | None) -> None:
    """Refuse a pool of processes for what cannot be sent to another process."""
    if not is_local(executor) or isinstance(executor, ThreadPoolExecutor):
        return
    from multiprocessing.reduction import ForkingPickler  # a browser's Python has none

    for name, value in arguments.items():
        try:
            ForkingPickler.dumps(value)  # as the pool will
        except Exception as error:  # whatever an object of the user's may raise
            got = f"{shown(value)} ({shown(str(error))})"
            allowed = "made of functions defined in a module, to be sent to other processes"
            raise InvalidInput(name, got, allowed) from error
