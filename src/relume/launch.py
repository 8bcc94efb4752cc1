"""Where the shards of an inversion run: in this process, in several on this machine, or in jobs of SLURM. `cluster.yaml`, which
git ignores, says which. A job is the stage's own command with RELUME_SHARDS: it computes its share into the scratch folder, as
this process would, and ends. So results do not depend on it, and neither parameters nor `dvc.lock` know of it. Code of stages
calls this by name: it changes no result."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import click
from pydantic import Field

from relume.core.config import build, config, read_params
from relume.core.errors import UserError
from relume.core.files import read_json, write_json

SHARDS = "RELUME_SHARDS"  # in a job: the file with the shares of all jobs
JOB = "RELUME_JOB"  # in a job on this machine: the number of its share; SLURM sets its own variable
FILE, POLL = "cluster.yaml", 3.0  # seconds


@config
class Cluster:
    launcher: Literal["local", "slurm"]
    jobs: int = Field(ge=1)  # at most; micro-batches are dealt out in turn
    sbatch: tuple[str, ...] = ()  # options of sbatch, as --time=02:00:00


def cluster() -> Cluster | None:
    """None: shards run one after the other in this process."""
    path = Path(os.environ.get("RELUME_CLUSTER") or Path(os.environ.get("DVC_ROOT", ".")) / FILE)
    if "DVC_STAGE" not in os.environ or not path.exists():
        return None
    return build(Cluster, read_params(path), path.name)


def run(folder: Path, shards: Sequence[int], done: Callable[[int], bool], compute: Callable[[int], object]) -> None:
    """Computes `shards` into `folder` in other processes if a cluster is configured. A job computes its share and ends."""
    folder = folder.resolve()
    missing = [shard for shard in shards if not done(shard)]
    if shares := os.environ.get(SHARDS):
        if missing and Path(shares).parent != folder:
            fault = f"this job would write to {folder}, not to {Path(shares).parent}: its device or software is another"
            raise UserError(f"{FILE}: {fault} than that of the process that waits for it; start that one on such a node")
        if Path(shares).parent == folder:
            own = read_json(Path(shares))["shares"][int(os.environ.get("SLURM_ARRAY_TASK_ID") or os.environ[JOB])]
            for shard in filter(missing.__contains__, own):
                compute(shard)
            raise SystemExit(0)
    elif (settings := cluster()) and len(missing) > 1:
        launch = _slurm if settings.launcher == "slurm" else _local
        while missing:
            launch(folder, missing, settings)
            left = [shard for shard in missing if not done(shard)]
            if len(left) == len(missing):
                raise UserError(f"{FILE}: no job has finished a shard; see {folder}/job-*.log. What is done is kept")
            missing = left


def _shares(folder: Path, missing: Sequence[int], settings: Cluster, where: str) -> list[list[int]]:
    count = min(settings.jobs, len(missing))
    click.echo(f"{len(missing)} shards in {count} jobs {where}; logs in {folder}", err=True)
    return [list(missing[job::count]) for job in range(count)]


def _environment(file: Path) -> dict[str, str]:
    return os.environ | {SHARDS: str(file), "RELUME_TRACKING": "off"}


def _command() -> list[str]:
    return [sys.executable, *sys.orig_argv[1:]]


def _local(folder: Path, missing: Sequence[int], settings: Cluster) -> None:
    """Processes on this machine. GPUs are assigned in turn."""
    file, shares = folder / "jobs.json", _shares(folder, missing, settings, "on this machine")
    gpus = sys.modules["torch"].cuda.device_count() if "torch" in sys.modules else 0  # a stage has imported it
    write_json(file, {"shares": shares})
    with _ended() as processes:
        for job in range(len(shares)):
            own = {JOB: str(job)} | ({"CUDA_VISIBLE_DEVICES": str(job % gpus)} if gpus > 1 else {})
            with (folder / f"job-{job}.log").open("ab") as log:
                processes.append(subprocess.Popen(_command(), env=_environment(file) | own, stdout=log, stderr=log))
        for process in processes:
            process.wait()


@contextmanager
def _ended() -> Iterator[list["subprocess.Popen[bytes]"]]:
    processes: list[subprocess.Popen[bytes]] = []
    try:
        yield processes
    finally:
        for process in processes:
            process.terminate()
            process.wait()


def _slurm(folder: Path, missing: Sequence[int], settings: Cluster) -> None:
    """A job array. If this stage was killed after submitting one, it waits for that one."""
    file = folder / "jobs.json"
    running = read_json(file).get("slurm") if file.exists() else None
    if not (running and _queued(running)):
        shares = _shares(folder, missing, settings, "of SLURM")
        write_json(file, {"shares": shares})
        stage = os.environ["DVC_STAGE"]
        array = [f"--array=0-{len(shares) - 1}", "--requeue", "--open-mode=append", f"--output={folder}/job-%a.log"]
        words = ["sbatch", "--parsable", f"--job-name={stage}", *array, *settings.sbatch, "--wrap", shlex.join(_command())]
        running = _output(words, _environment(file)).strip().partition(";")[0]
        write_json(file, {"shares": shares, "slurm": running})
    while _queued(running):
        time.sleep(POLL)


def _queued(job: str) -> bool:
    """Whether the job is queued or running."""
    try:
        return bool(_output(["squeue", "--noheader", f"--jobs={job}"]).strip())
    except UserError as error:
        if "Invalid job id" in str(error):
            return False
        click.echo(f"{error}: asking again", err=True)  # the controller may be restarting
        return True


def _output(command: Sequence[str], environment: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    except FileNotFoundError:
        raise UserError(f"{FILE}: launcher: slurm, but {command[0]} is not on this machine") from None
    if done.returncode:
        raise UserError(f"{FILE}: {command[0]}: {done.stderr.strip()}")
    return done.stdout
