"""Locks, processes that end with their parent, and what a full, read-only or littered folder gives."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from relume.core.checkpoint import Checkpoint
from relume.core.errors import UserError
from relume.core.files import atomic, check_writable, write_text
from relume.core.process import held
from relume.core.results import new_images, write_array
from tests.conftest import ROOT

HOLD = """
import sys, time
from pathlib import Path
from relume.core.process import end_with_parent, held
end_with_parent()
with held(Path("at/lock"), print):
    print("held", flush=True)
    time.sleep(float(sys.argv[1]))
"""
PARENT = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", sys.argv[1], "60"])
time.sleep(60)
"""


def start(script: str, argument: str, folder: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.Popen(
        [sys.executable, "-c", script, argument], cwd=folder, env=environment, text=True, stdout=subprocess.PIPE
    )


def test_the_second_waits_for_the_first_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = start(HOLD, "0.5", tmp_path)
    assert first.stdout is not None
    assert first.stdout.readline() == "held\n"
    told: list[str] = []
    with held(Path("at/lock"), told.append):
        assert first.wait(10) == 0
    assert len(told) == 1
    assert f"process {first.pid} " in told[0]
    with held(Path("at/lock"), told.append):
        assert len(told) == 1, "whose process has ended"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's death")
def test_a_process_ends_when_its_parent_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    parent = start(PARENT, HOLD, tmp_path)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "held\n"
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    since = time.monotonic()
    with held(Path("at/lock"), lambda line: None):
        assert time.monotonic() - since < 5


def test_what_killed_processes_left_beside_a_file_goes_and_a_neighbours_stays(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    token = "Ab-_" * 5 + "xy"
    gone = [f".a.csv.{dead.pid}.part", f"a.csv.{token}.tmp"]
    stay = [f".a.csv.{os.getppid()}.part", f".b.csv.{dead.pid}.part", f"b.csv.{token}.tmp", "a.csv.tmp"]
    for name in (*gone, *stay):
        (tmp_path / name).touch()
    write_text(tmp_path / "a.csv", "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*stay, "a.csv"])


def test_a_full_disk_is_told_and_nothing_is_half_written(tmp_path: Path) -> None:
    """Here files may have 100 kB: NumPy and safetensors each tell of a short write in their own way."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(UserError, match=r"cannot write .*images.npy: the disk is full"):
            write_array(tmp_path / "images.npy", np.zeros(10**6))
        with pytest.raises(UserError, match=r"cannot write .*state.safetensors: File too large"):
            Checkpoint(tmp_path / "state.safetensors", []).write({"a": torch.zeros(10**6)}, {})
        with pytest.raises(UserError, match=r"cannot write .*images.npy: "):
            new_images(tmp_path, 100, 32)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == []


def test_images_are_filled_in_a_file_and_have_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    write_array(tmp_path / "plain.npy", wanted)
    images = new_images(tmp_path, 2, 4)
    images[0], images[1] = wanted
    assert isinstance(images, np.memmap)
    assert not (tmp_path / "images.npy").exists()
    write_array(tmp_path / "images.npy", images)
    assert (tmp_path / "images.npy").read_bytes() == (tmp_path / "plain.npy").read_bytes()
    monkeypatch.setenv("RELUME_SHARDS", "jobs.json")
    assert not isinstance(new_images(tmp_path, 2, 4), np.memmap), "a job writes no group"
    assert sorted(os.listdir(tmp_path)) == ["images.npy", "plain.npy"]


def test_what_cannot_be_made_is_told_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file in the way")
    with pytest.raises(UserError, match=r"cannot write .*models/decoder/deep: "):
        check_writable(tmp_path / "models" / "decoder" / "deep")
    with pytest.raises(UserError, match=r"cannot write .*models/decoder/deep: "), atomic(tmp_path / "models/decoder/deep"):
        pass
    check_writable(tmp_path / "others" / "decoder" / "deep")
    assert os.listdir(tmp_path) == ["models"]
