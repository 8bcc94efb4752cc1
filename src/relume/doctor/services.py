"""Checks of DVC's remote and cache, MLflow's store, disk space and stale stages."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from relume.doctor.findings import Finding, lack, note, ok

WAIT = 3.0  # seconds for a server or store of MLflow's
LONGEST = 20.0  # seconds for an answer of a remote's own file system, whose imports take seconds
ENOUGH, TOO_LITTLE = 20.0, 2.0  # GiB free: enough for a large dataset, too little for the default pipeline
SHARING = "see docs/howto/share.md"
# prints "full", "empty" (the first push makes its folder) or "absent", or ends in the server's error
ASK = """
import sys
from dvc.repo import Repo
remote = Repo(sys.argv[1]).cloud.get_remote(sys.argv[2])
fs, path = remote.fs, remote.path
print("full" if fs.exists(path) else "empty" if fs.exists(path.split("/")[0] or "/") else "absent")
"""


def _settings(root: Path) -> dict[str, Any]:
    """DVC's settings, merged from all levels: system, user, project, local."""
    from dvc.config import Config

    return dict(Config(str(root / ".dvc")))


def remote(root: Path) -> Iterator[Finding]:
    if not (root / ".dvc").is_dir():
        yield note("remote", ".dvc not found")
        return
    settings = _settings(root)
    remotes, default = settings.get("remote", {}), settings.get("core", {}).get("remote")
    if not remotes:
        yield note("remote", "none: results stay on this machine", SHARING)
    elif default is None:
        yield note("remote", f"{', '.join(remotes)}; no default", "dvc remote default --local NAME")
    for name, about in remotes.items():
        yield _remote(root, f"remote {name}", str(about["url"]))


def _remote(root: Path, name: str, url: str) -> Finding:
    parts = urlsplit(url)
    if not parts.scheme or len(parts.scheme) == 1:  # a folder; on Windows a drive letter looks like a scheme
        if Path(url).is_dir():
            return ok(name, url) if os.access(url, os.W_OK) else note(name, f"{url}: read-only")
        return lack(name, f"{url}: folder not found", "mount it, or correct its address: dvc remote modify --local NAME url PATH")
    found = asked(root, name.removeprefix("remote "))
    if found in ("full", "empty"):
        return ok(name, f"{url}: answers" + (", and is empty" if found == "empty" else ""))
    fault = f"{parts.netloc} is not there" if found == "absent" else found
    plugin = re.search(r"requires 'dvc-(\w+)'", fault)
    cure = f"make remotes PLUGINS={plugin[1]}" if plugin else f"correct its address or credentials, {SHARING}"
    return lack(name, f"{url}: {fault}", f"{cure}; `make repro` runs without it")


def asked(root: Path, remote: str) -> str:
    """What DVC's own file system says of a remote: `full`, `empty`, `absent`, or the error."""
    words = [sys.executable, "-c", ASK, str(root), remote]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=LONGEST, stdin=subprocess.DEVNULL, start_new_session=True
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {LONGEST:.0f} s"
    return (done.stdout if done.returncode == 0 else done.stderr).strip().rpartition("\n")[2]


def cache(root: Path) -> Iterator[Finding]:
    if not (root / ".dvc").is_dir():
        yield note("cache", ".dvc not found")
        return
    about = _settings(root).get("cache", {})
    folder = _cache_folder(root, about)
    kinds = about.get("type", ["reflink", "copy"])
    found = f"{folder}, by {', '.join([kinds] if isinstance(kinds, str) else kinds)}"
    if about.get("shared"):
        found += f", shared: {about['shared']}"
    if not os.access(_existing(folder), os.W_OK):
        yield lack("cache", f"{found}: not writable", "correct its permissions, or: dvc cache dir --local FOLDER", needed=True)
    else:
        yield ok("cache", found)


def _cache_folder(root: Path, about: dict[str, Any]) -> Path:
    return (root / ".dvc" / about["dir"]).resolve() if about.get("dir") else root / ".dvc" / "cache"


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.exists())


def tracking(root: Path) -> Iterator[Finding]:
    from relume.core.errors import UserError
    from relume.tracking.store import address, check_health

    uri = address(root)
    parts = urlsplit(uri)
    where = f"{uri} (MLFLOW_TRACKING_URI)" if os.environ.get("MLFLOW_TRACKING_URI") else uri
    if os.environ.get("RELUME_TRACKING", "").lower() == "off":
        yield note("mlflow", "disabled: RELUME_TRACKING=off", "unset RELUME_TRACKING")
    if parts.scheme == "sqlite":
        yield _database(Path(uri.removeprefix("sqlite:///")), where)
    elif parts.scheme in ("http", "https"):
        try:
            check_health(uri, WAIT)
            yield ok("mlflow", f"{where}: answers")
        except UserError as error:
            remedy = "start it, or unset MLFLOW_TRACKING_URI; `relume track` can write the results later"
            yield lack("mlflow", str(error), remedy)
    elif parts.scheme in ("", "file"):
        yield lack("mlflow", f"{where}: MLflow no longer supports folders", "unset MLFLOW_TRACKING_URI, or sqlite:///FILE")
    else:
        yield note("mlflow", f"{where}: not checked")


def _database(file: Path, where: str) -> Finding:
    if not file.exists():
        return note("mlflow", f"{where}: does not exist yet", "make repro or `relume track` creates it")
    try:
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=WAIT) as database:
            (runs,) = database.execute("select count(*) from runs").fetchone()
    except sqlite3.Error as error:
        return lack("mlflow", f"{where}: {error}", "move the file away; `relume track` creates it again from the results")
    return ok("mlflow", f"{where}: {runs} runs")


def disk(root: Path) -> Iterator[Finding]:
    """Free space of the workspace, scratch and cache; each file system once."""
    scratch = Path(os.environ.get("RELUME_SCRATCH") or root / ".dvc" / "tmp" / "resume")
    places = {"workspace": root, "scratch": scratch}
    if (root / ".dvc").is_dir() and find_spec("dvc") is not None:
        places["cache"] = _cache_folder(root, _settings(root).get("cache", {}))
    systems: dict[int, list[str]] = {}
    for name, folder in places.items():
        systems.setdefault(_existing(folder).stat().st_dev, []).append(name)
    for names in systems.values():
        free = shutil.disk_usage(_existing(places[names[0]])).free / 2**30
        name, found = "disk", f"{free:.0f} GiB free for {', '.join(names)}"
        if free < TOO_LITTLE:
            yield lack(name, found, "free some space, or move the cache: dvc cache dir --local FOLDER", needed=True)
        elif free < ENOUGH:
            yield note(name, found, "enough for the default pipeline, too little for a large dataset")
        else:
            yield ok(name, found)


def stale(root: Path) -> Iterator[Finding]:
    """The stages that `dvc repro` would run."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "--json"], cwd=root, capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        yield lack("stale stages", done.stderr.strip() or "dvc status failed", "fix the error", needed=True)
        return
    names = sorted(json.loads(done.stdout))
    yield note("stale stages", ", ".join(names), "make repro") if names else ok("stale stages", "none")
