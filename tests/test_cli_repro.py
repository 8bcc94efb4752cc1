"""`relume repro`: stages side by side, on a toy pipeline of stages that sleep and note when they ran."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

pytestmark = pytest.mark.slow

COMMAND = """
import sys
from relume.cli.repro import repro
sys.exit(repro(sys.argv[2:], jobs=int(sys.argv[1]), force=False, echo=lambda line: print(line, flush=True)))
"""
# Notes begin and end outside of DVC, sleeps, and writes what its inputs hold and its number.
WORK = """
import sys, time
from pathlib import Path
name, seconds, value, *inputs = sys.argv[1:]
begin = time.time()
print("bar 1 of 2\\rworking on", name, flush=True)
time.sleep(float(seconds))
if value == "bad":
    sys.exit("no good")
Path("out").mkdir(exist_ok=True)
Path("out", name).write_text("".join(Path("out", other).read_text() for other in inputs) + str(min(int(value), 5)))
with open("ran.txt", "a") as log:
    print(name, begin, time.time(), file=log)
"""
ABOVE: dict[str, list[str]] = {f"s{index}": [] for index in range(6)} | {
    "m0": ["s0", "s1"],
    "m1": ["s2", "s3"],
    "m2": ["s4", "m0"],
    "m3": ["s5", "m0", "m1"],
    "m4": ["m1"],
}


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    (tmp_path / "work.py").write_text(WORK)
    stages = {
        name: {
            "cmd": f"{sys.executable} work.py {name} ${{seconds.{name}}} ${{value.{name}}} {' '.join(above)}",
            "deps": [f"out/{other}" for other in above],
            "params": [f"value.{name}"],
            "outs": [f"out/{name}"],
        }
        for name, above in ABOVE.items()
    }
    stages["all"] = {"cmd": "ls out > all.txt", "deps": ["out"], "outs": ["all.txt"]}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    change(tmp_path, {})
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"], ["dvc", "config", "core.analytics", "false"]):
        subprocess.run(command, cwd=tmp_path, check=True, env=environment())
    return tmp_path


def change(folder: Path, value: dict[str, object], seconds: float = 0.3) -> None:
    values = {name: value.get(name, 1) for name in ABOVE}
    times = dict.fromkeys(ABOVE, seconds)
    (folder / "params.yaml").write_text(yaml.safe_dump({"value": values, "seconds": times}))


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return os.environ | {"PATH": path, "PYTHONPATH": str(ROOT / "src")}


def start(folder: Path, *targets: str, jobs: int = 4) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(jobs), *targets], cwd=folder, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )  # fmt: skip


def repro(folder: Path, *targets: str, jobs: int = 4) -> tuple[int, str]:
    process = start(folder, *targets, jobs=jobs)
    text, _ = process.communicate(timeout=600)
    return process.returncode, text


def dvc(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["dvc", *arguments], cwd=folder, env=environment(), text=True, capture_output=True, check=True)
    return done.stdout


def ran(folder: Path) -> list[str]:
    log = folder / "ran.txt"
    names = [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []
    log.unlink(missing_ok=True)
    return names


def test_stages_run_side_by_side_and_dvc_knows_all_of_them(toy: Path) -> None:
    (toy / ".dvc/tmp/rwlock").write_text("")  # as DVC leaves it when it is killed while it writes
    code, text = repro(toy)
    assert code == 0, text
    spans = {name: (float(begin), float(end)) for name, begin, end in map(str.split, (toy / "ran.txt").read_text().splitlines())}
    assert set(spans) == set(ABOVE)
    assert max(sum(begin <= at < end for begin, end in spans.values()) for at, _ in spans.values()) in (2, 3, 4)
    assert all(spans[other][1] <= spans[name][0] for name, above in ABOVE.items() for other in above)
    assert set(yaml.safe_load((toy / "dvc.lock").read_text())["stages"]) == {*ABOVE, "all"}
    assert json.loads(dvc(toy, "status", "--json")) == {}
    assert "        working on m3" in text.splitlines()
    ran(toy)
    dvc(toy, "repro")
    code, text = repro(toy)
    assert (code, ran(toy)) == (0, [])
    assert "up to date" in text


def test_what_is_stale_runs_and_what_an_unchanged_input_reaches_does_not(toy: Path) -> None:
    repro(toy)
    ran(toy)
    change(toy, {"m1": 2})
    assert repro(toy)[0] == 0
    assert sorted(ran(toy)) == ["m1", "m3", "m4"]
    change(toy, {"m1": 9})
    repro(toy)
    ran(toy)
    change(toy, {"m1": 7})  # written is 5 either way
    code, text = repro(toy)
    assert (code, ran(toy)) == (0, ["m1"])
    assert "m4: unchanged" in text
    change(toy, {"m1": 9})
    code, text = repro(toy)
    assert (code, ran(toy)) == (0, [])
    assert "m1: from the run cache" in text
    change(toy, {"s0": 3, "s5": 3})
    repro(toy, "m0")
    assert sorted(ran(toy)) == ["m0", "s0"]
    dvc(toy, "repro")
    assert sorted(ran(toy)) == ["m2", "m3", "s5"]


def test_a_failure_lets_the_others_finish_and_stands_last(toy: Path) -> None:
    change(toy, {"s1": "bad"})
    code, text = repro(toy, jobs=2)
    assert code == 1
    assert text.splitlines()[-1].startswith("s1 has FAILED")
    assert "no good" in text.splitlines()[-2]
    done = ran(toy)
    assert "m0" not in done
    assert set(json.loads(dvc(toy, "status", "--json"))).isdisjoint(set(done) - {"s1"})
    change(toy, {})
    assert repro(toy)[0] == 0
    assert set(ran(toy)) == set(ABOVE) - set(done)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_it_leaves_no_process_and_no_lock_and_goes_on(toy: Path, kind: signal.Signals) -> None:
    change(toy, {}, seconds=1.0)
    process = start(toy, jobs=2)
    until = time.monotonic() + 300
    while not (toy / "ran.txt").exists() and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(kind)
    process.communicate(timeout=300)
    assert process.returncode == (-kind if kind == signal.SIGKILL else 128 + kind)
    if kind == signal.SIGKILL:
        time.sleep(1.5)  # what ran goes on to its end, as below `dvc repro`
    done = ran(toy)
    time.sleep(1.5)
    assert ran(toy) == []
    lock = toy / "dvc.lock"
    known = yaml.safe_load(lock.read_text())["stages"].keys() if lock.exists() else set()
    assert known or kind == signal.SIGKILL
    assert repro(toy)[0] == 0
    again = ran(toy)
    assert set(done) | set(again) == set(ABOVE)
    assert set(known).isdisjoint(again)
    assert json.loads(dvc(toy, "status", "--json")) == {}
