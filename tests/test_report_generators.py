"""The page's section on generators, and their records: what is shown and said stands in the files."""

import base64
import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from relume.core.errors import UserError
from relume.core.files import read_csv, sha256, write_csv, write_json
from relume.core.samples import About, Samples, write_samples
from relume.report.config import Report
from relume.report.data import ReportData, read
from relume.report.generators import SHOWN, Distance, finding, others, section
from relume.report.page import render
from relume.tracking.model_records import model_records
from tests.contract_files import GROUPS, SETS, SIZE, write
from tests.masked_files import GROUP, write_masked
from tests.report_files import folders

NET = "efficientnet_lite0_pool"
ROWS = [
    {"name": "style", "kind": "gan", "n": 40, "fd": 9.5, "kid": 0.02, "kid_lo": 0.015, "kid_hi": 0.03},
    {"name": "floor_train_photos", "kind": "floor", "n": 40, "fd": 5.5, "kid": -0.001, "kid_lo": -0.004, "kid_hi": 0.002},
    {"name": "floor_shuffled_patches_photos", "kind": "floor", "n": 40, "fd": 12.5, "kid": 0.025, "kid_lo": 0.02, "kid_hi": 0.04},
    {"name": "originals@test", "kind": "real", "n": 6, "fd": 20.5, "kid": 0.001},
    {"name": "style@withheld", "kind": "withheld", "n": 40, "fd": 4.5, "kid": 0.21, "kid_lo": 0.2, "kid_hi": 0.22},
    {"name": "floor_train_photos@withheld", "kind": "withheld", "n": 40, "fd": 3.5, "kid": 0.0, "kid_lo": -0.01, "kid_hi": 0.01},
]


def write_generator(root: Path) -> Path:
    """`root` holds the photos of `contract_files`."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (40, SIZE, SIZE, 3), dtype=np.uint8)
    about = About(name="style", dataset="photos", size=SIZE, n=40, seed=7, truncation=0.5)
    write_samples(root / "data/samples/style", Samples(about=about, images=pixels, walk=pixels[:6].reshape(2, 3, SIZE, SIZE, 3)))
    write_csv(root / "metrics/sets.csv", SETS, [{**row, "dataset": "photos", "net": NET} for row in ROWS])
    seal = sha256(root / "data/samples/style/images.npy")
    write_csv(root / "metrics/samples.csv", (*SETS, "sha256"), [{**row, "dataset": "photos"} | {"sha256": seal} for row in ROWS])
    folder = root / "models/gan/style"
    data = {"dataset": "photos", "train": 6, "val": 2}
    card = {"kind": "gan", "name": "style", "config": {"samples": 2}, "metrics": {"loss": 0.3}, "parameters": 1234}
    write_json(folder / "model.json", {**card, "best_step": 20, "data": data, "sha256": "5ea1"})
    values = {"train/loss": 0.4, "train/rival": 1.4, "val/loss": 0.3}
    rows = [{"step": step, "term": term, "value": value} for step in (10, 20) for term, value in values.items()]
    write_csv(folder / "history.csv", ("step", "term", "value"), rows)
    Image.fromarray(pixels[0]).save(folder / "progress.jpg")
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_generator(write(tmp_path_factory.mktemp("generators")))


@pytest.fixture(scope="module")
def data(root: Path) -> ReportData:
    return read(folders(root), GROUPS)


def opened(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGB"))


def test_pictures_are_the_first_and_true_ones_are_true(root: Path, data: ReportData) -> None:
    (studio,) = section(data)
    (made,) = studio.generators
    pixels = np.load(root / "data/samples/style/images.npy")
    assert [len(made.samples), len(studio.real), len(made.interpolations), len(made.interpolations[0])] == [SHOWN, 12, 2, 3]
    assert np.array_equal(opened(made.samples[5]), pixels[5])
    assert np.array_equal(opened(made.interpolations[1][2]), pixels[5])
    originals = np.load(root / "data/images/photos/images.npy")
    assert all(any(np.array_equal(opened(uri), one) for one in originals) for uri in studio.real)
    assert made.sampling == "the first of 40 drawn with seed 7, with truncation 0.5; none was selected"


def test_true_pictures_are_none_of_the_training(root: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(root, tmp_path / "moved"))
    index = read_csv(moved / "data/images/photos/index.csv")
    rows = [{**row, "split": "test" if row["source"] == "coffee" else "train"} for row in index]
    write_csv(moved / "data/images/photos/index.csv", tuple(rows[0]), rows)
    (studio,) = section(read(folders(moved), GROUPS))
    assert len(studio.real) == sum(row["source"] == "coffee" for row in index)


def test_lines_are_ordered_and_said(data: ReportData) -> None:
    (studio,) = section(data)
    assert [line.name for line in studio.held_out] == [ROWS[at]["name"] for at in (1, 3, 0, 2)]
    minus = "\N{MINUS SIGN}"
    assert studio.generators[0].text == (
        "style: KID 0.0200 (0.0150 to 0.0300) to held-out images, n = 40. "
        f"It is farther than floor_train_photos, {minus}0.0010 ({minus}0.0040 to 0.0020); the intervals do not overlap. "
        "It is nearer than floor_shuffled_patches_photos, 0.0250 (0.0200 to 0.0400); the intervals overlap: undecided. "
        "style: KID 0.2100 (0.2000 to 0.2200) to withheld training images, n = 40. "
        f"It is farther than floor_train_photos, 0.0000 ({minus}0.0100 to 0.0100); the intervals do not overlap."
    )
    assert [(line.name, line.baseline) for line in studio.withheld] == [("floor_train_photos", True), ("style", False)]
    alone = [Distance(cells=row, baseline=False) for row in data.sets[:1]]
    assert finding("style", alone).endswith("No baseline was measured, so there is no evidence.")


def test_the_page_holds_the_section_and_its_training(data: ReportData) -> None:
    page = render(data, Report(pictures=2), 0.95)
    assert '<a href="#generators">Generators</a>' in page
    start = page.index('<section id="generators"')
    part = page[start : page.index("</section>", start)]
    assert part.count("<tr class") == len(ROWS)
    assert 'data-value="floor_shuffled_patches_photos"' in part
    assert "Training of style" in part
    assert "Below: samples of style." in part
    terms = re.findall(r"<figcaption>(kid|loss|rival)\b", part)
    assert terms == ["loss", "kid", "rival"], "KID is no curve of the loss"
    assert "Sets of images" not in page, "all of them stand in the section"
    assert render(data, Report(pictures=2), 0.95) == page


def test_masked_sets_keep_their_table(root: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(root, tmp_path / "moved"))
    write_masked(moved)
    masked = {
        "name": "et@0.85",
        "kind": "masked",
        "dataset": "photos",
        "n": "12",
        "net": NET,
        "fd": "1.5",
        "kid": "",
        "kid_lo": "",
    }
    rows = [*read_csv(moved / "metrics/sets.csv"), {**masked, "kid_hi": ""}]
    write_csv(moved / "metrics/sets.csv", SETS, rows)
    found = read(folders(moved), [*GROUPS, GROUP])
    assert [row["name"] for row in others(found.sets, section(found))] == ["originals@test", "et@0.85"]
    assert "Sets of images" in render(found, Report(pictures=2), 0.95)


def test_without_generators_there_is_no_section(tmp_path: Path) -> None:
    data = read(folders(write(tmp_path)), GROUPS)
    assert section(data) == []
    assert "#generators" not in render(data, Report(pictures=2), 0.95)


def test_samples_that_are_gone_are_named(root: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(root, tmp_path / "moved"))
    shutil.rmtree(moved / "data/samples/style")
    with pytest.raises(UserError, match=r"style/samples.json is missing"):
        read(folders(moved), GROUPS)


def test_records_hold_what_was_scored_and_a_sheet_of_ways(root: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(root, tmp_path / "moved"))
    (record,) = [one for one in model_records(moved) if one.name == "gan/style"]
    sets = {f"samples/{name}": ROWS[0][name] for name in ("fd", "kid", "kid_lo", "kid_hi")}
    assert record.means == {"best/loss": 0.3, **sets}
    assert set(record.pictures()) == {"progress", "walk"}
    assert record.pictures()["walk"].shape == (2 * (SIZE + 2) - 2, 3 * (SIZE + 2) - 2, 3)
    np.save(moved / "data/samples/style/images.npy", np.zeros((40, SIZE, SIZE, 3), np.uint8))
    (other,) = [one for one in model_records(moved) if one.name == "gan/style"]
    assert other.means == {"best/loss": 0.3}, "scores of other samples are none of these"
    assert other.measured != record.measured
