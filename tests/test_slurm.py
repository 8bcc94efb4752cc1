"""Inversions in jobs: on this machine, and on a real SLURM of one node (Debian: slurm-wlm, munge). Both give the same bits."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import yaml

from relume.core.files import sha256
from tests.test_launch import ran, stage
from tests.test_pipeline import commit, copied, executed, run
from tests.test_readme import ROOT, blocks
from tests.test_share import PARAMS, STAGES, shell

pytestmark = pytest.mark.slow
DVC = [sys.executable, "-m", "dvc"]
GROUPS = {"shallow": "invert_optimise@shallow", "pictures": "invert_landscape@pictures"}
CONF = """
ClusterName=one
SlurmctldHost={host}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={here}/munge.socket
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={here}/state
SlurmdSpoolDir={here}/spool
SlurmctldPidFile={here}/slurmctld.pid
SlurmdPidFile={here}/slurmd.pid
SlurmctldLogFile={here}/slurmctld.log
SlurmdLogFile={here}/slurmd.log
SlurmdParameters=config_overrides
SwitchType=switch/none
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES PriorityTier=1
PartitionName=urgent Nodes={host} PriorityTier=10
"""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables that lead to it."""
    path = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"
    programs = [shutil.which(name, path=path) for name in ("munged", "slurmctld", "slurmd")]
    if None in programs or os.geteuid():
        pytest.skip("SLURM (Debian: slurm-wlm, munge) is not installed, or this is not root, which slurmd needs")
    here = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool"):
        (here / name).mkdir()
    (here / "key").write_bytes(os.urandom(128))
    (here / "key").chmod(0o400)
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ports = [server.getsockname()[1] for server in (one, two)]
    host = socket.gethostname().partition(".")[0]
    (here / "slurm.conf").write_text(CONF.format(host=host, user="root", here=here, ports=ports))
    variables = {"SLURM_CONF": str(here / "slurm.conf")}
    paths = {"key-file": "key", "socket": "munge.socket", "pid-file": "munge.pid", "log-file": "munge.log", "seed-file": "seed"}
    munge = ["--foreground", "--force", *(f"--{option}={here / name}" for option, name in paths.items())]
    commands = [[programs[0], *munge], [programs[1], "-D"], [programs[2], "-D", "-N", host]]
    processes = []
    try:
        for command in commands:
            processes.append(subprocess.Popen(list(map(str, command)), env=os.environ | variables, stdout=subprocess.DEVNULL))
            time.sleep(2)
        wait_for(lambda: "idle" in asked(variables, "sinfo"))
        yield variables
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait()


def asked(variables: dict[str, str], *words: str) -> str:
    return subprocess.run(words, env=os.environ | variables, capture_output=True, text=True).stdout


def wait_for(condition: Callable[[], bool], seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.2)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Groups of shards of some seconds, one inverted in one process."""
    root = copied(tmp_path_factory.mktemp("jobs") / "tree")
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["run"]["micro_batch"], params["invert_optimise"]["count"] = 1, 4
    params["recipes"]["shallow"]["steps"] = 1000
    for way in params["invert_landscape"]["pictures"]["methods"].values():
        way["steps"] = 100
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    run(*DVC, "repro", GROUPS["shallow"], cwd=root)
    commit(root)
    return root


def results(root: Path, group: str) -> dict[str, str]:
    files = [path for folder in ("data/reconstructions", "metrics/runs") for path in (root / folder / group).iterdir()]
    return {str(path.relative_to(root)): sha256(path) for path in files if path.name != "timing.csv"}


AGAIN = [*DVC, "repro", "--force", "--single-item", "--no-run-cache"]


def test_an_inversion_in_jobs_of_this_machine_is_the_same(tree: Path) -> None:
    before = results(tree, "shallow")
    (tree / "cluster.yaml").write_text("{launcher: local, jobs: 2}")
    assert "2 jobs on this machine" in run(*AGAIN, GROUPS["shallow"], cwd=tree)
    assert results(tree, "shallow") == before
    assert "metrics/runs/shallow/method.json" in before
    assert executed(run(*DVC, "repro", GROUPS["shallow"], cwd=tree)) == set()


def test_a_failed_shard_runs_again_on_slurm(tmp_path: Path, slurm: dict[str, str]) -> None:
    done = stage(tmp_path, "{launcher: slurm, jobs: 4, sbatch: [--time=5]}", **slurm)
    assert done.stdout == "ends 0.done 1.done 2.done 3.done\n", done.stderr
    assert sorted(shard for shard, _ in ran(tmp_path)) == ["0", "1", "1", "2", "3"]
    assert "invalid" in stage(tmp_path / "..", "{launcher: slurm, jobs: 4, sbatch: [--partition=none]}", **slurm).stderr.lower()


@pytest.mark.parametrize("group", GROUPS)
def test_jobs_that_are_killed_and_preempted_give_the_same(tree: Path, slurm: dict[str, str], group: str) -> None:
    """One job is killed, another gives way to an urgent one, and the processes that wait for them are killed, too."""
    (tree / "cluster.yaml").unlink(missing_ok=True)
    run(*DVC, "repro", GROUPS[group], cwd=tree)
    before = results(tree, group)
    (tree / "cluster.yaml").write_text("{launcher: slurm, jobs: 4, sbatch: [--ntasks=1]}")
    with waiting(tree, slurm, GROUPS[group]) as stage:
        wait_for(lambda: running(slurm) == 4)
        scratch = f".dvc/tmp/resume/{GROUPS[group]}-*"
        if group == "shallow":
            wait_for(lambda: all("objective=" in path.read_text() for path in tree.glob(f"{scratch}/job-*.log")))
        else:
            wait_for(lambda: any(tree.glob(f"{scratch}/*.npz")))
        first = asked(slurm, "squeue", "--noheader", "--array", "--format=%F_%K").split()[0]
        asked(slurm, "scancel", "--signal=KILL", "--full", first)
        wait_for(lambda: running(slurm) < 4)
        asked(slurm, "srun", "--partition=urgent", "--ntasks=2", "true")
        wait_for(lambda: "PD" in asked(slurm, "squeue", "--noheader", "--format=%t"))
        os.killpg(stage.pid, signal.SIGKILL)
    said = run(*AGAIN, GROUPS[group], cwd=tree, **slurm)
    assert results(tree, group) == before
    assert "of SLURM" in said, "the killed shard runs again"


def test_a_grid_is_an_array_of_jobs(tmp_path: Path, slurm: dict[str, str]) -> None:
    """The script of docs/howto/cluster.md: three values of a parameter, from clones back to the project."""
    home, cache = tmp_path / "relume", tmp_path / "cache"
    home.mkdir()
    (home / "dvc.yaml").write_text(STAGES)
    (home / "params.yaml").write_text(PARAMS)
    shell(f"git init -q; dvc init -q; dvc cache dir --local {cache}; dvc repro -q; git add .; git commit -qm all", home)
    script = blocks(ROOT / "docs/howto/cluster.md", "bash")[2].replace("recipes.deep.losses.$name", '"${name/tv/x}"')
    for place, own in (("$HOME", tmp_path), ("/scratch", tmp_path), ("/srv/relume-cache", cache), ("source ", "true ")):
        script = script.replace(place, str(own))
    (tmp_path / "grid.sh").write_text(script)
    shell(f"sbatch --wait --output={tmp_path}/%a.log ../grid.sh", home, **slurm)
    assert set(shell("dvc exp list --name-only", home).split()) == {"tv=5", "tv=10", "tv=20"}
    shell("dvc exp apply tv=10", home)
    assert (home / "one.txt").read_text() == "10\n"


def running(slurm: dict[str, str]) -> int:
    return asked(slurm, "squeue", "--noheader", "--array", "--states=R", "--format=%t").count("R")


@contextmanager
def waiting(root: Path, slurm: dict[str, str], stage: str) -> Iterator["subprocess.Popen[bytes]"]:
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | slurm
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    process = subprocess.Popen([*AGAIN, stage], cwd=root, env=env, start_new_session=True)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
