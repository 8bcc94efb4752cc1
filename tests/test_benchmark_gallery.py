"""The gallery: its page and README say what the tables say, every command is real, and one command redraws both."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from benchmarks.gallery import FOLDER, PAGE, RECORD, SECTION, main, numbers
from benchmarks.gallery_pictures import SHEETS, Outputs, reconstructed
from relume.core.errors import UserError
from relume.core.files import read_csv, write_csv
from tests.contract_files import GROUPS, write

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / PAGE).read_text()
ROW = re.compile(r"^\| `(\w+)` \| (.*?) \| (.*?) \| `dvc repro (\S+)` \|$", re.MULTILINE)
LIMIT = 1_500_000  # bytes of all its pictures


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A toy project with a page and a README that have marks and no numbers."""
    write(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"compare": {"groups": list(GROUPS)}}))
    made = {name: f"invert_optimise@{name}" if name != "floors" else name for name in GROUPS}
    outs = {stage: {"outs": [{"path": f"data/reconstructions/{name}"}]} for name, stage in made.items()}
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"stages": outs}))
    (tmp_path / PAGE).parent.mkdir(parents=True)
    (tmp_path / PAGE).write_text("# Ours\n<!-- gallery optimised -->\nstale\n<!-- end -->\nby hand\n")
    table = "| features | method | PSNR |\n|---|---|---|\n| conv5 | `deep` | 99.9 |\n"
    masked = "| method | 85% |\n|---|---|\n| `et` | |\n"
    shown = (
        f"<!-- numbers photos psnr:1 -->\n{table}<!-- end -->\n<!-- numbers photos 85%/psnr_masked:1 -->\n{masked}<!-- end -->"
    )
    (tmp_path / "README.md").write_text(f"{shown}\nby hand\n")
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
    page = (root / PAGE).read_text()
    line = f"| `deep` | AlexNet `conv5` | {psnr:.2f} [{low:.2f}, {high:.2f}] | `dvc repro invert_optimise@deep` |"
    assert line in page.splitlines()
    assert "stale" not in page
    assert page.startswith("# Ours\n")
    assert page.endswith("by hand\n")
    assert {f"| conv5 | `deep` | {psnr:.1f} |", "| `et` | 17.3 |"} <= {*(root / "README.md").read_text().splitlines()}
    assert Image.open(root / "docs/overview.jpg").width > 300  # originals and one method
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


def test_what_is_not_there_is_named(root: Path) -> None:
    with pytest.raises(UserError, match="nobody"):
        numbers("<!-- numbers photos psnr:1 -->\n| m | P |\n|---|---|\n| `nobody` | 1 |\n<!-- end -->", {"photos": {}})
    with pytest.raises(UserError, match="invert_decoder"):
        reconstructed(Outputs(root), "invert_decoder")
    (root / PAGE).write_text("<!-- gallery elsewhere -->\n<!-- end -->")
    done = CliRunner().invoke(main, ["--root", str(root)])
    assert done.exit_code == 1
    assert "elsewhere" in done.output


def test_the_committed_page_shows_every_sheet_in_modest_pictures() -> None:
    names = [name for _, name, _ in SECTION.findall(TEXT)]
    assert sorted(names) == sorted(SHEETS)
    shown = re.findall(r"!\[.*?\]\((.*?)\)", TEXT)
    assert shown == [f"../{FOLDER.name}/{name}.jpg" for name in names]
    assert {path.name for path in (ROOT / FOLDER).iterdir()} == {f"{name}.jpg" for name in names}
    assert sum(path.stat().st_size for path in (ROOT / FOLDER).iterdir()) < LIMIT
    for name in shown:
        Image.open((ROOT / PAGE).parent / name).verify()


def test_the_committed_commands_are_stages() -> None:
    """As `dvc.yaml` and `params.yaml` expand to them: all recipes and no other."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    shown = {stage for *_, stage in ROW.findall(TEXT)}
    for stage in shown:
        name, _, item = stage.partition("@")
        items: object = params
        for key in stages[name].get("foreach", "")[2:-1].split(".") if item else ():
            items = items[key]  # type: ignore[index]
        assert ("foreach" in stages[name]) == bool(item), stage
        assert not item or item in items, stage  # type: ignore[operator]
    assert {stage.split("@")[1] for stage in shown if stage.startswith("invert_optimise@")} == set(params["recipes"])
