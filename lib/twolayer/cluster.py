"""Work on a Dask cluster, as a `concurrent.futures.Executor`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from twolayer.errors import InvalidInput, shown

#: Times that work is given to another worker when one fails.
_RETRIES = 3
#: Seconds to wait for a scheduler to answer.
_PATIENCE = 10
#: What distributed's own transports listen on.
_ADDRESS = re.compile(r"(tcp|tls|ws|wss|ucx|inproc)://\S+")


@contextmanager
def cluster(address: str) -> Iterator[Executor]:
    """An executor for the Dask cluster of a scheduler, for as long as the block lasts.

    Work of a worker that dies is done again by another.

    Parameters
    ----------
    address : str
        As "tcp://scheduler:8786".

    Raises
    ------
    InvalidInput
        If there is no scheduler at this address, or dask.distributed is not installed.
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
