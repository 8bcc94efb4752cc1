"""The gallery: one command writes what the tables say into its page and README."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from benchmarks.gallery import PAGE, RECORD, main
from benchmarks.gallery_pictures import Outputs, reconstructed
from relume.core.files import read_csv, write_csv
from tests.contract_files import GROUPS, write


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A toy project with a page and a README that have marks and no numbers."""
    write(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"compare": {"groups": list(GROUPS)}}))
    made = {name: f"invert_optimise@{name}" if name != "floors" else name for name in GROUPS}
    outs = {stage: {"outs": [{"path": f"data/reconstructions/{name}"}]} for name, stage in made.items()}
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"stages": outs}))
    (tmp_path / "docs").mkdir()
    (tmp_path / PAGE).write_text("# Ours\n<!-- gallery optimised -->\nstale\n<!-- end -->\nby hand\n")
    table = "<!-- numbers photos psnr:1 -->\n| method | PSNR |\n|---|---|\n| `deep` | 99.9 |\n<!-- end -->\n"
    masked = "<!-- numbers photos 85%/psnr_masked:1 -->\n| method | 85% |\n|---|---|\n| `et` | |\n<!-- end -->\n"
    (tmp_path / "README.md").write_text(f"{table}{masked}by hand\n")
    record = read_csv(tmp_path / "metrics/leaderboard.csv")
    write_csv(tmp_path / f"{RECORD}.csv", tuple(record[0]), record)
    row = {"method": "et", "dataset": "photos", "mask_ratio": 0.85, "psnr_masked": 17.26}
    write_csv(tmp_path / f"{RECORD}_masked.csv", tuple(row), [row])
    (tmp_path / "metrics/report").mkdir()
    (tmp_path / "metrics/report/overview.jpg").write_bytes(b"a picture")
    return tmp_path


def test_one_command_redraws_all_and_a_second_changes_nothing(root: Path) -> None:
    def files() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in [root / "README.md", *sorted((root / "docs").rglob("*.*"))]}

    done = CliRunner().invoke(main, ["--root", str(root)])
    assert done.exit_code == 0, done.output
    first = files()
    board = {row["method"]: row for row in read_csv(root / "metrics/leaderboard.csv")}
    psnr, low, high = (float(board["deep"][f"psnr{end}"]) for end in ("", "_lo", "_hi"))
    page = (root / PAGE).read_text()
    line = f"| `deep` | alexnet_conv `conv5` | {psnr:.2f} [{low:.2f}, {high:.2f}] | `dvc repro invert_optimise@deep` |"
    assert line in page.splitlines()
    assert "stale" not in page
    assert page.startswith("# Ours\n")
    assert page.endswith("by hand\n")
    assert {f"| `deep` | {psnr:.1f} |", "| `et` | 17.3 |"} <= {*(root / "README.md").read_text().splitlines()}
    assert (root / "docs/overview.jpg").read_bytes() == b"a picture"
    CliRunner().invoke(main, ["--root", str(root)])
    assert files() == first


def test_a_sheet_shows_the_pictures_of_its_methods(root: Path) -> None:
    """One picture of each photograph, originals first, small ones enlarged to whole squares."""
    (block,) = reconstructed(Outputs(root), "invert_optimise").blocks
    assert list(block.columns) == ["original", "shallow", "deep"]
    originals, made = (np.load(root / path) for path in ("data/images/photos/images.npy", "data/reconstructions/deep/images.npy"))
    for name, pictures in (("original", originals), ("deep", made)):
        shown = block.columns[name][1]
        times = shown.shape[1] // pictures.shape[1]
        assert np.array_equal(shown[:, ::times, ::times], pictures[[0, 4, 8]]), name
