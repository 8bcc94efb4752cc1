"""What families add to the report: what it says, draws and shows is what stands in their files; a family may be missing."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from relume.core.errors import UserError
from relume.core.files import read_csv, sha256, write_csv, write_json
from relume.core.results import GREY, Group, Row, pasted, read_group, read_masked_group, write_group
from relume.core.samples import About, Samples, write_samples
from relume.evaluation.maps_table import columns
from relume.evaluation.statistics import CURVES
from relume.methods.decoder import report as decoder
from relume.methods.gan import report as gan
from relume.methods.landscape import report as landscape
from relume.methods.masked import report as masked
from relume.methods.registry import FAMILIES
from relume.report.blocks import Chart, Part, Pictures, Table, Text
from relume.report.leaderboards import Ranking, Result
from relume.report.page import render
from relume.tracking.records import model_records
from tests.contract_files import GROUPS, LEADERBOARD, MAPS, SETS, SIZE, write
from tests.masked_files import CELL, GROUP, RATIOS, STEPS, write_masked
from tests.report_files import content_of, drawing_of, rows_of, write_maps

NET = "efficientnet_lite0_pool"
ROWS = [
    {"name": "style", "kind": "gan", "n": 40, "fd": 9.5, "kid": 0.02, "kid_lo": 0.015, "kid_hi": 0.03},
    {"name": "floor_train_photos", "kind": "floor", "n": 40, "fd": 5.5, "kid": -0.001, "kid_lo": -0.004, "kid_hi": 0.002},
    {"name": "floor_shuffled_patches_photos", "kind": "floor", "n": 40, "fd": 12.5, "kid": 0.025, "kid_lo": 0.02, "kid_hi": 0.04},
    {"name": "originals@test", "kind": "real", "n": 6, "fd": 20.5, "kid": 0.001},
    {"name": "style@withheld", "kind": "withheld", "n": 40, "fd": 4.5, "kid": 0.21, "kid_lo": 0.2, "kid_hi": 0.22},
    {"name": "floor_train_photos@withheld", "kind": "withheld", "n": 40, "fd": 3.5, "kid": 0.0, "kid_lo": -0.01, "kid_hi": 0.01},
]
WITH_MASKED = [*GROUPS, GROUP]


def blocks(part: Part, kind: type) -> list[Any]:
    return [one for one in part.blocks if isinstance(one, kind)]


def said(part: Part) -> str:
    return " ".join(sentence for one in blocks(part, Text) for sentence in one.sentences)


def has(text: str, parts: str) -> bool:
    return all(part in text for part in parts.split("|"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write(tmp_path_factory.mktemp("families"))
    write_masked(root)
    return root


def test_a_project_without_a_family_has_a_page_without_its_part(tmp_path: Path) -> None:
    found = content_of(write(tmp_path))
    drawn = {part.id for part in found.parts if part.blocks}
    assert drawn >= {"depth", "images", "tables", "comparisons", "methods", "reading"}
    assert drawn & {"maps", "masked", "generators", "landscape"} == set()
    assert 'id="masked"' not in render(found)
    labels = [label for family in FAMILIES for label in family.labels.values()]
    assert len(labels) == len(set(labels))


def test_maps_say_what_the_strongest_group_reaches(tmp_path: Path) -> None:
    assert columns(("psnr", "lpips_alex")) == MAPS
    write_maps(write(tmp_path))
    (found,) = decoder.parts(drawing_of(tmp_path))
    assert has(said(found), "AlexNet conv3|4 of 8 maps by activation|17.00 of 20.00 dB|by contribution|20.25 of 20.00 dB")
    removed = [row for row in rows_of(blocks(found, Chart)[1].spec) if "kind" in row]
    assert [(row["value"], row["lo"], row["hi"]) for row in removed] == [(-6.0, -7.0, -5.0), (0.25, -0.75, 1.25)]
    (tmp_path / "metrics/maps/alexnet_conv3.jpg").unlink()
    with pytest.raises(UserError, match=r"alexnet_conv3\.jpg"):
        list(decoder.parts(drawing_of(tmp_path)))


def hole(**scores: float) -> Ranking:
    """Rows of these scores, best first; those that begin with floor are baselines."""
    rows = [
        Result(
            cells={"method": name, "psnr_masked": str(score)}, label=name, metric="psnr_masked", baseline=name.startswith("floor")
        )
        for name, score in scores.items()
    ]
    return Ranking(id="a", title="a", rows=rows)


@pytest.mark.parametrize(
    ("scores", "parts"),
    [
        (
            {"et": 16.0, "floor_b": 15.25, "mae": 14.5, "floor_a": 12.0},
            "reaches 16.00 dB|0.75 dB above|floor_b (15.25|Not above that baseline: mae.",
        ),
        ({"floor_b": 15.25, "mae": 15.0, "et": 14.0}, "0.25 dB below|Also not above that baseline: et."),
        ({"mae": 15.0}, "15.00 dB|no evidence"),
        ({"floor_a": 12.0}, "12.00 dB|no evidence"),
    ],
)
def test_masked_models_are_held_against_the_best_baseline(scores: dict[str, float], parts: str) -> None:
    assert has(masked.finding(hole(**scores)), parts)


def test_masked_pictures_are_grey_and_pasted_where_the_mask_says(root: Path) -> None:
    drawing = drawing_of(root, WITH_MASKED)
    (found,) = masked.parts(drawing)
    assert has(found.headline, "85% hidden|reaches")
    tables = blocks(found, Table)
    assert [one.title.split(",")[1] for one in tables] == [" 85% hidden", " 50% hidden"]
    assert [row[0].under for row in tables[0].rows] == ["et", "floor_inverse_distance", "mae", "floor_mean_visible"]
    assert "efficientnet" in tables[0].note.lower()
    group, masks = read_masked_group(root / "data/reconstructions" / GROUP)
    originals = np.load(root / "data/images/photos/images.npy")
    ids = [row["id"] for row in read_csv(root / "data/images/photos/index.csv")]
    for ratio in RATIOS:
        wanted = {"method": "et", "mask_ratio": f"{ratio:g}", "id": ids[0]}
        row = next(at for at, one in enumerate(group.index) if one | wanted == one)
        dark = masks[row].repeat(CELL, 0).repeat(CELL, 1)
        visible = drawing.sheets.tiles[f"{GROUP}-{ratio:g}-visible"][0]
        assert (visible[dark] == GREY).all()
        assert np.array_equal(visible[~dark], originals[0][~dark])
        shown = drawing.sheets.tiles[f"{GROUP}-{ratio:g}-et-pasted"][0]
        assert np.array_equal(shown, pasted(originals[0], group.images[row], masks[row]))
    (steps,) = (one for one in blocks(found, Pictures) if one.id.startswith("energy"))
    assert steps.heads == ("Original", "Visible", *(f"step {step}" for step in range(STEPS + 1)))
    assert [tile.under for tile in steps.rows[0][1][2:]] == [f"\N{MINUS SIGN}{80 + 10 * step}" for step in range(STEPS + 1)]


def test_a_table_that_does_not_fit_the_masked_groups_is_named(root: Path, tmp_path: Path) -> None:
    old = Path(shutil.copytree(root, tmp_path / "old"))
    rows = read_csv(old / "metrics/masked.csv")
    for table, fault in ((rows[1:], r"masked\.csv.* et .*photos"), ([*rows, {**rows[0], "method": "gone"}], "gone")):
        write_csv(old / "metrics/masked.csv", tuple(rows[0]), table)
        with pytest.raises(UserError, match=fault):
            list(masked.parts(drawing_of(old, WITH_MASKED)))
    assert [masked.percent(ratio) for ratio in ("0.85", "0.855", "0.07")] == ["85%", "85.5%", "7%"]


def test_a_project_of_masked_groups_alone(root: Path, tmp_path: Path) -> None:
    alone = Path(shutil.copytree(root, tmp_path / "alone"))
    write_csv(alone / "metrics/leaderboard.csv", LEADERBOARD, [])
    write_csv(alone / "metrics/comparisons.csv", ("question",), [])
    found = content_of(alone, [GROUP])
    assert has(found.title, "85%|Energy Transformer")
    assert 'id="masked"' in render(found)


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


def test_descents_say_how_far_each_method_comes(tmp_path: Path) -> None:
    write(tmp_path)
    drawing = drawing_of(tmp_path)
    drawing.data.groups.append(write_landscapes(tmp_path / "pictures"))
    (found,) = landscape.parts(drawing)
    assert has(said(found), "a loss of 0.45 in 3 steps|landscape reaches 0.5 in 1 steps; plain needs 2 steps for it")
    columns, rows = found.tables["landscape"]
    assert (len(rows), set(rows[0])) == (6, set(columns))
    assert [row["seconds"] for row in rows] == [1, 2, 3, 4, 1.5, 3], "of two pictures, from two starts and from one"
    assert all(part in blocks(found, Chart)[0].caption for part in ("2 pictures", "90%", "2 sources"))


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


def test_generators_stand_beside_real_pictures_and_baselines(tmp_path: Path) -> None:
    root = write_generator(write(tmp_path))
    index = read_csv(root / "data/images/photos/index.csv")
    rows = [{**row, "split": "test" if row["source"] == "coffee" else "train"} for row in index]
    write_csv(root / "data/images/photos/index.csv", tuple(rows[0]), rows)
    drawing = drawing_of(root)
    (found,) = gan.parts(drawing)
    held_out, withheld = blocks(found, Table)
    assert [row[0].under for row in held_out.rows] == [str(ROWS[at]["name"]) for at in (1, 3, 0, 2)]
    assert [row[0].marks for row in withheld.rows] == [("baseline",), ()]
    assert has(said(found), "0.0200 (0.0150 to 0.0300) to held-out pictures, n = 40|0.2100 (0.2000 to 0.2200)")
    assert has(said(found), "farther than training pictures|undecided against shuffled patches")
    pixels = np.load(root / "data/samples/style/images.npy")
    assert len(drawing.sheets.tiles["samples-style"]) == gan.SHOWN
    assert np.array_equal(drawing.sheets.tiles["samples-style"][5], pixels[5])
    assert np.array_equal(drawing.sheets.tiles["ways-style"][5], pixels[5])
    assert len(drawing.sheets.tiles["originals-photos"]) == sum(row["source"] == "coffee" for row in index), (
        "none of the training"
    )
    assert has(blocks(found, Pictures)[0].caption, "40|seed 7|0.5")
    alone = gan.distances(drawing.data.sets[:1], ("gan",))
    assert "No baseline" in gan.finding("style", alone, "held-out pictures")
    shutil.rmtree(root / "data/samples/style")
    with pytest.raises(UserError, match=r"style/samples.json"):
        list(gan.parts(drawing_of(root)))


def test_records_hold_what_was_scored_and_a_sheet_of_ways(tmp_path: Path) -> None:
    root = write_generator(write(tmp_path))
    (record,) = [one for one in model_records(root) if one.name == "gan/style"]
    sets = {f"samples/{name}": ROWS[0][name] for name in ("fd", "kid", "kid_lo", "kid_hi")}
    assert record.means == {"best/loss": 0.3, **sets}
    assert set(record.pictures()) == {"progress", "walk"}
    assert record.pictures()["walk"].shape == (2 * (SIZE + 2) - 2, 3 * (SIZE + 2) - 2, 3)
    np.save(root / "data/samples/style/images.npy", np.zeros((40, SIZE, SIZE, 3), np.uint8))
    (other,) = [one for one in model_records(root) if one.name == "gan/style"]
    assert other.means == {"best/loss": 0.3}, "scores of other samples are none of these"
    assert other.measured != record.measured
