"""A window on a long loop while it runs: a thread of its own writes to MLflow, the loop only hands over numbers.

What remains is written from the files when the stage has ended (`tracking`), so a loop that ended well takes its live run
back; one that failed leaves it, marked as such. A loop shorter than half a minute leaves nothing and never imports MLflow.
"""

import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from relume.core.mlflow_store import Store
from relume.core.tracking import available, warn

DELAY, EVERY, FAREWELL = 30.0, 5.0, 10.0  # seconds: before the first word, between words, for the last
ROOM = 10_000  # entries that wait; what does not fit is dropped rather than waited for

Entry = tuple[int, dict[str, float], np.ndarray | None]


class Live:
    """Call `log` as often as you like."""

    def __init__(self, name: str, params: Mapping[str, object], root: Path, delay: float, every: float) -> None:
        self._about = (name, params, root, delay, every)
        self._entries: queue.Queue[Entry] = queue.Queue(ROOM)
        self._stop = threading.Event()
        self._well = True
        self._thread = threading.Thread(target=self._work, name="relume-live", daemon=True) if available() else None
        if self._thread is not None:
            self._thread.start()

    def log(self, step: int, values: Mapping[str, float], pictures: np.ndarray | None = None) -> None:
        """`values`: term -> value, as plain numbers. `pictures`: one sheet, uint8 (H, W, 3). Returns at once."""
        if self._thread is None or not self._thread.is_alive() or self._entries.full():
            return
        self._entries.put_nowait((step, dict(values), pictures))

    def close(self, *, well: bool) -> None:
        self._well = well
        self._stop.set()
        if self._thread is not None:
            self._thread.join(FAREWELL)  # a server that hangs is left behind

    def _work(self) -> None:
        name, params, root, delay, every = self._about
        if self._stop.wait(delay):
            return
        try:
            store = Store(root)
            run = store.create(name, {"relume.live": "true"})
            store.log(run, params=params)
            while not self._stop.wait(every):
                self._flush(store, run)
            self._flush(store, run)
            if self._well:
                store.delete(run)
            else:
                store.finish(run, "FAILED")
        except Exception as error:  # whatever it is, the loop goes on without its window
            warn(error)

    def _flush(self, store: Store, run: str) -> None:
        entries = [self._entries.get_nowait() for _ in range(self._entries.qsize())]
        store.log(run, metrics=[(term, step, value) for step, values, _ in entries for term, value in values.items()])
        pictures = [(step, sheet) for step, _, sheet in entries if sheet is not None]
        for step, sheet in pictures[-1:]:
            store.picture(run, f"step-{step:06d}", sheet)


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
