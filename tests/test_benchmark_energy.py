"""The benchmark of a step down the energy: both sides take the same step, ratios by hand, and the file by the contract."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click import ClickException
from click.testing import CliRunner
from torch import Tensor

from benchmarks import energy
from benchmarks.energy import PASSES, Size, agree, main, ours, row, theirs
from relume.core.files import read_json
from tests.test_benchmark_records import KEYS

pytestmark = pytest.mark.slow

TOY = Size(B=7, D=12, H=3, Y=5, M=20, few=2, many=4)
CPU = torch.device("cpu")


@pytest.mark.parametrize("attention", ["plain", "fused"])
@pytest.mark.parametrize("way", PASSES)
def test_both_sides_take_the_same_step_and_learn_the_same(attention: str, way: str) -> None:
    x = TOY.tokens(CPU).double()
    found = [PASSES[way](step, TOY.block(attention, CPU).double(), x) for step in (ours, theirs)]
    assert len(found[0]) == (1 if way == "forward" else 2 + 5)  # x, then gamma, delta, Wq, Wk and Xi
    for mine, other in zip(*found, strict=True):
        assert not mine.requires_grad
        assert ((mine - other).norm() / other.norm()).item() < 1e-5
    assert (found[0][0] - x).norm() > 0.1, "it is a step"


def test_what_differs_is_not_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ClickException, match="differ"):
        agree([torch.full((2,), torch.nan)], [torch.ones(2)], 0.1)

    def astray(block: Any, x: Tensor) -> Tensor:
        return 1.01 * block(x)

    monkeypatch.setattr(energy, "SIZES", {"toy": TOY})
    monkeypatch.setattr(energy, "ours", astray)
    done = CliRunner().invoke(main, ["--device", "cpu", "--out", str(tmp_path / "energy.json")])
    assert done.exit_code == 1
    assert "1.0e-02" in done.output
    assert not (tmp_path / "energy.json").exists()


def test_ratios_are_of_pairs() -> None:
    """2, 3 and 4 times as fast; the medians of the speeds alone would say 1 / 2 against 1 / 8."""
    found = row("x", np.array([[1.0, 2.0], [2.0, 8.0], [4.0, 12.0]]))
    assert (found["ours"], found["theirs"], found["unit"]) == (0.5, 0.125, "steps/s")
    assert (found["ratio"], found["ratio_lo"], found["ratio_hi"], found["n"]) == (3.0, 2.0, 4.0, 3)


def test_the_file_is_as_the_contract_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(energy, "SIZES", {"toy": TOY})
    out = tmp_path / "metrics/energy.json"
    done = CliRunner().invoke(main, ["--device", "cpu", "--precision", "bfloat16", "--repeat", "3", "--out", str(out)])
    assert done.exit_code == 0, done.output
    written = read_json(out)
    assert all(set(found) == KEYS for found in written["rows"])
    assert all(found["ratio_lo"] <= found["ratio"] <= found["ratio_hi"] for found in written["rows"])
    shape = "2 x 7 tokens, D 12 H 3 Y 5 M 20, bfloat16"
    ways = ("plain, forward", "plain, training", "fused, forward", "fused, training")
    assert [found["what"] for found in written["rows"]] == [f"toy: {way}; {shape}" for way in ways]
