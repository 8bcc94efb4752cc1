"""A grid of variants: one `dvc exp run --temp` per point, several at once. Points with a result at this commit are skipped."""

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from relume.core.errors import UserError

DVC = [sys.executable, "-m", "dvc", "--wait-for-lock"]


def points(settings: Sequence[str]) -> dict[str, list[str]]:
    """Name -> `key=value` of every point. A name uses the last part of each key, if that is unique."""
    from dvc.utils.hydra import get_hydra_sweeps

    if wrong := [setting for setting in settings if not re.match(r"[\w.+~-]+=", setting)]:
        raise UserError(f"grid: {wrong[0]!r}: key=value,value is allowed, as losses.lpips=0,0.5")
    keys = [setting.partition("=")[0] for setting in settings]
    if twice := [key for key, count in Counter(keys).items() if count > 1]:
        raise UserError(f"grid: {twice[0]}: given twice; {twice[0]}=value,value is allowed")
    last = Counter(key.rpartition(".")[2] for key in keys)
    found: dict[str, list[str]] = {}
    for sweep in get_hydra_sweeps({"params.yaml": list(settings)}):
        words = []
        for setting in sweep["params.yaml"]:
            key, _, value = setting.partition("=")
            end = key.rpartition(".")[2]
            words.append(f"{end if last[end] == 1 else key}={value}")
        found[re.sub(r"[^\w.=,+-]+", "_", ",".join(words))] = sweep["params.yaml"]
    return found


def grid(root: Path, settings: Sequence[str], *, jobs: int, echo: Callable[[str], object]) -> int:
    """Runs the points without results. Returns the exit code."""
    wanted = points(settings)
    changed = _output(["git", "status", "--porcelain", "--untracked-files=no"], root).split("\n")[0]
    if changed:
        raise UserError(
            f"grid: {changed[3:]} differs from the commit, and variants are known by commit and name: commit it first"
        )
    there = set(_output([*DVC, "exp", "list", "--name-only"], root).split())
    missing = {name: overrides for name, overrides in wanted.items() if name not in there}
    echo(f"{len(wanted)} points, {len(wanted) - len(missing)} of them done")
    failed = 0
    with ThreadPoolExecutor(jobs) as pool:
        runs = [pool.submit(_run, root, name, overrides) for name, overrides in missing.items()]
        for number, run in enumerate(as_completed(runs), 1):
            name, code, seconds, log = run.result()
            failed += bool(code)
            echo(f"[{number}/{len(runs)}] {name}: {f'FAILED, see {log}' if code else f'{seconds:.0f} s'}")
    return 1 if failed else 0


def _run(root: Path, name: str, overrides: Sequence[str]) -> tuple[str, int, float, Path]:
    log = root / ".dvc" / "tmp" / "relume" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    words = [word for override in overrides for word in ("-S", override)]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])  # `python` must be this interpreter
    with log.open("wb") as file:
        done = subprocess.run(
            [*DVC, "exp", "run", "--temp", "--name", name, *words],
            cwd=root,
            env=os.environ | {"PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    return name, done.returncode, time.monotonic() - started, log


def _output(command: Sequence[str], root: Path) -> str:
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"grid: {done.stderr.strip()}")
    return done.stdout
