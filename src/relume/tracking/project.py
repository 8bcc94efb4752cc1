"""Writes results to MLflow. Runs are keyed by the content of the files, so that a second call writes nothing.

It runs at the end of `compare`, of long trainings and of long inversions, and by `relume track`. Its errors never stop a stage.
"""

import importlib.util
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import click
import yaml

from relume.core.config import read_params
from relume.core.errors import UserError
from relume.core.files import digest
from relume.tracking.records import PARAMS, Record, flat, headline, model_records, records
from relume.tracking.store import COMMAND_TIMEOUT, STAGE_TIMEOUT, Store, lock

BUDGET = 30.0  # seconds for writing at the end of a stage; the command has no limit
SHARE, LEAST = 0.05, 5.0  # time for writing: a fraction of the stage's time, at least so many seconds
LONG = 60.0  # CPU seconds from which a stage writes at its end: importing MLflow takes four
KEY, WHOLE, MEASURED = "relume.key", "relume.whole", "relume.measured"  # tags of a record's run; WHOLE is set last
VARIANT, HEADLINE = "relume.variant", "relume.headline"  # tags of a variant's run
FEW, SHORT = 8, 60  # changed parameters in a description; characters of a name
LIVE, LIVE_OF = "relume.live", "relume.live_of"  # tags of a live run: the stage and its variant


@dataclass(frozen=True, kw_only=True)
class Projection:
    """The names of new and existing runs."""

    uri: str
    written: list[str]
    known: list[str]

    def __str__(self) -> str:
        new = ", ".join(self.written) or "nothing new"
        return f"{self.uri}: {new}{'; already there: ' if self.known else ''}{', '.join(self.known)}"


def after_stage(name: str, item: str) -> None:
    """Called at the end of each stage; does nothing for short stages or if tracking is off."""
    if not _due(name) or not available():
        return
    try:
        if name == "compare":
            project(Path.cwd(), seconds=BUDGET)
        else:
            project(Path.cwd(), seconds=allowance(time.process_time()), item=item)
    except Exception as error:  # no error may stop a stage that has finished
        warn(error)


def _due(name: str) -> bool:
    if os.environ.get("RANK", "0") != "0":
        return False  # in distributed training the first process writes
    return name == "compare" or (name.startswith(("train_", "invert_", "reconstruct_")) and time.process_time() > LONG)


def allowance(used: float) -> float:
    """Seconds for writing after a stage that used so many CPU seconds."""
    return min(BUDGET, max(LEAST, SHARE * used / (os.cpu_count() or 1)))


def available() -> bool:
    """Tracking is on and MLflow is installed."""
    return os.environ.get("RELUME_TRACKING", "").lower() != "off" and importlib.util.find_spec("mlflow") is not None


def warn(error: Exception) -> None:
    text = " ".join(str(error).split())[:300] or type(error).__name__
    click.secho(f"not tracked: {text}. `relume track` writes the results later.", fg="yellow", err=True)


def project(root: Path, *, seconds: float = float("inf"), item: str = "") -> Projection:
    """Writes new results: a parent run for the variant, nested runs of groups and models, the headline.

    `item`: only the results of the stage item of this name.
    """
    if importlib.util.find_spec("mlflow") is None:
        raise UserError("mlflow is not installed")
    found = records(root)
    selected = [record for record in [*model_records(root), *found] if not item or record.name.split("/")[-1] == item]
    written: list[str] = []
    known: list[str] = []
    store = Store(root, seconds=seconds, timeout=STAGE_TIMEOUT if seconds < float("inf") else COMMAND_TIMEOUT)
    with lock(root, "project", seconds):  # concurrent calls would write the same runs twice
        variant = Variant(store, root, sum(record.seconds for record in selected))
        for record in selected:
            (written if _project(store, variant, record) else known).append(record.name)
        numbers = {} if item else headline(root, found)
        if numbers and _write_headline(store, variant, numbers):
            written.append("headline")
        _delete_live(store, variant, {record.stage for record in selected})
        variant.finish()
    return Projection(uri=store.uri, written=written, known=known)


class Variant:
    """The parent run of a commit and its parameters, or of a DVC experiment; created when first needed. Its parameters are those
    that differ from the commit's."""

    def __init__(self, store: Store, root: Path, seconds: float = 0.0) -> None:
        self._store, self._run, self._seconds = store, "", seconds
        params = read_params(root / PARAMS)
        self.commit = _git(root, "rev-parse", "HEAD").strip()
        self.experiment = os.environ.get("DVC_EXP_NAME", "")
        self.name = self.experiment or f"{self.commit[:8] or 'no-commit'}-{digest(params)[:8]}"
        committed = flat(yaml.safe_load(_git(root, "show", f"HEAD:./{PARAMS}")) or {})
        self._changed = {key: value for key, value in flat(params).items() if committed.get(key, self) != value}
        self._was = {key: committed[key] for key in self._changed if key in committed}

    @property
    def title(self) -> str:
        """The experiment's name, or what was changed."""
        few = ", ".join(f"{key}={value}" for key, value in self._changed.items())
        changed = few if len(few) <= SHORT else f"{len(self._changed)} changed parameters"
        return self.experiment or f"{changed or 'as committed'} ({self.commit[:8] or 'no commit'})"

    @property
    def tags(self) -> dict[str, str]:
        tags = {"commit": self.commit, "dvc_experiment": self.experiment}
        return {name: value for name, value in tags.items() if value}

    def run(self) -> str:
        if not self._run:
            found = self._store.find(VARIANT, self.name)
            self._run = found[0] if found else self._create()
        return self._run

    def _create(self) -> str:
        run = self._store.create(self.title, self.tags, seconds=self._seconds)
        note = [f"`{key}`: {self._was.get(key, 'not there')} → {value}" for key, value in self._changed.items()]
        described = {"mlflow.note.content": "\n\n".join(note)} if 0 < len(note) <= FEW else {}
        self._store.log(run, params=self._changed, tags={VARIANT: self.name, **described})
        return run

    def finish(self) -> None:
        if self._run:
            self._store.finish(self._run)


def _project(store: Store, variant: Variant, record: Record) -> bool:
    """Returns whether it has written anything. An incomplete run is deleted and written again."""
    found = store.find(KEY, record.key)
    if found is not None and WHOLE in found[1]:
        run, tags = found
        return tags.get(MEASURED, "") != record.measured and _measure(store, run, record)
    if found is not None:
        store.delete(found[0])
    stage = {"stage": record.stage, "device": record.device}
    tags = {**variant.tags, KEY: record.key, **{name: value for name, value in stage.items() if value}}
    run = store.create(record.title, tags, parent=variant.run(), seconds=record.seconds)
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


def _write_headline(store: Store, variant: Variant, numbers: dict[str, float]) -> bool:
    """Writes the headline to the parent run, unless a variant has the same one."""
    key = digest(numbers)
    if store.find(HEADLINE, key) is not None:
        return False
    store.log(variant.run(), metrics=[(name, 0, value) for name, value in numbers.items()], tags={HEADLINE: key})
    return True


def _delete_live(store: Store, variant: Variant, stages: set[str]) -> None:
    """Deletes live runs whose stage has finished, but which could not delete them."""
    for run, tags in store.having(LIVE):
        if tags[LIVE] in stages and tags.get(LIVE_OF) == variant.name:
            store.delete(run)


def _git(root: Path, *command: str) -> str:
    """Of the current commit, in an experiment its base; empty without git."""
    try:
        done = subprocess.run(["git", *command], cwd=root, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout
