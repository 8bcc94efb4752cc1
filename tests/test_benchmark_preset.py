"""What is kept of a preset's run: its tables as they are, with what they come from."""

from pathlib import Path

from benchmarks.preset import keep, story
from relume.core.files import read_csv, read_json, write_csv, write_json


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
    assert told["data"] == "shots: 7 to learn from, 2 to choose by, 3 to judge by, 64 px"
    assert told["seconds"] == 4 + 4 + 2.5  # each method's last
    kept = keep("mine", root, told)
    assert [path.name for path in kept] == ["mine.csv", "mine_comparisons.csv"]  # no sets: that table is empty
    assert read_csv(root / "docs/results/mine.csv") == read_csv(root / "metrics/leaderboard.csv")
    assert read_json(root / "docs/results/mine_comparisons.json")["n"] == 3
