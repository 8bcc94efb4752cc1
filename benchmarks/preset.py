"""Runs the pipeline with a preset, and copies its tables to docs/results.

    RELUME_SOURCES=~/pictures python -m benchmarks.preset photographs
    python -m benchmarks.preset default

It runs `make exp PRESET=photographs` (`dvc repro` for the default) and copies what `compare` and `report` wrote: the
leaderboard as <preset>.csv, the other tables as <preset>_<table>.csv, a `.json` beside each, and the report's picture as
<preset>.jpg. Stages whose results are in the cache do not run again; `seconds` are those that trainings and inversions took.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import click

from benchmarks.common import command, commit
from relume.core.files import read_csv, read_json, write_json

DEFAULT = "default"  # params.yaml as it is
TABLES = {"leaderboard": "", "report/spread": "_spread", "maps/maps": "_maps"}
TABLES |= {name: f"_{name}" for name in ("masked", "comparisons", "sets", "correlations")}
METRICS, RESULTS = Path("metrics"), Path("docs/results")


def keep(name: str, root: Path, story: dict[str, object]) -> list[Path]:
    """Copies the tables that have rows, and the picture. `story` is written beside each."""
    kept = []
    for table, ending in TABLES.items():
        source, there = root / METRICS / f"{table}.csv", root / RESULTS / f"{name}{ending}.csv"
        if source.exists() and read_csv(source):
            shutil.copyfile(source, there)
            write_json(there.with_suffix(".json"), story)
            kept.append(there)
    picture = root / METRICS / "report/overview.jpg"
    if picture.exists() and name != DEFAULT:  # the gallery has that one
        shutil.copyfile(picture, root / RESULTS / f"{name}.jpg")
        kept.append(root / RESULTS / f"{name}.jpg")
    return kept


def story(root: Path, at: str) -> dict[str, object]:
    """The provenance of the tables, read from the files."""
    board = read_csv(root / METRICS / "leaderboard.csv")
    names = list(dict.fromkeys(row["dataset"] for row in board))
    manifests = {name: read_json(root / "data/images" / name / "manifest.json") for name in names}
    counts = {name: manifest["counts"] for name, manifest in manifests.items()}
    shown = [
        f"{name}: {count['train']} for training, {count['val']} for validation, {count['test']} for test,"
        f" {manifests[name]['size']} px"
        for name, count in counts.items()
    ]
    return {
        "command": command("benchmarks.preset"),
        "commit": at,
        "data": "; ".join(shown),
        "n": max(int(row["n"]) for row in board),
        "device": "; ".join(dict.fromkeys(row["device"] for row in board)),
        "seconds": round(_seconds(root), 1),
    }


def _seconds(root: Path) -> float:
    """The sum over all trainings and inversions of the last time of each."""
    timings = [*(root / METRICS / "runs").glob("*/timing.csv"), *(root / METRICS / "training").glob("*.csv")]
    last: dict[tuple[Path, str], float] = {}
    for path in timings:
        last |= {(path, row.get("method", "")): float(row["seconds"]) for row in read_csv(path)}
    return sum(last.values())


@click.command(help=__doc__)
@click.argument("name")
def main(name: str) -> None:
    at = commit()
    words = ["dvc", "repro"] if name == DEFAULT else ["relume.presets", name]
    done = subprocess.run([sys.executable, "-m", *words], check=False)
    if done.returncode:
        sys.exit(done.returncode)
    root = Path.cwd()
    for path in keep(name, root, story(root, at)):
        click.echo(f"{path.relative_to(root)}: written")


if __name__ == "__main__":
    main()
