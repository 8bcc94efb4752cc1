"""A wrapper of MLflow's store: creates the database once, and limits the time for a dead or slow server."""

import contextlib
import logging
import os
import sqlite3
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock

from relume.core.errors import UserError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

EXPERIMENT = "relume"
STAGE_TIMEOUT, COMMAND_TIMEOUT = 3, 30  # seconds for a response: in a stage, and in `relume track`
LIMITS = {"metrics": 1000, "params": 100, "tags": 100, "runs": 1000}  # per call
LONGEST = 500  # characters of a parameter value; the rest is cut


def home(root: Path) -> Path:
    """The main repository, also in the temporary copies of DVC experiments."""
    return Path(os.environ.get("DVC_ROOT") or root).resolve()


def address(root: Path) -> str:
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home(root) / 'mlflow.db'}"


def lock(root: Path, name: str, seconds: float = 60.0) -> FileLock:
    """Waits at most `seconds`."""
    folder = home(root) / "mlartifacts"
    folder.mkdir(exist_ok=True)
    return FileLock(folder / f".{name}.lock", timeout=min(60.0, seconds))


class Store:
    """The runs of one experiment. Imports MLflow and may create the database; both take seconds."""

    def __init__(self, root: Path, *, seconds: float = float("inf"), timeout: int = STAGE_TIMEOUT) -> None:
        """`seconds`: for all writing after the creation of the database. `timeout`: seconds for one response."""
        self.uri = address(root)
        remote = self.uri.startswith(("http://", "https://"))
        if remote:
            check_health(self.uri, timeout)
        elif self.uri.startswith("sqlite:///"):
            _check_database(Path(self.uri.removeprefix("sqlite:///").partition("?")[0]), timeout)
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(timeout))
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        for name in ("alembic", "mlflow.store.db.utils"):
            logging.getLogger(name).setLevel(logging.WARNING)
        from mlflow.tracking import MlflowClient

        since = time.monotonic()
        try:
            with contextlib.nullcontext() if remote else lock(root, "create"):  # concurrent creation breaks the database
                if not (remote or os.environ.get("MLFLOW_TRACKING_URI")):
                    _adopt(home(root))
                self._client = MlflowClient(self.uri)
                self._experiment = self._open(None if remote else str(home(root) / "mlartifacts"))
        except Exception as error:  # MLflow's, SQLAlchemy's and Alembic's have no common class
            raise UserError(f"MLflow store {self.uri} failed: {str(error).partition(chr(10))[0]}") from None
        self._seconds, self._since = seconds, since if remote else time.monotonic()

    def _in_time(self) -> "MlflowClient":
        if time.monotonic() - self._since > self._seconds:
            raise UserError(f"MLflow store {self.uri} is slow: stopped after {self._seconds:.0f} s")
        return self._client

    def _open(self, artifacts: str | None) -> str:
        found = self._client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return str(found.experiment_id)
        return str(self._client.create_experiment(EXPERIMENT, artifact_location=artifacts))

    def find(self, tag: str, value: str) -> tuple[str, dict[str, str]] | None:
        """The first run with this tag, and its tags."""
        return next(iter(self._search(f"tags.`{tag}` = '{value}'", 1)), None)

    def having(self, tag: str) -> list[tuple[str, dict[str, str]]]:
        """All runs with this tag, of any value, and their tags."""
        return self._search(f"tags.`{tag}` != ''", LIMITS["runs"])

    def _search(self, query: str, limit: int) -> list[tuple[str, dict[str, str]]]:
        order = ["attributes.start_time ASC"]
        runs = self._in_time().search_runs([self._experiment], query, max_results=limit, order_by=order)
        return [(str(run.info.run_id), dict(run.data.tags)) for run in runs]

    def create(self, name: str, tags: Mapping[str, str], parent: str = "", seconds: float = 0.0) -> str:
        """`seconds`: how long its work took, which has ended."""
        since = int((time.time() - seconds) * 1000)
        tags = {**tags, "mlflow.runName": name, **({"mlflow.parentRunId": parent} if parent else {})}
        return str(self._in_time().create_run(self._experiment, start_time=since, tags=tags).info.run_id)

    def log(
        self,
        run: str,
        *,
        params: Mapping[str, object] | None = None,
        metrics: Iterable[tuple[str, int, float]] = (),
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Metrics are (name, step, value). Tags are written last, because a tag marks a complete run."""
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        batches: dict[str, list[Any]] = {
            "metrics": [Metric(name, value, now, step) for name, step, value in metrics],
            "params": [Param(name[:250], str(value)[:LONGEST]) for name, value in (params or {}).items()],
            "tags": [RunTag(name, value) for name, value in (tags or {}).items()],
        }
        for kind, items in batches.items():
            for start in range(0, len(items), LIMITS[kind]):
                batch: dict[str, Any] = {kind: items[start : start + LIMITS[kind]]}
                self._in_time().log_batch(run, **batch)

    def picture(self, run: str, name: str, pixels: np.ndarray) -> None:
        """uint8 (H, W, 3) as an artifact."""
        from PIL import Image

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{name}.png"
            Image.fromarray(pixels).save(path, compress_level=1)  # four times faster, 10 % larger
            self._in_time().log_artifact(run, str(path))

    def finish(self, run: str, status: str = "FINISHED") -> None:
        self._client.set_terminated(run, status)

    def delete(self, run: str) -> None:
        self._client.delete_run(run)


def _adopt(folder: Path) -> None:
    """MLflow keeps absolute paths. In a project that was copied or moved they are those of the first one, which it would go on
    to read and write; MLflow has no call that changes them."""
    database, artifacts = folder / "mlflow.db", str(folder / "mlartifacts")
    if not database.exists():
        return
    with contextlib.closing(sqlite3.connect(database, timeout=60)) as store, store:
        if not store.execute("SELECT 1 FROM sqlite_master WHERE name = 'experiments'").fetchone():
            return
        query = "SELECT experiment_id, artifact_location FROM experiments WHERE name = ? AND artifact_location != ?"
        for number, before in store.execute(query, [EXPERIMENT, artifacts]).fetchall():
            change = "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) WHERE experiment_id = ? AND artifact_uri LIKE ?"
            store.execute(change, [artifacts, len(before) + 1, number, f"{before}/%"])
            store.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", [artifacts, number])


def check_health(uri: str, timeout: float) -> None:
    """Before importing MLflow, whose client would retry for minutes."""
    try:
        urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=timeout).close()
    except urllib.error.HTTPError as error:
        if error.code >= 500:
            raise UserError(f"MLflow server {uri} unhealthy (HTTP {error.code})") from None  # other codes: it responds
    except OSError as error:  # refused, unknown, timed out
        raise UserError(f"MLflow server {uri} does not respond: {getattr(error, 'reason', None) or error}") from None


def _check_database(path: Path, timeout: int) -> None:
    """Before importing MLflow, which would try for ten seconds, and then tell of it in pages."""
    try:
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise sqlite3.OperationalError("it is read-only")
        if path.exists():
            with contextlib.closing(sqlite3.connect(path, timeout=timeout)) as database:
                database.execute("begin immediate")  # `close` takes it back
    except sqlite3.Error as error:
        raise UserError(
            f"MLflow store {path}: {error}; close what holds it, or set MLFLOW_TRACKING_URI to another store"
        ) from None
