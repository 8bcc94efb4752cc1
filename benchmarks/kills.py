"""Random kills of stages and of DVC: does the same command, run again, give the same bytes?

    python -m benchmarks.kills --trials 50 --seed 0

The pipeline is run on toy parameters, with a checkpoint every 0.2 s. A trial forces one stage of a random kind, by `dvc repro` or
`relume repro`, and at a random moment sends SIGKILL, SIGTERM or SIGINT to the command, to its stage or to all its processes. Then
it gives the command again, and compares every output with the first run's. What else lies in the tree, and any process that is
still there, is counted. `mended`: DVC was hit as it wrote `.dvc/tmp/rwlock`, which had to be removed before it took a command.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import psutil
import yaml

from benchmarks.common import command, commit
from relume.cli.repro import SECONDS
from relume.core.errors import UserError
from relume.core.files import read_json, write_csv, write_json
from tests.test_pipeline import copied, outputs

OUT = Path("docs/results/kills.csv")
COLUMNS = ("trial", "command", "stage", "killed", "signal", "after", "living", "seconds", "mended", "code", "equal", "leftovers")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
STARTING, ORPHANED = 4.0, 3.0  # seconds: until DVC starts a stage; after which a process of a killed command counts as living
FORCED = {"dvc repro": ("dvc", "repro", "--single-item", "--force"), "relume repro": ("relume.cli.main", "repro", "--jobs", "1")}


def start(root: Path, words: tuple[str, ...]) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    own = {"PATH": path, "PYTHONPATH": str(root / "src"), "RELUME_TRACKING": "off", "DVC_NO_ANALYTICS": "1"}
    own["DVC_SITE_CACHE_DIR"] = str(root.parent / "site")
    return subprocess.Popen(
        [sys.executable, "-m", *words], cwd=root, env=os.environ | own, text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def finished(process: subprocess.Popen[str]) -> str:
    """Its output; raises if it failed."""
    text, _ = process.communicate(timeout=3600)
    if process.returncode:
        raise UserError(f"{process.args!r} ended with {process.returncode}:\n{text[-2000:]}")
    return text


def toy(root: Path) -> Path:
    """The pipeline of the tests, run once; its trainings are long enough for some checkpoints."""
    copied(root)
    params = yaml.safe_load((root / "params.yaml").read_text())
    for section in params.values():
        if isinstance(section, dict) and "training" in section.get("shared", {}):
            section["shared"]["training"].update(steps=30)
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    checkpoint = root / "src/relume/core/checkpoint.py"
    changed = checkpoint.read_text().replace("EVERY = 20.0", "EVERY = 0.2")
    if changed == checkpoint.read_text():
        raise UserError(f"{checkpoint} has no line `EVERY = 20.0`")
    checkpoint.write_text(changed)
    finished(start(root, (*FORCED["relume repro"],)))
    return root


def tree(root: Path) -> set[str]:
    """All files except those internal to Git and DVC; includes leftover checkpoints."""
    hidden = (root / ".git", root / ".dvc", *root.rglob("__pycache__"))
    found = {path for path in root.rglob("*") if not any(path.is_relative_to(folder) for folder in hidden)}
    return {str(path.relative_to(root)) for path in [*found, *(root / ".dvc/tmp/resume").glob("*")]}


def processes(root: Path) -> list[psutil.Process]:
    """Processes in this tree."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(root) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue  # it has ended or belongs to another user
    return found


def kill(process: subprocess.Popen[str], who: str, kind: signal.Signals) -> str:
    """Sends the signal; the command itself if no stage runs."""
    stages = [child for child in psutil.Process(process.pid).children(recursive=True) if "stages." in " ".join(child.cmdline())]
    if who == "stage" and stages:
        stages[0].send_signal(kind)
        return "stage"
    if who == "all":
        os.killpg(process.pid, kind)
        return "all"
    process.send_signal(kind)
    return "command"


def prepared(root: Path, name: str, stage: str, lock: Mapping[str, Any]) -> tuple[str, ...]:
    """The command that forces this stage. `relume repro` runs what is missing, unless DVC has it in its run cache."""
    if name == "dvc repro":
        return (*FORCED[name], stage)
    shutil.rmtree(root / ".dvc/cache/runs", ignore_errors=True)
    for out in lock[stage].get("outs", []):
        path = root / out["path"]
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return (*FORCED[name], stage)


def trial(root: Path, known: tuple[dict[str, str], set[str]], draw: random.Random) -> dict[str, object] | None:
    """A row of the table; None where the command ended before it was killed."""
    lock = yaml.safe_load((root / "dvc.lock").read_text())["stages"]
    seconds = read_json(root / SECONDS) if (root / SECONDS).exists() else {}
    kind_of_stage = draw.choice(sorted({name.partition("@")[0] for name in lock}))
    stage = draw.choice([name for name in lock if name.partition("@")[0] == kind_of_stage])
    name, who, kind = draw.choice(sorted(FORCED)), draw.choice(("command", "stage", "all")), draw.choice(SIGNALS)
    words = prepared(root, name, stage, lock)
    begun = time.monotonic()
    process = start(root, words)
    after = draw.uniform(0.2, STARTING + 1.2 * seconds.get(stage, [5.0])[0])
    try:
        finished_first = process.communicate(timeout=after) is not None
    except subprocess.TimeoutExpired:
        finished_first = False
    if finished_first:
        return None
    killed = kill(process, who, kind)
    process.communicate(timeout=600)
    until = time.monotonic() + ORPHANED
    while (living := processes(root)) and time.monotonic() < until:
        time.sleep(0.1)
    again = start(root, words)
    text, _ = again.communicate(timeout=3600)
    mended = bool(again.returncode) and "RWLock-file" in text
    if mended:  # as docs/troubleshooting.md says
        (root / ".dvc/tmp/rwlock").unlink()
        again = start(root, words)
        text, _ = again.communicate(timeout=3600)
    equal = outputs(root) == known[0]
    leftovers = sorted(tree(root) - known[1])
    if again.returncode or not equal or leftovers:
        click.echo(f"{text[-3000:]}\nleft over: {leftovers}", err=True)
    return {
        "command": name, "stage": stage, "killed": killed, "signal": kind.name, "after": round(after, 2),
        "living": len(living), "seconds": round(time.monotonic() - begun, 1), "mended": mended,
        "code": again.returncode, "equal": equal, "leftovers": len(leftovers),
    }  # fmt: skip


@click.command(help=__doc__)
@click.option("--trials", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Of stages, signals and moments.")
@click.option("--work", type=click.Path(path_type=Path), help="Folder of the toy tree; one that is there is used again.")
@click.option("--out", type=click.Path(path_type=Path), default=OUT, show_default=True)
def main(trials: int, seed: int, work: Path | None, out: Path) -> None:
    at, draw, begun = commit(), random.Random(seed), time.monotonic()
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as temporary:
        root = (work or Path(temporary)).resolve() / "tree"
        if not root.exists():
            toy(root)
        known = outputs(root), tree(root)
        while len(rows) < trials:
            if row := trial(root, known, draw):
                rows.append({"trial": len(rows) + 1, **row})
                click.echo("  ".join(str(value) for value in rows[-1].values()))
                write_csv(out, COLUMNS, rows)
                good = sum(row["code"] == 0 and row["equal"] is True and not row["leftovers"] for row in rows)
                kinds = {str(row["stage"]).partition("@")[0] for row in rows}
                about = {"command": command("benchmarks.kills"), "commit": at, "n": len(rows), "identical": good}
                about |= {"data": f"the toy pipeline of the tests, {len(kinds)} kinds of stages", "device": "cpu"}
                write_json(out.with_suffix(".json"), {**about, "seconds": round(time.monotonic() - begun, 1)})
    click.echo(f"{good} of {len(rows)} identical and without leftovers")
    sys.exit(0 if good == len(rows) else 1)


if __name__ == "__main__":
    main()
