"""The page's sections on feature maps, descents and generators: what they say, draw and record is what stands in the files."""

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
from relume.core.results import Group, Row, read_group, run_folder, write_group
from relume.core.samples import About, Samples, write_samples
from relume.evaluation.curves import CURVES
from relume.evaluation.maps_table import columns
from relume.report.config import Report
from relume.report.data import ReportData, read
from relume.report.generators import SHOWN, Distance, finding, others
from relume.report.generators import section as generators_section
from relume.report.landscape import COLUMNS as LANDSCAPE
from relume.report.landscape import LandscapeGroup, table
from relume.report.landscape import section as landscape_section
from relume.report.maps import MapsStudy
from relume.report.maps import section as maps_section
from relume.report.page import render
from relume.tracking.model_records import model_records
from tests.contract_files import GROUPS, MAPS, SETS, SIZE, write
from tests.masked_files import GROUP, write_masked
from tests.report_files import folders, write_maps


@pytest.fixture
def dissected(tmp_path: Path) -> MapsStudy:
    (found,) = maps_section(write_maps(tmp_path))
    return found


def places(svg: str, kind: str) -> list[float]:
    return [float(value) for value in re.findall(rf'{kind}="([\d.]+)%"', svg)]


def test_the_made_up_table_has_the_columns_of_the_stage() -> None:
    assert columns(("psnr", "lpips_alex")) == MAPS


def test_what_is_said_of_maps(dissected: MapsStudy) -> None:
    assert dissected.name == "alexnet_conv3"
    assert (dissected.metric.name, [metric.name for metric in dissected.columns]) == ("psnr", ["psnr", "lpips_alex"])
    for ranking, gives in zip(dissected.rankings, ("17.00", "20.25"), strict=True):
        assert all(part in ranking.text for part in ("4 of 8", ranking.name, f"{gives} of 20.00 dB"))
    cuts = [(cut.change, cut.interval) for cut in dissected.rankings[1].removals]
    assert cuts == [("−6.00", "−7.00 to −5.00"), ("+0.25", "−0.75 to 1.25")]
    assert all(part in dissected.curves.description for part in ("from 17.00 to 20.00", "from 20.25 to 20.00"))


def test_bars_share_one_axis_that_holds_zero(dissected: MapsStudy) -> None:
    """Ticks go from -8 to 2 by 2: a change of -3 stands half-way."""
    bars = [cut.bar for ranking in dissected.rankings for cut in ranking.removals]
    assert [places(bar, "cx") for bar in bars] == [[50.0], [50.0], [21.2], [81.2]]
    assert {tuple(places(re.findall(r'<line class="baseline-line"[^>]*>', bar)[0], "x1")) for bar in bars} == {(78.8,)}
    assert re.findall(r">([^<]+)</text>", dissected.axis) == ["−8", "−6", "−4", "−2", "0", "2"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    folder = write_maps(tmp_path)
    (folder / "alexnet_conv3.jpg").unlink()
    with pytest.raises(UserError, match=r"alexnet_conv3\.jpg"):
        maps_section(folder)
    with pytest.raises(UserError, match=r"maps\.csv"):
        maps_section(tmp_path)


def write_landscapes(folder: Path) -> Group:
    """Two pictures; two starts of plain, three steps, one of landscape, one step."""
    rows = [Row(method="plain", family="latent", task="image", oracle=False, id="a", dataset="photos", size=8)]
    timing = [{"method": "plain", "step": step, "seconds": 4.0 * (step + 1)} for step in range(4)]
    timing += [{"method": "landscape", "step": step, "seconds": 3.0 * (step + 1)} for step in range(2)]
    write_group(folder, images=np.zeros((1, 8, 8, 3), np.uint8), rows=rows, method={"config": {}, "device": "cpu"}, timing=timing)
    losses = {"plain": [0.8, 0.6, 0.5, 0.45], "landscape": [0.7, 0.5]}
    curves: list[dict[str, object]] = [
        {"method": name, "step": step, "value": loss, "lo": loss - 0.1, "hi": loss + 0.1, "level": 0.9, "n": 2, "sources": 2}
        for name, values in losses.items()
        for step, loss in enumerate(values)
    ]
    curves += [{"method": "plain", "seed": seed, "step": 0, "value": 0.8, "n": 2} for seed in (0, 1)]
    curves += [{"method": "landscape", "seed": 0, "step": 0, "value": 0.7, "n": 2}]
    write_csv(folder / "curves.csv", CURVES, curves)
    return read_group(folder)


@pytest.fixture
def one(tmp_path: Path) -> LandscapeGroup:
    (found,) = landscape_section([write_landscapes(tmp_path / "pictures")])
    return found


def test_what_is_said_of_descents(one: LandscapeGroup) -> None:
    told = [re.findall(r"[\d.]*\d", text) for text in one.sentences]
    assert told == [["0.45", "3"], ["0.5", "1", "2"]], "plain takes 2 steps to come as far"
    assert [place.seconds for place in one.curves["plain"]] == [1, 2, 3, 4], "of two pictures from two starts"
    assert [place.seconds for place in one.curves["landscape"]] == [1.5, 3]
    assert (one.n, one.sources, one.level, one.methods) == ("2", "2", "90%", ["plain", "landscape"])
    rows = table([one])
    assert (len(rows), tuple(rows[0])) == (6, LANDSCAPE)
    assert (rows[-1]["method"], rows[-1]["loss"], rows[-1]["lo"]) == ("landscape", 0.5, pytest.approx(0.4))


def test_charts_share_their_axes(one: LandscapeGroup) -> None:
    over_steps, over_seconds = one.panels
    assert (over_steps.top, over_steps.bottom, over_steps.last) == ("0.9", "0.35", "3 steps")
    assert over_seconds.last == "4 s per image"
    assert over_steps.svg.count("polyline") == over_steps.svg.count("polygon") == 2
    assert "33.33," in over_steps.svg
    assert "75.00," in over_seconds.svg


def test_the_page_shows_it_where_it_is(tmp_path: Path) -> None:
    write(tmp_path)
    config = Report(pictures=1)
    assert 'id="landscape"' not in render(read(folders(tmp_path), list(GROUPS)), config, 0.95)
    shallow = tmp_path / "data/reconstructions/shallow"
    made = write_landscapes(tmp_path / "made")
    for name in ("curves.csv", "timing.csv"):
        ((shallow if name == "curves.csv" else run_folder(shallow)) / name).write_text((made.folder / name).read_text())
    page = render(read(folders(tmp_path), list(GROUPS)), config, 0.95)
    assert 'id="landscape"' in page
    assert page.count('class="band') == 4


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
    (studio,) = generators_section(data)
    (made,) = studio.generators
    pixels = np.load(root / "data/samples/style/images.npy")
    assert [len(made.samples), len(studio.real), len(made.interpolations), len(made.interpolations[0])] == [SHOWN, 12, 2, 3]
    assert np.array_equal(opened(made.samples[5]), pixels[5])
    assert np.array_equal(opened(made.interpolations[1][2]), pixels[5])
    originals = np.load(root / "data/images/photos/images.npy")
    assert all(any(np.array_equal(opened(uri), one) for one in originals) for uri in studio.real)
    assert all(part in made.sampling for part in ("40", "seed 7", "0.5"))


def test_lines_are_ordered_and_said(data: ReportData) -> None:
    (studio,) = generators_section(data)
    assert [line.name for line in studio.held_out] == [ROWS[at]["name"] for at in (1, 3, 0, 2)]
    held_out, train, shuffled, withheld, own = re.split(r"(?<=[.)])[.;]? (?=It is|style:)", studio.generators[0].text)
    told = ((held_out, "0.0200 0.0150 0.0300 40"), (withheld, "0.2100 0.2000 0.2200"), (train, "farther 0.0010 not overlap"))
    told += ((shuffled, "nearer 0.0250 0.0200 0.0400 overlap"), (own, "farther 0.0000 0.0100"))
    assert [part for text, parts in told for part in parts.split() if part not in text] == []
    assert [(line.name, line.baseline) for line in studio.withheld] == [("floor_train_photos", True), ("style", False)]
    alone = [Distance(cells=row, baseline=False) for row in data.sets[:1]]
    assert "No baseline" in finding("style", alone)


def test_the_page_holds_the_section_and_its_training(data: ReportData) -> None:
    page = render(data, Report(pictures=2), 0.95)
    start = page.index('<section id="generators"')
    part = page[start : page.index("</section>", start)]
    assert part.count("<tr class") == len(ROWS)
    assert 'data-value="floor_shuffled_patches_photos"' in part
    assert "Training of style" in part
    terms = re.findall(r"<figcaption>(kid|loss|rival)\b", part)
    assert terms == ["loss", "kid", "rival"], "KID is no curve of the loss"
    assert "Sets of images" not in page, "all of them stand in the section"


def test_true_pictures_are_none_of_the_training_and_masked_sets_keep_their_table(root: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(root, tmp_path / "moved"))
    index = read_csv(moved / "data/images/photos/index.csv")
    rows = [{**row, "split": "test" if row["source"] == "coffee" else "train"} for row in index]
    write_csv(moved / "data/images/photos/index.csv", tuple(rows[0]), rows)
    write_masked(moved)
    masked = dict.fromkeys(SETS, "") | {
        "name": "et@0.85",
        "kind": "masked",
        "dataset": "photos",
        "n": "12",
        "net": NET,
        "fd": "1.5",
    }
    write_csv(moved / "metrics/sets.csv", SETS, [*read_csv(moved / "metrics/sets.csv"), masked])
    found = read(folders(moved), [*GROUPS, GROUP])
    (studio,) = generators_section(found)
    assert len(studio.real) == sum(row["source"] == "coffee" for row in index)
    assert [row["name"] for row in others(found.sets, [studio])] == ["originals@test", "et@0.85"]
    assert "Sets of images" in render(found, Report(pictures=2), 0.95)
    shutil.rmtree(moved / "data/samples/style")
    with pytest.raises(UserError, match=r"style/samples.json"):
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
