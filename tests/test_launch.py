"""Shards in other processes: the same files, a failed one again, nothing twice, and what is refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

# Notes the process of each shard; shard 1 fails the first time, shard 2 as long as `bad` lies there.
STAGE = """
import os, sys
from pathlib import Path
from relume.launch import run
folder = Path(sys.argv[1])
def compute(shard):
    with open(folder / "ran.txt", "a") as log:
        print(shard, os.getpid(), file=log)
    if shard == 2 and (folder / "bad").exists() or shard == 1 and not (folder / "tried").exists():
        (folder / "tried").touch()
        sys.exit("no good")
    (folder / f"{shard}.done").write_text(str(shard))
run(folder, range(4), lambda shard: (folder / f"{shard}.done").exists(), compute)
print("ends", *sorted(path.name for path in folder.glob("*.done")))
"""


def stage(root: Path, cluster: str, **more: str) -> "subprocess.CompletedProcess[str]":
    (root / "cluster.yaml").write_text(cluster)
    (root / "stage.py").write_text(STAGE)
    (root / "scratch").mkdir(exist_ok=True)
    env = os.environ | {"DVC_STAGE": "toy", "DVC_ROOT": str(root), "PYTHONPATH": str(ROOT / "src"), **more}
    return subprocess.run([sys.executable, "stage.py", "scratch"], cwd=root, env=env, text=True, capture_output=True, timeout=300)


def ran(root: Path) -> list[list[str]]:
    return [line.split() for line in (root / "scratch/ran.txt").read_text().splitlines()]


def test_shards_run_in_processes_and_a_failed_one_again(tmp_path: Path) -> None:
    done = stage(tmp_path, "{launcher: local, jobs: 3}")
    assert done.stdout == "ends 0.done 1.done 2.done 3.done\n", done.stderr
    shards, processes = zip(*ran(tmp_path), strict=True)
    assert sorted(shards) == ["0", "1", "1", "2", "3"]
    assert len(set(processes)) == 4, "three jobs, and one more for the shard that has failed"


def test_no_progress_is_an_error_and_what_is_done_stays(tmp_path: Path) -> None:
    stage(tmp_path, "{launcher: local, jobs: 2}", RELUME_CLUSTER="none.yaml")
    assert not (tmp_path / "scratch/ran.txt").exists(), "without cluster.yaml the stage computes for itself"
    (tmp_path / "scratch/bad").touch()
    failed = stage(tmp_path, "{launcher: local, jobs: 4}")
    assert "no job has finished a shard" in failed.stderr
    assert {path.name for path in tmp_path.glob("scratch/*.done")} == {"0.done", "1.done", "3.done"}
    assert "no good" in (tmp_path / "scratch/job-0.log").read_text()
    (tmp_path / "scratch/bad").unlink()
    assert stage(tmp_path, "{launcher: local, jobs: 4}").stdout == "ends 0.done 1.done 3.done\n", "one is left for the stage"


@pytest.mark.parametrize(
    ("cluster", "more", "fault"),
    [
        ("{launcher: pbs, jobs: 1}", {}, "cluster.yaml.launcher"),
        ("{launcher: local, jobs: 0}", {}, "cluster.yaml.jobs"),
        ("{launcher: slurm, jobs: 2}", {"PATH": ""}, "cluster.yaml: launcher"),
        ("{launcher: local, jobs: 2}", {"RELUME_SHARDS": "/elsewhere/jobs.json"}, "its device or software"),
    ],
)
def test_what_cannot_be_launched_is_refused(tmp_path: Path, cluster: str, more: dict[str, str], fault: str) -> None:
    assert fault in stage(tmp_path, cluster, **more).stderr
    assert not (tmp_path / "scratch/ran.txt").exists()
