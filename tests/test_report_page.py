"""The page: one file that fetches nothing, equal for equal inputs, labelled; what it says of a group's making."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from relume.core.config import parse
from relume.core.files import read_csv, read_json, write_csv, write_json
from relume.core.results import read_group, run_folder
from relume.report.config import Report
from relume.report.data import read
from relume.report.images import overview, pick
from relume.report.leaderboards import leaderboards
from relume.report.page import render
from relume.report.provenance import commands, read_models, used
from stages.report import main
from tests.contract_files import GROUPS, narrowed, write
from tests.report_files import folders, relate, write_maps, write_model

ROOT = Path(__file__).resolve().parents[1]
BOARD = "feature-photos-32"
MADE = {("reconstructions", "deep"): "dvc repro some@deep", ("mapper", "m"): "dvc repro fit@m"}
PIPELINE = """
stages:
  floors: {outs: [out/reconstructions/floors/images.npy, out/reconstructions/floors/index.csv]}
  fit: {foreach: "${fit.models}", do: {outs: ["models/kind/${key}", "metrics/training/${key}.csv"]}}
  score: {foreach: "${names}", do: {outs: [{"out/scores/${item}.json": {cache: false}}]}}
  absent: {foreach: "${nothing.here}", do: {outs: ["models/kind/${key}"]}}
"""


def draw(root: Path) -> str:
    return render(read(folders(root), GROUPS), Report(pictures=4), 0.95, MADE)


def model(root: Path, kind: str, name: str, config: dict[str, object]) -> None:
    card = {"config": config, "sha256": f"{name}-weights-and-more", "code": f"{name}-code", "params": f"{name}-params"}
    write_json(root / "models" / kind / name / "model.json", card)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made-up project with one oracle run more, which has used several models."""
    root = write(tmp_path_factory.mktemp("page"))
    write_model(root, "deep")
    relate(root, "deep", oracle="true", family="decoder")
    write_maps(root)
    model(root, "mapper", "m", {"generator": "models/gan/g"})
    for kind, name in (("gan", "g"), ("gan", "other"), ("weights", "alexnet_conv"), ("weights", "lpips")):
        model(root, kind, name, {})
    model(root, "surrogate", "s", {"network": "x", "taps": ["t"], "target": {"network": "y", "tap": "u"}})
    about = root / "models/surrogate/s/model.json"
    scores = {"similarity": 0.5, "floor_nearest": 0.4, "floor_mean": 0.3}
    write_json(about, read_json(about) | {"name": "s", "data": {"val": 2}, "metrics": scores})
    write_csv(root / "metrics/training/m.csv", ("step", "seconds"), [{"step": 1, "seconds": 4}, {"step": 2, "seconds": 150}])
    path = run_folder(root / "data/reconstructions/deep") / "method.json"
    told = read_json(path)
    told["config"] |= {"start": "models/mapper/m", "terms": {"feature": {}, "surrogate": {"model": "s"}}}
    write_json(path, told)
    return root


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return draw(root)


def test_equal_files_give_equal_bytes(root: Path, page: str, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(root, moved)
    assert draw(moved) == page
    found = read(folders(root), GROUPS)
    (board,) = leaderboards(found.leaderboard)
    for name in ("one.png", "two.png"):
        overview(tmp_path / name, found, board, pick(found, board, 3))
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert Image.open(tmp_path / "one.png").size[0] > 3 * 150


def test_the_stage_writes_page_and_picture(root: Path, monkeypatch: pytest.MonkeyPatch, default_params: dict[str, Any]) -> None:
    (root / "params.yaml").write_text(yaml.safe_dump(narrowed(default_params)))
    monkeypatch.chdir(root)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    options = {"metrics": "metrics", "models": "models", "out": "metrics/report"}
    options |= {name: f"data/{name}" for name in ("reconstructions", "images", "features", "samples")}
    arguments = [word for name, path in options.items() for word in (f"--{name}", path)]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    written = sorted(path.name for path in (root / "metrics/report").iterdir())
    assert written == ["depth.csv", "index.html", "landscape.csv", "overview.jpg", "report.pdf"]
    places = [(row["place"], row["method"]) for row in read_csv(root / "metrics/report/depth.csv")]
    assert places == [("alexnet_conv 01 conv2, optimise", "shallow"), ("alexnet_conv 02 conv5, decoder, oracle", "deep")]
    (root / "metrics/sets.csv").rename(root / "metrics/sets.txt")
    done = CliRunner().invoke(main, arguments)
    (root / "metrics/sets.txt").rename(root / "metrics/sets.csv")
    assert done.exit_code == 1
    assert "metrics/sets.csv" in done.output


def test_nothing_is_fetched_and_all_is_labelled(page: str) -> None:
    addresses = re.findall(r"""(?:src|href|action|data)\s*=\s*["']([^"']*)|url\(([^)]*)\)|@import""", page)
    assert {address for pair in addresses for address in pair if address and not address.startswith(("#", "data:"))} == set()
    assert not re.search(r"\bfetch\(|XMLHttpRequest|https?://", page)
    assert '<html lang="en">' in page
    assert all('alt="' in image for image in re.findall(r"<img[^>]*>", page))
    tables = re.findall(r"<table.*?</table>", page, flags=re.DOTALL)
    assert tables
    assert all("<caption" in table and 'scope="col"' in table for table in tables)
    assert page.count("<main") == page.count("<h1") == page.count("<footer") == 1
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'aria-labelledby="([^"]+)"', page)) <= set(ids)


def test_chart_words_and_table_show_the_same_interval(root: Path, page: str) -> None:
    """In the answer, the bars, two curves and their words, the table."""
    (psnr,) = re.findall(rf'<desc id="depth-{BOARD}-alexnet_conv-psnr-says">([^<]*)</desc>', page)
    rows = {row["method"]: row for row in read_csv(root / "metrics/leaderboard.csv") if row["family"] != "floor"}
    ends = {name: f"{float(row['psnr_lo']):.2f} to {float(row['psnr_hi']):.2f}" for name, row in rows.items()}
    assert page.count(ends["deep"]) == 7
    for name, row in rows.items():
        assert f"{name}, {row['tap']}: {float(row['psnr']):.2f} ({ends[name]})" in psnr
    assert "own mean" in psnr


def test_one_depth_is_no_curve(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "one")
    for name in ("metrics/leaderboard.csv", "metrics/methods/deep.csv", "data/reconstructions/deep/index.csv"):
        path = tmp_path / "one" / name
        path.write_text(path.read_text().replace("conv5", "conv2"))
    assert 'class="depth"' not in draw(tmp_path / "one")


def test_training_is_told_of_models_alone(page: str) -> None:
    assert "Training of deep" in page
    assert "Training of shallow" not in page
    told = ("6 images of photos", "1,234 parameters", "step 20", "validation from 11 to 14", "own mean from 12 to 12")
    assert [part for part in told if part not in page] == []
    assert page.count("data:image/jpeg") == 2, "its progress, and a sheet of feature maps"


def test_names_are_escaped(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "odd")
    for path in (tmp_path / "odd").rglob("*.csv"):
        path.write_text(path.read_text().replace("shallow", "<b>shal&low</b>"))
    page = draw(tmp_path / "odd")
    assert "<b>shal" not in page
    assert "&lt;b&gt;shal&amp;low" in page


def test_commands_name_the_stage_and_its_item(default_params: dict[str, dict[str, list[str]]]) -> None:
    found = commands(yaml.safe_load(PIPELINE), {"fit": {"models": {"a": {}, "b": {}}}, "names": ["c"]})
    assert found[("reconstructions", "floors")] == "dvc repro floors"
    assert [found["kind", name] for name in "ab"] == ["dvc repro fit@a", "dvc repro fit@b"]
    assert found[("scores", "c.json")] == "dvc repro score@c"
    found = commands(parse((ROOT / "dvc.yaml").read_text()), default_params)
    assert {("reconstructions", group) for group in default_params["compare"]["groups"]} <= set(found)


def test_what_was_used_is_followed_to_its_sources_and_told(root: Path, page: str) -> None:
    """A term of weight 0 uses nothing: `deep` has losses feature and tv."""
    models = read_models(root / "models", root / "metrics/training")
    found = used(read_group(root / "data/reconstructions/deep"), models)
    told = [(one.kind, one.name, one.training_time) for one in found]
    assert told == [("gan", "g", "not trained here"), ("mapper", "m", "2.5 min"), ("weights", "alexnet_conv", "not trained here")]
    assert used(read_group(root / "data/reconstructions/floors"), models) == []
    chapter = page.split('id="group-deep"')[1].split("</article>")[0]
    about = read_json(run_folder(root / "data/reconstructions/deep") / "method.json")
    said = [*MADE.values(), "m-code", "m-params", "m-weights-and-mo</code>", about["code"], about["params"]]
    assert [text for text in said if text not in chapter] == []
