"""Speed against plain code: both do the same work, and the file is as the contract says."""

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from benchmarks import cuda, speed
from relume.core.files import read_json
from relume.networks import network as networks


def test_the_plain_inversion_takes_the_same_steps() -> None:
    network = networks.random("alexnet_conv", seed=0)
    ours, start = speed.descent(network, "conv2", 2, 2)
    plain = speed.plain_descent(network, "conv2", start, 2)
    for _ in range(2):
        mine, other = ours(), plain()
    speed.agree(mine, other)
    assert (mine - start).abs().mean() > 0.005
    with pytest.raises(Exception, match="nothing is measured"):
        speed.agree(mine, torch.zeros_like(mine))


@pytest.mark.slow
def test_every_part_writes_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "CASES", (("alexnet_conv", "conv1", 1),))
    out = tmp_path / "speed.json"
    parts = [word for part in ("inversion", "batch", "decoder", "form") for word in ("--part", part)]
    done = CliRunner().invoke(speed.main, [*parts, "--repeat", "3", "--out", str(out)])
    assert done.exit_code == 0, done.output
    rows = read_json(out)["rows"]
    assert [row["what"].split(":")[0] for row in rows[:3]] == ["inversion step"] * 3
    assert all(row["ratio_lo"] <= row["ratio"] <= row["ratio_hi"] for row in rows)
    assert len(rows) == 3 + 2 + 1 + 2


@pytest.mark.slow
def test_ways_on_a_gpu_are_checked_and_need_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "cuda.json"
    done = CliRunner().invoke(cuda.main, ["--toy", "--repeat", "3", "--out", str(out)])
    assert done.exit_code == 0, done.output
    rows = read_json(out)["rows"]
    assert [row["what"].split(",")[0] for row in rows] == ["bfloat16", "compile"] * 3
    assert all(row["apart"] < 0.1 for row in rows)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    refused = CliRunner().invoke(cuda.main, ["--out", str(out)])
    assert refused.exit_code == 1
    assert "--toy" in refused.output
