"""Live logging of long loops: a background thread writes to MLflow, so that the loop never waits.

A loop that succeeds deletes its live run, because the final run is written from the files (`tracking.project`). A loop that fails
marks it as failed. Loops under 30 seconds log nothing and do not import MLflow. If the server is down, the thread retries with
increasing delays and keeps the entries.
"""

import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from relume.tracking.project import LIVE, LIVE_OF, Variant, available, warn
from relume.tracking.records import clean, flat
from relume.tracking.store import Store, lock

DELAY, EVERY, LONGEST = 30.0, 5.0, 600.0  # seconds: before the first write, between writes, the longest between retries
CLOSE_TIMEOUT = {True: 2.0, False: 10.0}  # seconds for the last write: success -> timeout
CAPACITY = 10_000  # pending entries; more are dropped

Entry = tuple[int, dict[str, float]]


class Live:
    """A logger. `log` returns at once."""

    def __init__(self, name: str, params: Mapping[str, object], root: Path, delay: float, every: float) -> None:
        self._about = (name, params, root, delay, every)
        self._entries: queue.Queue[Entry] = queue.Queue(CAPACITY)
        self._taken: list[Entry] = []  # from the queue, not written yet
        self._sheet: np.ndarray | None = None  # the latest
        self._store: Store | None = None
        self._run = ""
        self._stop = threading.Event()
        self._success = True
        self._thread = threading.Thread(target=self._work, name="relume-live", daemon=True) if available() else None
        if self._thread is not None:
            self._thread.start()

    def log(self, step: int, values: Mapping[str, float], pictures: np.ndarray | None = None) -> None:
        """`values`: term -> value. `pictures`: one sheet, uint8 (H, W, 3)."""
        if self._thread is None or not self._thread.is_alive() or self._entries.full():
            return
        self._entries.put_nowait((step, dict(values)))
        if pictures is not None:
            self._sheet = pictures

    def close(self, *, success: bool) -> None:
        self._success = success
        self._stop.set()
        if self._thread is not None:
            self._thread.join(CLOSE_TIMEOUT[success])  # if the server hangs, `project` deletes the run later

    def _work(self) -> None:
        wait, every = self._about[3:]
        warned = False
        while not self._stop.wait(wait):
            try:
                self._flush()
                wait, warned = every, False
            except Exception as error:  # never stops the loop; one warning per outage
                if not warned:
                    warn(error)
                wait, warned = min(2 * max(wait, every), LONGEST), True
        if self._run:
            self._end()

    def _end(self) -> None:
        try:
            if self._success:
                self._opened().delete(self._run)
            else:
                self._flush()
                self._opened().finish(self._run, "FAILED")
        except Exception as error:
            warn(error)

    def _opened(self) -> Store:
        """The store, after creating the live run below the run of its variant."""
        name, params, root, *_ = self._about
        if self._store is None:
            self._store = Store(root)
        if not self._run:
            variant = Variant(self._store, root)
            with lock(root, "project"):
                parent = variant.run()
            self._run = self._store.create(name, {**variant.tags, LIVE: name, LIVE_OF: variant.name}, parent)
            self._store.log(self._run, params=flat(params))
        return self._store

    def _flush(self) -> None:
        store = self._opened()
        count = min(self._entries.qsize(), CAPACITY - len(self._taken))
        self._taken += [self._entries.get_nowait() for _ in range(count)]
        metrics = [(clean(term), step, value) for step, values in self._taken for term, value in values.items()]
        store.log(self._run, metrics=metrics)
        self._taken.clear()
        if self._sheet is not None and not self._stop.is_set():
            sheet, self._sheet = self._sheet, None
            store.picture(self._run, "newest", sheet)  # overwrites the last one


@contextmanager
def live(
    name: str, params: Mapping[str, object], *, root: Path = Path(), delay: float = DELAY, every: float = EVERY
) -> Iterator[Live]:
    """`with live("invert_optimise@deep", config) as log: log.log(step, {"objective": 0.3})`."""
    log = Live(name, params, root, delay, every)
    try:
        yield log
    except BaseException:
        log.close(success=False)
        raise
    log.close(success=True)
