"""Time of the pipeline: everything stale, nothing stale, `dvc status`, and each stage with its peak memory.

    python -m benchmarks.pipeline
    python -m benchmarks.pipeline --here

A clone of this tree's last commit is run (minutes), then again with nothing stale; `--here` skips the first and measures this
folder, which must be up to date. Anything under a minute is the median of three. `theirs` is `dvc repro`.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from benchmarks.common import commit
from relume.cli.repro import SECONDS, default_jobs
from relume.core.errors import UserError
from relume.core.files import find_root, read_json, write_json

OUT = Path("metrics/benchmarks/pipeline.json")
LIMITS = {"everything stale": 720.0, "nothing stale": 5.0, "dvc status": 4.0}  # seconds on two processors
TIMES = 3
REPRO = (sys.executable, "-m", "relume.cli.main", "repro")


def timed(command: tuple[str, ...], root: Path) -> float:
    """Seconds of a command; raises if it fails."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(root / "src"), "RELUME_TRACKING": "off"}
    begun = time.perf_counter()
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise UserError(f"{' '.join(command)} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}")
    return seconds


def row(what: str, ours: list[float], theirs: list[float] = []) -> dict[str, object]:  # noqa: B006  never changed
    """Medians; the bounds of the ratio are the minimum and maximum of the measurements."""
    values: dict[str, float | None] = {"ours": statistics.median(ours), "theirs": None, "limit": LIMITS.get(what)}
    values |= dict.fromkeys(("ratio", "ratio_lo", "ratio_hi"))
    if theirs:
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        other = statistics.median(theirs)
        values |= {"theirs": other, "ratio": statistics.median(ours) / other, "ratio_lo": min(ratios), "ratio_hi": max(ratios)}
    rounded = {key: None if value is None else round(value, 3) for key, value in values.items()}
    return {"what": what, "unit": "s", "n": len(ours), **rounded}


def cold(root: Path, work: Path) -> Path:
    """A clone of the last commit, without outputs."""
    clone = work / "clone"
    subprocess.run(["git", "clone", "--quiet", str(root), str(clone)], check=True)
    return clone


def measure(root: Path, *, whole: bool, jobs: int) -> list[dict[str, object]]:
    rows = [row("everything stale", [timed((*REPRO, "--jobs", str(jobs)), root)])] if whole else []
    turns = [[timed(command, root) for command in (REPRO, ("dvc", "repro"), ("dvc", "status"))] for _ in range(TIMES)]
    idle, theirs, status = map(list, zip(*turns, strict=True))
    rows += [row("nothing stale", idle, theirs), row("dvc status", status)]
    for stage, (seconds, cpu, *peak) in sorted(read_json(root / SECONDS).items()):
        rows += [row(stage, [seconds]), row(f"{stage}, processor", [cpu])]
        rows += [{**row(f"{stage}, peak memory", peak), "unit": "MiB"}] if peak else []
    return rows


@click.command(help=__doc__)
@click.option("--here", is_flag=True, help="This folder, with nothing stale; stages as they last ran.")
@click.option("--work", type=click.Path(path_type=Path), help="Where the clone is made.  [a folder that is removed]")
@click.option("--jobs", type=click.IntRange(min=1), default=default_jobs, help="Stages at once.  [the number of processors]")
@click.option("--out", type=click.Path(path_type=Path), default=OUT, show_default=True)
def main(here: bool, work: Path | None, jobs: int, out: Path) -> None:
    root, at = find_root(Path.cwd()), commit()
    with tempfile.TemporaryDirectory() as temporary:
        folder = root if here else cold(root, work or Path(temporary))
        rows = measure(folder, whole=not here, jobs=jobs)
    write_json(out, {"rows": rows, "device": f"cpu ({os.uname().machine}, {jobs} stages at once)", "commit": at})
    for found in rows:
        limit = f", at most {found['limit']:.0f}" if found["limit"] else ""
        click.echo(f"{found['what']}: {found['ours']} {found['unit']}{limit}")


if __name__ == "__main__":
    main()
