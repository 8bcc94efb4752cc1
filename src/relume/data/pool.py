"""An ordered parallel map with a bounded number of results in memory."""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from relume.core.errors import UserError
from relume.core.process import end_with_parent

T = TypeVar("T")
R = TypeVar("R")
CHUNK = 8  # tasks per submission


def workers() -> int:
    """RELUME_WORKERS, else the number of available cores."""
    given = os.environ.get("RELUME_WORKERS", "")
    if given and not (given.isdigit() and int(given)):
        raise UserError(f"RELUME_WORKERS={given}: must be a positive integer")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(given) if given else cores


def ordered(function: Callable[[T], R], tasks: Iterable[T], processes: int) -> Iterator[R]:
    """`map` over `processes`, in order; at most 4 chunks per process are pending. One process uses no pool."""
    if processes == 1:
        yield from map(function, tasks)
        return
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")  # fork is unsafe with threads
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=end_with_parent)
    pending: deque[Future[list[R]]] = deque()
    try:
        for chunk in _chunks(tasks):
            pending.append(pool.submit(_each, function, chunk))
            if len(pending) >= 4 * processes:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    except BrokenProcessPool:
        raise UserError("a worker process was killed (out of memory?): set RELUME_WORKERS to fewer processes") from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _each(function: Callable[[T], R], chunk: list[T]) -> list[R]:
    return [function(task) for task in chunk]


def _chunks(tasks: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(tasks)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk
