"""The page's section on masked reconstruction: what it says and shows is what stands in the files."""

import base64
import io
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image, ImageSequence

from relume.core.errors import UserError
from relume.core.files import read_csv, write_csv
from relume.core.results import GREY, pasted, read_descent, run_folder
from relume.report.charts import panels, short
from relume.report.config import Report
from relume.report.data import ReportData, read
from relume.report.images import LAST, STEP, lossy_uri
from relume.report.masked import Masked, MaskedLeaderboard, MaskedResult, finding, section
from relume.report.masked_groups import percent
from relume.report.page import render
from stages.report import main
from tests.contract_files import GROUPS, LEADERBOARD, narrowed, write
from tests.masked_files import CELL, GROUP, RATIOS, STEPS, write_masked
from tests.report_files import folders


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write(tmp_path_factory.mktemp("masked"))
    write_masked(root)
    return root


@pytest.fixture(scope="module")
def data(root: Path) -> ReportData:
    return read(folders(root), [*GROUPS, GROUP])


@pytest.fixture(scope="module")
def masked(data: ReportData) -> Masked:
    found = section(data, 4, 0.95)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def page(data: ReportData) -> str:
    return render(data, Report(pictures=4), 0.95)


def pixels(uri: str) -> np.ndarray:
    return np.asarray(opened(uri).convert("RGB"))


def opened(uri: str) -> Image.Image:
    assert uri.startswith("data:image/webp;base64,")
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))


def hole(**scores: float) -> MaskedLeaderboard:
    """Lines of these scores, best first; those that begin with floor are floors."""
    empty = {"psnr_masked_lo": "", "psnr_masked_hi": "", "n": "3"}
    lines = [
        MaskedResult(cells={"method": name, "psnr_masked": str(score), **empty}, baseline=name.startswith("floor"))
        for name, score in scores.items()
    ]
    return MaskedLeaderboard(id="a", title="a", hidden="85%", masking="", size=32, rows=lines)


def test_findings_hold_the_best_model_against_the_best_floor(masked: Masked, root: Path) -> None:
    def told(**scores: float) -> list[str]:
        return re.findall(r"[\d.]*\d dB|\b(?:above|below)\b|(?<=: )mae(?=\.)", finding(hole(**scores), 0.95))

    above = told(et=16.0, floor_b=15.25, mae=14.5, floor_a=12.0)
    assert above == ["16.00 dB", "0.75 dB", "above", "15.25 dB", "above", "mae"]
    assert told(floor_b=15.25, mae=15.0, et=14.0)[1:3] == ["0.25 dB", "below"]
    assert told(mae=15.0) == ["15.00 dB"], "no floor, no claim"
    assert told(floor_a=12.0) == ["12.00 dB"]
    (first, *_) = read_csv(root / "metrics/masked.csv")
    lo, hi = (f"{float(first[f'psnr_masked_{end}']):.2f}" for end in ("lo", "hi"))
    assert f"{lo} to {hi} dB, n = 12" in masked.leaderboards[0].text
    assert all(part in masked.headline for part in ("85%", "et"))


def test_each_share_has_its_rows_floors_among_them(masked: Masked) -> None:
    assert [one.title for one in masked.leaderboards] == ["photos at 32 px, 85% hidden", "photos at 32 px, 50% hidden"]
    for one in masked.leaderboards:
        assert [line.method for line in one.rows] == ["et", "floor_inverse_distance", "mae", "floor_mean_visible"]
        assert one.no_information is not None
        assert one.no_information.method == "floor_inverse_distance"
        names = [shown.name for shown in one.columns]
        assert names[:4] == ["method", "parameters", "psnr_masked", "psnr_pasted"]
        assert "ssim_pasted" not in names, "nobody has measured it"
        assert one.shared[0] == ("FD network", "efficientnet_lite0_pool")
        lpips = next(shown for shown in one.columns if shown.name == "lpips_alex")
        assert one.best_by(lpips) is one.rows[0]
        assert one.masking == f"random masks in cells of {CELL} px"


def test_panels_are_the_groups_pictures(data: ReportData, masked: Masked) -> None:
    """No pixel is lost; the grey and the pasting are where the mask says."""
    (one,) = data.masked_groups
    originals = data.originals["photos"]
    for at, ratio in enumerate(RATIOS):
        assert len(masked.leaderboards[at].examples) == 4
        case = masked.leaderboards[at].examples[1]
        assert [made.method for made in case.outputs if made.baseline] == ["floor_inverse_distance"]
        assert [made.method for made in case.outputs if not made.baseline] == ["et", "mae"]
        share = ("et", "photos", "32", f"{ratio:g}")
        row, truth = one.rows[share][case.id], originals.images[originals.rows[case.id]]
        dark = one.masks[row].repeat(CELL, 0).repeat(CELL, 1)
        assert np.array_equal(pixels(case.original), truth)
        assert (pixels(case.visible)[dark] == GREY).all()
        assert np.array_equal(pixels(case.visible)[~dark], truth[~dark])
        assert np.array_equal(pixels(case.outputs[1].predicted), one.group.images[row])
        assert np.array_equal(pixels(case.outputs[1].pasted), pasted(truth, one.group.images[row], one.masks[row]))
        assert case.outputs[1].psnr == pytest.approx(one.psnr[share][case.id])
    assert [case.source for case in masked.leaderboards[0].examples] == ["astronaut", "coffee", "rocket", "astronaut"]


def test_the_way_down_is_shown_still_and_moving(root: Path, data: ReportData, masked: Masked) -> None:
    (walk,) = masked.energy_descents
    assert (walk.method, walk.hidden, walk.legend) == ("et", "85%", ["85% hidden", "50% hidden"])
    (panel,) = walk.panels
    assert all(part in panel.description for part in ("from −85 to −115", "from −50 to −80"))
    (one,) = data.masked_groups
    steps = read_descent(root / "data/reconstructions" / GROUP).images
    for number, way in enumerate(walk.trajectories):
        row = one.rows["et", "photos", "32", "0.85"][way.id]
        mine = [pasted(pixels(way.original), step, one.masks[row]) for step in steps[number * (STEPS + 1) :][: STEPS + 1]]
        assert [frame.step for frame in way.frames] == ["0", "1", "2", "3"]
        assert [frame.energy for frame in way.frames] == [-80 - number - 10 * step for step in range(STEPS + 1)]
        film = opened(way.animation)
        assert (film.n_frames, film.info["loop"]) == (STEPS + 1, 0)
        for frame, still, truth in zip(ImageSequence.Iterator(film), way.frames, mine, strict=True):
            assert np.array_equal(np.asarray(frame.convert("RGB")), truth)
            assert np.array_equal(pixels(still.uri), truth)
        assert np.array_equal(pixels(way.frames[-1].uri), mine[-1])
        assert (frame.info["duration"], LAST > STEP) == (LAST, True), "it stands still at its end"
    large = np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    assert not np.array_equal(pixels(lossy_uri(large)), large), "large pictures are light"


def test_the_section_is_labelled_and_models_training_is_told(page: str) -> None:
    assert page.count('href="#masked"') == page.count("Masked reconstruction") == 1, "the table stands in the section alone"
    part = page[page.index('<section id="masked"') : page.index('<section id="images"')]
    assert len(re.findall(r'<img[^>]*alt="[^"]+"', part)) == len(re.findall(r"<img", part)) > 30
    assert len(re.findall(r"<table", part)) == 5, "pictures and numbers of each share, and the film strip"
    assert part.count('<span class="mark baseline">') == 2 * (2 + 1 + 2), "in chart, pictures, table"
    assert part.count('media="(prefers-reduced-motion: reduce)"') == 2
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    chapters = page[page.index('id="group-masked"') :]
    assert "Training of et" in chapters
    assert "698,161 parameters" in chapters


def test_a_table_that_does_not_fit_the_groups_is_named(root: Path, tmp_path: Path) -> None:
    old = Path(shutil.copytree(root, tmp_path / "old"))
    rows = read_csv(old / "metrics/masked.csv")
    write_csv(old / "metrics/masked.csv", tuple(rows[0]), rows[1:])
    with pytest.raises(UserError, match=r"masked\.csv.* et .*photos"):
        read(folders(old), [*GROUPS, GROUP])
    write_csv(old / "metrics/masked.csv", tuple(rows[0]), [*rows, {**rows[0], "method": "gone"}])
    with pytest.raises(UserError, match="gone"):
        read(folders(old), [*GROUPS, GROUP])


def test_two_groups_are_told_apart(root: Path, tmp_path: Path) -> None:
    both = Path(shutil.copytree(root, tmp_path / "both"))
    folder = both / "data/reconstructions"
    shutil.copytree(folder / GROUP, folder / "blocks")
    shutil.copytree(run_folder(folder / GROUP), run_folder(folder / "blocks"))
    other = {"0.85": "0.8", "0.5": "0.4"}
    for path in (folder / "blocks/index.csv", folder / "blocks/path.csv"):
        rows = read_csv(path)
        write_csv(path, tuple(rows[0]), [{**row, "mask_ratio": other[row["mask_ratio"]]} for row in rows])
    (both / "metrics/methods/blocks.csv").write_text("method,dataset,size,mask_ratio,id\n")
    table = read_csv(both / "metrics/masked.csv")
    more = [{**row, "mask_ratio": other[row["mask_ratio"]]} for row in table]
    write_csv(both / "metrics/masked.csv", tuple(table[0]), [*table, *more])
    found = section(read(folders(both), [*GROUPS, GROUP, "blocks"]), 2, 0.95)
    assert found is not None
    assert [one.title.split(", ")[1:] for one in found.leaderboards][1:3] == [["50% hidden", "masked"], ["80% hidden", "blocks"]]
    assert len({one.id for one in found.leaderboards}) == 4
    assert [case.outputs[0].psnr for case in found.leaderboards[2].examples] == [None, None], "not scored yet"


def test_a_project_of_masked_groups_alone(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, default_params: dict[str, Any]
) -> None:
    alone = Path(shutil.copytree(root, tmp_path / "alone"))
    write_csv(alone / "metrics/leaderboard.csv", LEADERBOARD, [])
    write_csv(alone / "metrics/comparisons.csv", tuple(read_csv(alone / "metrics/comparisons.csv")[0]), [])
    params = narrowed(default_params)
    params["compare"].update(groups=[GROUP], questions={})
    (alone / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.chdir(alone)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    monkeypatch.setattr("relume.params.check", lambda whole: None)
    options = {"metrics": "metrics", "models": "models", "out": "metrics/report"}
    options |= {name: f"data/{name}" for name in ("reconstructions", "images", "features", "samples")}
    done = CliRunner().invoke(main, [word for name, path in options.items() for word in (f"--{name}", path)])
    assert done.exit_code == 0, done.output
    text = (alone / "metrics/report/index.html").read_text()
    assert re.search("<title>.*85%.* et ", text)
    assert "#images" not in text


def test_shares_and_numbers_that_differ_are_written_differently() -> None:
    assert [percent(ratio) for ratio in ("0.85", "0.855", "0.5", "0.07")] == ["85%", "85.5%", "50%", "7%"]
    assert [short(value) for value in (123.4, -4321.0, 2.5e7, 0.00012)] == ["123", "−4321", "2.5e+07", "0.00012"]
    rows = [{"method": "a", "term": "t", "step": str(step), "value": str(value)} for step, value in enumerate((1000.0, 1001.5))]
    (panel,) = panels(rows)
    assert (panel.bottom, panel.top) == ("1000", "1002")
