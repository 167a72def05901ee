"""Runs of SGD on an executor: in threads, in other processes, on a Dask cluster."""

from __future__ import annotations

import os
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed, wait
from contextlib import AbstractContextManager, nullcontext
from tempfile import TemporaryDirectory

from twolayer.sgd.plan import Plan
from twolayer.sgd.planning import Plans
from twolayer.sgd.run import run
from twolayer.sgd.state import Outcome
from twolayer.support.progress import Progress
from twolayer.support.threads import is_local, while_there

#: Seconds in which runs elsewhere end once they are told to.
_PATIENCE = 10.0


def run_there(
    plans: Plans,
    runs: int,
    executor: Executor,
    folder: str | None,
    outcomes: dict[int, Outcome],
    bar: Progress,
) -> None:
    """Every run on an executor; what one of them raises is raised when the others have ended."""
    share = max(1, (os.cpu_count() or 1) // runs)
    side_by_side = isinstance(executor, ThreadPoolExecutor) and runs > 1
    with threads_for_products(share) if side_by_side else nullcontext():
        _gathered(plans, runs, executor, share, folder, outcomes, bar)


def _gathered(
    plans: Plans,
    runs: int,
    executor: Executor,
    share: int,
    folder: str | None,
    outcomes: dict[int, Outcome],
    bar: Progress,
) -> None:
    futures: dict[Future[Outcome], int] = {}
    failures: list[BaseException] = []
    go_on = TemporaryDirectory(prefix="twolayer-")
    seen = go_on.name if is_local(executor) else None
    try:
        for number in range(runs):
            futures[submit(executor, share, plans[number], number, folder, seen)] = number
        for done, future in enumerate(as_completed(futures), 1):
            error = future.exception()
            if error is None:
                outcomes[futures[future]] = future.result()
            else:
                failures.append(error)
            bar.to(done * plans.first.samples[-1])
    except BaseException:
        go_on.cleanup()
        for future in futures:
            future.cancel()
        if seen is not None:
            wait(futures, _PATIENCE)
        for future, number in futures.items():
            if future.done() and not future.cancelled() and future.exception() is None:
                outcomes[number] = future.result()
        raise
    finally:
        go_on.cleanup()
    if failures:
        raise failures[0]


def submit(
    executor: Executor, share: int, plan: Plan, number: int, folder: str | None, seen: str | None
) -> Future[Outcome]:
    """Send a run to an executor; in a process of its own its linear algebra gets `share` cores."""
    own = is_local(executor) and not isinstance(executor, ThreadPoolExecutor)
    return executor.submit(run_on, share if own else 0, plan, number, folder, seen)


def run_on(
    share: int, plan: Plan, number: int, folder: str | None, seen: str | None = None
) -> Outcome:
    """`run` with that many threads for matrix products (0: as it is).

    Interrupted when the folder `seen` is gone.
    """
    with threads_for_products(share) if share else nullcontext():
        return run(plan, number, folder, lambda _: while_there(seen))


def threads_for_products(count: int) -> AbstractContextManager[object]:
    """Limit the threads of BLAS in this process: runs side by side would wait for each other."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=count, user_api="blas")
