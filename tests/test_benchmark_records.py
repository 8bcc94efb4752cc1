"""How records, gallery and README are written; what the pipeline and a step down the energy cost."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks import pipeline, timing
from benchmarks.energy import PASSES, Size, ours, products, theirs
from benchmarks.gallery import PAGE, RECORD, main
from benchmarks.preset import keep, story
from relume.core.files import read_csv, read_json, write_csv, write_json
from tests.contract_files import GROUPS, write

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"compare": {"groups": list(GROUPS)}}))
    made = {name: f"invert_optimise@{name}" if name != "floors" else name for name in GROUPS}
    outs = {stage: {"outs": [{"path": f"data/reconstructions/{name}"}]} for name, stage in made.items()}
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"stages": outs}))
    (tmp_path / PAGE).parent.mkdir(parents=True)
    (tmp_path / PAGE).write_text("# Ours\n<!-- gallery optimised -->\nstale\n<!-- end -->\nby hand\n")
    table = (
        "<!-- numbers photos psnr:1 -->\n| features | method | PSNR |\n|---|---|---|\n| conv5 | `deep` | 99.9 |\n<!-- end -->\n"
    )
    masked = "<!-- numbers photos 85%/psnr_masked:1 -->\n| method | 85% |\n|---|---|\n| `et` | |\n<!-- end -->\n"
    (tmp_path / "README.md").write_text(f"{table}{masked}by hand\n")
    record = read_csv(tmp_path / "metrics/leaderboard.csv")
    write_csv(tmp_path / f"{RECORD}.csv", tuple(record[0]), record)
    row = {"method": "et", "dataset": "photos", "mask_ratio": 0.85, "psnr_masked": 17.26}
    write_csv(tmp_path / f"{RECORD}_masked.csv", tuple(row), [row])
    return tmp_path


def test_one_command_redraws_all_and_a_second_changes_nothing(root: Path) -> None:
    def files() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in [root / "README.md", *sorted((root / "docs").rglob("*.*"))]}

    done = CliRunner().invoke(main, ["--root", str(root)])
    assert done.exit_code == 0, done.output
    first = files()
    board = {row["method"]: row for row in read_csv(root / "metrics/leaderboard.csv")}
    psnr, low, high = (float(board["deep"][f"psnr{end}"]) for end in ("", "_lo", "_hi"))
    page = (root / PAGE).read_text().splitlines()
    line = f"| `deep` | AlexNet `conv5` | {psnr:.2f} [{low:.2f}, {high:.2f}] | `dvc repro invert_optimise@deep` |"
    assert (line in page, "stale" in page, page[0], page[-1]) == (True, False, "# Ours", "by hand")
    assert {f"| conv5 | `deep` | {psnr:.1f} |", "| `et` | 17.3 |"} <= {*(root / "README.md").read_text().splitlines()}
    assert Image.open(root / "docs/overview.jpg").width > 300  # originals and one method
    CliRunner().invoke(main, ["--root", str(root)])
    assert files() == first


def project(root: Path) -> Path:
    board = [{"method": name, "dataset": "shots", "n": 3, "psnr": 12.5, "device": "cpu"} for name in ("deep", "conv5")]
    write_csv(root / "metrics/leaderboard.csv", ("method", "dataset", "n", "psnr", "device"), board)
    write_csv(root / "metrics/comparisons.csv", ("question", "a"), [{"question": "which", "a": "deep"}])
    write_csv(root / "metrics/sets.csv", ("name",), [])
    counts = {"train": 7, "val": 2, "test": 3, "all": 12}
    write_json(root / "data/images/shots/manifest.json", {"counts": counts, "size": 64})
    times = [{"method": name, "step": step, "seconds": step} for name in ("a", "b") for step in (1, 4)]
    write_csv(root / "metrics/runs/deep/timing.csv", ("method", "step", "seconds"), times)
    write_csv(root / "metrics/training/conv5.csv", ("step", "seconds"), [{"step": 9, "seconds": 2.5}])
    (root / "docs/results").mkdir(parents=True)
    return root


def test_tables_that_hold_something_are_copied_with_their_story(tmp_path: Path) -> None:
    root = project(tmp_path)
    told = story(root, "abc")
    assert (told["n"], told["commit"], told["device"]) == (3, "abc", "cpu")
    assert told["data"] == "shots: 7 for training, 2 for validation, 3 for test, 64 px"
    assert told["seconds"] == 4 + 4 + 2.5  # each method's last
    kept = keep("mine", root, told)
    assert [path.name for path in kept] == ["mine.csv", "mine_comparisons.csv"]  # no sets: that table is empty
    assert read_csv(root / "docs/results/mine.csv") == read_csv(root / "metrics/leaderboard.csv")
    assert read_json(root / "docs/results/mine_comparisons.json")["n"] == 3


KEYS = {"what", "ours", "theirs", "limit", "unit", "ratio", "ratio_lo", "ratio_hi", "n"}


TOY = Size(B=7, D=12, H=3, Y=5, M=20, few=2, many=4)
CPU = torch.device("cpu")


@pytest.mark.parametrize("way", PASSES)
def test_both_sides_take_the_same_step_and_learn_the_same(way: str) -> None:
    x = TOY.tokens(CPU).double()
    found = [PASSES[way](step, TOY.block(CPU).double(), x) for step in (ours, theirs)]
    assert len(found[0]) == (1 if way == "forward" else 2 + 5)  # x, then gamma, delta, Wq, Wk and Xi
    for mine, other in zip(*found, strict=True):
        assert not mine.requires_grad
        assert ((mine - other).norm() / other.norm()).item() < 1e-5
    assert (found[0][0] - x).norm() > 0.1, "it is a step"


class Operations(TorchDispatchMode):
    """Counts those of matrix products."""

    def __init__(self, function: Callable[[], object]) -> None:
        super().__init__()
        self.count = 0
        with self:
            function()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if counted := flop_registry.get(func.overloadpacket):
            self.count += counted(*args, **(kwargs or {}), out_val=out)
        return out


@pytest.mark.parametrize("way", PASSES)
def test_limit_has_the_products_of_a_step(way: str) -> None:
    x, block = TOY.tokens(CPU), TOY.block(CPU)
    limit, whole = (
        Operations(step).count for step in (products(TOY, x, way == "training"), lambda: PASSES[way](theirs, block, x))
    )
    assert block.steps * limit == whole > 0


def test_ratios_are_of_pairs_and_what_the_pipeline_costs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """2, 3 and 4 times as fast; the medians of the speeds alone would say 1 / 2 against 1 / 8."""
    found = timing.row("x", np.array([[1.0, 2.0], [2.0, 8.0], [4.0, 12.0]]))
    assert (found["ours"], found["theirs"], found["unit"]) == (0.5, 0.125, "steps/s")
    assert (found["ratio"], found["ratio_lo"], found["ratio_hi"], found["n"]) == (3.0, 2.0, 4.0, 3)
    seconds = iter([300.0, 2.0, 6.0, 1.0, 3.0, 6.0, 1.5, 10.0, 6.0, 9.0])
    monkeypatch.setattr(pipeline, "timed", lambda command, root: next(seconds))
    write_json(tmp_path / pipeline.SECONDS, {"prepare@photos": [20.0, 30.0, 900]})
    rows = {str(row["what"]): row for row in pipeline.measure(tmp_path, whole=True, jobs=2)}
    assert all(set(row) == KEYS for row in rows.values())
    assert (rows["everything stale"]["ours"], rows["everything stale"]["limit"]) == (300.0, 720.0)
    idle = rows["nothing stale"]
    assert [idle[key] for key in ("ours", "theirs", "ratio", "ratio_lo", "ratio_hi", "n")] == [3.0, 6.0, 0.5, 0.333, 1.667, 3]
    assert [rows[f"prepare@photos{part}"]["ours"] for part in ("", ", processor", ", peak memory")] == [20.0, 30.0, 900]
