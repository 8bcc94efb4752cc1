"""Work spread over all cores, results in the order of the tasks, and only a few of them in memory at a time."""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from relume.core.errors import UserError

T = TypeVar("T")
R = TypeVar("R")
CHUNK = 8  # tasks that travel together


def workers() -> int:
    """RELUME_WORKERS, else the cores that this process may use."""
    given = os.environ.get("RELUME_WORKERS", "")
    if given and not (given.isdigit() and int(given)):
        raise UserError(f"RELUME_WORKERS={given}: a positive number of processes is wanted")
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(given) if given else here


def ordered(function: Callable[[T], R], tasks: Iterable[T], processes: int) -> Iterator[R]:
    """`map` over `processes`; one process works without a pool. Bounded: 4 chunks per process are under way."""
    if processes == 1:
        yield from map(function, tasks)
        return
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")  # fork and threads do not mix
    pool = ProcessPoolExecutor(processes, mp_context=context)
    under_way: deque[Future[list[R]]] = deque()
    try:
        for chunk in _chunks(tasks):
            under_way.append(pool.submit(_each, function, chunk))
            if len(under_way) >= 4 * processes:
                yield from under_way.popleft().result()
        while under_way:
            yield from under_way.popleft().result()
    except BrokenProcessPool:
        raise UserError("a worker process was killed (out of memory?): try fewer with RELUME_WORKERS") from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _each(function: Callable[[T], R], chunk: list[T]) -> list[R]:
    return [function(task) for task in chunk]


def _chunks(tasks: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(tasks)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk
