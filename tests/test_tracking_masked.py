"""Records of masked groups: means by ratio, energies as curves, panels and descents as images."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from relume.core.files import read_csv, write_csv
from relume.core.results import pasted, read_masked_group, visible
from relume.tracking.records import Record, records
from tests.contract_files import SIZE, write
from tests.masked_files import GROUP, NOISE, RATIOS, STEPS, write_masked

STEP = SIZE + 2  # from one image on a sheet to the next


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write(tmp_path_factory.mktemp("masked"))
    write_masked(root)
    (root / "params.yaml").write_text(yaml.safe_dump({"compare": {"groups": ["floors", GROUP]}}))
    return root


def record(root: Path) -> Record:
    (found,) = [record for record in records(root) if record.name == GROUP]
    return found


def tile(sheet: np.ndarray, row: int, column: int) -> np.ndarray:
    return sheet[row * STEP : row * STEP + SIZE, column * STEP : column * STEP + SIZE]


def test_masked_group_records(root: Path) -> None:
    found = record(root)
    for row in read_csv(root / "metrics/masked.csv"):
        label = f"{row['method']}/photos/{row['mask_ratio']}"
        assert found.means[f"{label}/psnr_masked"] == pytest.approx(float(row["psnr_masked"]), rel=1e-5)
    assert len(found.means) == len(NOISE) * len(RATIOS) * 2, "the mask ratio is no metric"
    assert {name for name, _, _ in found.curves} == {f"et/energy_{ratio:g}" for ratio in RATIOS}
    wanted = [(f"et/energy_{RATIOS[0]:g}", step, -85.0 - 10 * step) for step in range(STEPS + 1)]
    assert found.curves[: STEPS + 1] == wanted
    found = record(root).pictures()
    assert set(found) == {*(f"pictures-{ratio:g}" for ratio in RATIOS), "steps-et"}
    group, masks = read_masked_group(root / "data/reconstructions" / GROUP)
    originals, sheet = np.load(root / "data/images/photos/images.npy"), found["pictures-0.85"]
    assert np.array_equal(tile(sheet, 0, 3), originals[3])
    assert np.array_equal(tile(sheet, 1, 3), visible(originals[3], masks[3]))
    number = 2 * len(originals) * list(NOISE).index("et") + 3
    row = 2 + 2 * list(NOISE).index("et")
    assert np.array_equal(tile(sheet, row, 3), group.images[number])
    assert np.array_equal(tile(sheet, row + 1, 3), pasted(originals[3], group.images[number], masks[3]))
    assert found["steps-et"].shape == (2 * STEP - 2, (STEPS + 1) * STEP - 2, 3)


def test_changed_masks_are_another_run(root: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(root, tmp_path / "moved"))
    before = record(moved)
    assert before.key == record(root).key
    folder = moved / "data/reconstructions" / GROUP
    np.save(folder / "masks.npy", ~np.load(folder / "masks.npy"))
    assert record(moved).key != before.key
    rows = read_csv(folder / "index.csv")
    write_csv(folder / "index.csv", tuple(rows[0]), [{**row, "mask_ratio": "0.25"} for row in rows])
    assert (record(moved).means, record(moved).measured) == ({}, "")
    (folder / "path.csv").unlink()
    assert [found.name for found in records(moved)] == ["floors"], "a masked group without path.csv is incomplete"
