"""MLflow as a projection of the files: runs are written from them, keyed by content, so that a second call writes nothing.

`compare` ends with it, when all groups are there and measured; a training or an inversion that took long also does, so that
its curves can be seen at once; `relume track` does it at will. The files are the truth: whatever happens here stops no stage.
"""

import importlib.util
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import click

from relume.core.config import read_params
from relume.core.errors import UserError
from relume.core.files import digest
from relume.tracking.model_records import model_records
from relume.tracking.records import PARAMS, Record, flat, headline, records
from relume.tracking.store import LEISURE, PATIENCE, Store, lock

BUDGET = 30.0  # seconds that writing may take at the end; the command has all the time it wants
SHARE, LEAST = 0.05, 5.0  # of a long stage's own time that writing may take at its end, and seconds that it always may
LONG = 60.0  # seconds of processor time from which a stage is worth the four that MLflow's import takes
KEY, WHOLE, MEASURED = "relume.key", "relume.whole", "relume.measured"  # of a record's run; the second one is written last
VARIANT, HEADLINE = "relume.variant", "relume.headline"  # of a parent
LIVE, LIVE_OF = "relume.live", "relume.live_of"  # of a run that shows a loop: the stage, and its variant


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What a projection has done."""

    uri: str
    written: list[str]
    known: list[str]

    def __str__(self) -> str:
        new = ", ".join(self.written) or "nothing new"
        return f"{self.uri}: {new}{'; there already: ' if self.known else ''}{', '.join(self.known)}"


def after_stage(name: str, item: str) -> None:
    """What the door calls at the end of a stage: cheap where there is little to show, silent where it is switched off."""
    if not _due(name) or not available():
        return
    try:
        if name == "compare":
            project(Path.cwd(), seconds=BUDGET)
        else:
            project(Path.cwd(), seconds=allowance(time.process_time()), item=item)
    except Exception as error:  # a dead server, a full disk, a fault of ours: none may kill a stage that has done its work
        warn(error)


def _due(name: str) -> bool:
    if os.environ.get("RANK", "0") != "0":
        return False  # of several processes that train one model, the first writes it
    return name == "compare" or (name.startswith(("train_", "invert_", "reconstruct_")) and time.process_time() > LONG)


def allowance(used: float) -> float:
    """Seconds that writing may take after so much processor time: a share of what the stage took at least."""
    return min(BUDGET, max(LEAST, SHARE * used / (os.cpu_count() or 1)))


def available() -> bool:
    """Not switched off, and MLflow is here: a machine that only computes may lack it."""
    return os.environ.get("RELUME_TRACKING", "").lower() != "off" and importlib.util.find_spec("mlflow") is not None


def warn(error: Exception) -> None:
    text = " ".join(str(error).split())[:300] or type(error).__name__
    click.secho(f"tracking is off for now: {text}. `relume track` fills in later.", fg="yellow", err=True)


def project(root: Path, *, seconds: float = float("inf"), item: str = "") -> Tally:
    """Write what MLflow lacks of `root`: a parent run for the variant, nested runs of groups and models, the headline.

    `item`: only what the stage item of this name has made.
    """
    if importlib.util.find_spec("mlflow") is None:
        raise UserError("mlflow is not installed here: nothing can be tracked")
    found = records(root)
    wanted = [record for record in [*model_records(root), *found] if not item or record.name.split("/")[-1] == item]
    written: list[str] = []
    known: list[str] = []
    store = Store(root, seconds=seconds, patience=PATIENCE if seconds < float("inf") else LEISURE)
    with lock(root, "project", seconds):  # two at once would both find nothing, and both write
        variant = Variant(store, root)
        for record in wanted:
            (written if _project(store, variant, record) else known).append(record.name)
        numbers = {} if item else headline(root, found)
        if numbers and _sum_up(store, variant, numbers):
            written.append("headline")
        _tidy(store, variant, {record.stage for record in wanted})
        variant.finish()
    return Tally(uri=store.uri, written=written, known=known)


class Variant:
    """The parent run, made when the first of its groups and models is new, or the first of its loops is shown live."""

    def __init__(self, store: Store, root: Path) -> None:
        self._store, self._run = store, ""
        self._params = read_params(root / PARAMS)
        self.commit = _commit(root)
        self.experiment = os.environ.get("DVC_EXP_NAME", "")
        self.name = self.experiment or f"{self.commit[:8] or 'no-commit'}-{digest(self._params)[:8]}"

    @property
    def tags(self) -> dict[str, str]:
        tags = {"commit": self.commit, "dvc_experiment": self.experiment}
        return {name: value for name, value in tags.items() if value}

    def run(self) -> str:
        if not self._run:
            there = self._store.find(VARIANT, self.name)
            self._run = there[0] if there else self._create()
        return self._run

    def _create(self) -> str:
        run = self._store.create(self.name, self.tags)
        self._store.log(run, params=flat(self._params), tags={VARIANT: self.name})
        return run

    def finish(self) -> None:
        if self._run:
            self._store.finish(self._run)


def _project(store: Store, variant: Variant, record: Record) -> bool:
    """Has anything been written? What was cut off is not taken for whole, and makes way for another try."""
    there = store.find(KEY, record.key)
    if there is not None and WHOLE in there[1]:
        run, tags = there
        return tags.get(MEASURED, "") != record.measured and _measure(store, run, record)
    if there is not None:
        store.delete(there[0])
    stage = {"stage": record.stage, "device": record.device}
    tags = {**variant.tags, KEY: record.key, **{name: value for name, value in stage.items() if value}}
    run = store.create(record.name, tags, parent=variant.run())
    store.log(run, params=record.params, metrics=record.curves)
    for name, pixels in record.pictures().items():
        store.picture(run, name, pixels)
    _measure(store, run, record)
    store.log(run, tags={WHOLE: "true"})
    store.finish(run)
    return True


def _measure(store: Store, run: str, record: Record) -> bool:
    if record.measured:
        metrics = [(name, 0, value) for name, value in record.means.items()]
        store.log(run, metrics=metrics, tags={MEASURED: record.measured})
    return bool(record.measured)


def _sum_up(store: Store, variant: Variant, numbers: dict[str, float]) -> bool:
    """The headline on the parent, unless some variant has just this one: then nothing new was found."""
    key = digest(numbers)
    if store.find(HEADLINE, key) is not None:
        return False
    store.log(variant.run(), metrics=[(name, 0, value) for name, value in numbers.items()], tags={HEADLINE: key})
    return True


def _tidy(store: Store, variant: Variant, stages: set[str]) -> None:
    """Live runs go whose stage has ended since: the server was gone when it did, or its process was killed."""
    for run, tags in store.having(LIVE):
        if tags[LIVE] in stages and tags.get(LIVE_OF) == variant.name:
            store.delete(run)


def _commit(root: Path) -> str:
    """The commit that is checked out; empty without git. In an experiment's copy: the one it began from."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
