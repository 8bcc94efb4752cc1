"""A window on a long loop while it runs: a thread of its own writes to MLflow, the loop only hands over numbers.

What remains is written from the files when the stage has ended (`tracking`), so a loop that ended well takes its live run
back; one that failed leaves it, marked as such. A loop shorter than half a minute leaves nothing and never imports MLflow.
A server that goes away is tried again, ever more seldom; what it missed meanwhile is handed in.
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

DELAY, EVERY, LONGEST = 30.0, 5.0, 600.0  # seconds: before the first word, between words, between tries while the server is away
FAREWELL = {True: 2.0, False: 10.0}  # seconds for the last word of a loop that ended well, or not
ROOM = 10_000  # entries that wait; what does not fit is dropped rather than waited for

Entry = tuple[int, dict[str, float]]


class Live:
    """Call `log` as often as you like."""

    def __init__(self, name: str, params: Mapping[str, object], root: Path, delay: float, every: float) -> None:
        self._about = (name, params, root, delay, every)
        self._entries: queue.Queue[Entry] = queue.Queue(ROOM)
        self._taken: list[Entry] = []  # from the queue, not yet written
        self._sheet: np.ndarray | None = None  # the newest
        self._store: Store | None = None
        self._run = ""
        self._stop = threading.Event()
        self._well = True
        self._thread = threading.Thread(target=self._work, name="relume-live", daemon=True) if available() else None
        if self._thread is not None:
            self._thread.start()

    def log(self, step: int, values: Mapping[str, float], pictures: np.ndarray | None = None) -> None:
        """`values`: term -> value, as plain numbers. `pictures`: one sheet, uint8 (H, W, 3). Returns at once."""
        if self._thread is None or not self._thread.is_alive() or self._entries.full():
            return
        self._entries.put_nowait((step, dict(values)))
        if pictures is not None:
            self._sheet = pictures

    def close(self, *, well: bool) -> None:
        self._well = well
        self._stop.set()
        if self._thread is not None:
            self._thread.join(FAREWELL[well])  # a server that hangs is left behind; what it keeps, `tracking` removes

    def _work(self) -> None:
        wait, every = self._about[3:]
        told = False
        while not self._stop.wait(wait):
            try:
                self._flush()
                wait, told = every, False
            except Exception as error:  # whatever it is, the loop goes on without its window; one line per outage
                if not told:
                    warn(error)
                wait, told = min(2 * max(wait, every), LONGEST), True
        if self._run:
            self._end()

    def _end(self) -> None:
        try:
            if self._well:
                self._opened().delete(self._run)
            else:
                self._flush()
                self._opened().finish(self._run, "FAILED")
        except Exception as error:
            warn(error)

    def _opened(self) -> Store:
        """The store, with a run in it below its variant's."""
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
        room = min(self._entries.qsize(), ROOM - len(self._taken))
        self._taken += [self._entries.get_nowait() for _ in range(room)]
        metrics = [(clean(term), step, value) for step, values in self._taken for term, value in values.items()]
        store.log(self._run, metrics=metrics)
        self._taken.clear()
        if self._sheet is not None and not self._stop.is_set():
            sheet, self._sheet = self._sheet, None
            store.picture(self._run, "newest", sheet)  # over the one before: hours of them would fill a disk


@contextmanager
def live(
    name: str, params: Mapping[str, object], *, root: Path = Path(), delay: float = DELAY, every: float = EVERY
) -> Iterator[Live]:
    """`with live("invert_optimise@deep", config) as log: log.log(step, {"objective": 0.3})`."""
    log = Live(name, params, root, delay, every)
    try:
        yield log
    except BaseException:
        log.close(well=False)
        raise
    log.close(well=True)
