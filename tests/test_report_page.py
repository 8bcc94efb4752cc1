"""The page: one file that fetches nothing, equal for equal inputs, labelled; what it says of a group's making."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from relume.core.files import read_csv, read_json, write_csv
from relume.core.results import run_folder
from relume.report.images import ACROSS, Sheets
from relume.report.page import Content, render
from stages.report import main
from tests.contract_files import GROUPS, narrowed, write
from tests.report_files import content_of, relate, write_maps, write_measures, write_model


def body(page: str) -> str:
    """What a reader sees: without Vega, specifications and styles."""
    return re.sub(r"<script.*?</script>|<style>.*?</style>", "", page, flags=re.DOTALL)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made-up project with one oracle run more."""
    root = write(tmp_path_factory.mktemp("page"))
    write_measures(root)
    write_model(root, "deep")
    relate(root, "deep", oracle="true", family="decoder")
    write_maps(root)
    return root


@pytest.fixture(scope="module")
def content(root: Path) -> Content:
    return content_of(root)


@pytest.fixture(scope="module")
def page(content: Content) -> str:
    return render(content)


def test_the_stage_writes_the_same_bytes_twice(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, default_params: dict[str, Any]
) -> None:
    (root / "params.yaml").write_text(yaml.safe_dump(narrowed(default_params)))
    options = {"metrics": "metrics", "models": "models", "out": "metrics/report"}
    options |= {name: f"data/{name}" for name in ("reconstructions", "images", "features", "samples")}
    arguments = [word for name, path in options.items() for word in (f"--{name}", path)]
    moved = tmp_path / "elsewhere"
    shutil.copytree(root, moved)
    written = []
    for place in (root, moved):
        monkeypatch.chdir(place)
        monkeypatch.delenv("DVC_STAGE", raising=False)
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 0, done.output
        written.append({path.name: path.read_bytes() for path in sorted((place / "metrics/report").iterdir())})
    names = ["depth.csv", "index.html", "landscape.csv", "overview.jpg", "report.pdf", "vega.js"]
    assert [*written[0]] == names
    assert [name for name in names if written[0][name] != written[1][name]] == []
    places = [(row["place"], row["method"]) for row in read_csv(root / "metrics/report/depth.csv")]
    assert places == [("AlexNet 01 conv2, Optimisation", "shallow"), ("AlexNet 02 conv5, Decoder, oracle", "deep")]
    assert Image.open(root / "metrics/report/overview.jpg").size[0] > 6 * 150
    assert "vegaEmbed" in (root / "metrics/report/vega.js").read_text()
    (moved / "metrics/sets.csv").unlink()
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 1
    assert "metrics/sets.csv" in done.output


def test_nothing_is_fetched_and_all_is_labelled(page: str) -> None:
    assert "default-src 'none'" in page, "the browser itself holds the page to it"
    seen = body(page)
    addresses = re.findall(r"""(?:src|href|action)\s*=\s*["']([^"']*)|url\(([^)]*)\)|@import""", seen)
    addresses += re.findall(r"url\(([^)]*)\)()", re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL))
    assert {address for pair in addresses for address in pair if address and not address.startswith(("#", "data:"))} == set()
    assert "http" not in seen.replace("http-equiv", "")
    assert '<html lang="en">' in page
    tables = re.findall(r"<table.*?</table>", seen, flags=re.DOTALL)
    assert tables
    assert all(("<caption" in table or "aria-label" in table) and 'scope="row"' in table for table in tables)
    assert seen.count("<main") == seen.count("<h1") == seen.count("<footer") == 1
    ids = re.findall(r'\sid="([^"]+)"', seen)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'aria-labelledby="([^"]+)"', seen)) <= set(ids)
    assert set(re.findall(r'<a href="#([^"]+)"', seen)) <= set(ids)
    assert all("aria-label=" in tag for tag in re.findall(r'<[^>]*role="img"[^>]*>', seen))
    assert len(page) < 3e6


def test_the_first_screen_is_pictures_from_shallow_to_deep(content: Content, page: str) -> None:
    assert content.hero is not None
    assert [cell.text for cell, _ in content.hero.rows] == ["Original", "conv2", "conv5"]
    assert all("50% re-identified" in cell.under for cell, _ in content.hero.rows[1:])
    seen = body(page)
    assert seen.index('class="pictures hero"') < seen.index("<table", seen.index("<main")) < seen.index('id="researcher"')
    order = [seen.index(f'id="{name}"') for name in ("researcher", "privacy", "teacher", "more")]
    assert order == sorted(order)
    assert "lower bound" in seen.lower()


def test_every_picture_is_stored_once_and_drawn(content: Content, page: str) -> None:
    used_sheets = set(re.findall(r'class="px (?:over )?(p\d+)', page))
    stored = re.findall(r"\.(p\d+)\{--n:(\d+);", page)
    assert used_sheets == {name for name, _ in stored}
    for name, count in stored:
        places = {int(at) for at in re.findall(rf'{name}(?: hard)?" style="--i:(\d+)"', page)}
        assert places == set(range(int(count)))
    sheets = Sheets()
    tiles = [sheets.tile("s", at, np.full((4, 4, 3), at, np.uint8), "") for at in range(ACROSS + 2)]
    assert sheets.sheet("s").size == (4 * ACROSS, 8), "WebP has a largest width"
    assert np.asarray(sheets.sheet("s"))[5, 5].tolist() == [ACROSS + 1] * 3 == [tiles[-1].at] * 3
    deep = [tile for cell, tiles in content.hero.rows[2:] for tile in tiles if tile] if content.hero else []
    assert all(tile.over and tile.over.sheet == "originals-photos" for tile in deep)


def test_best_median_and_worst_are_by_psnr(root: Path, content: Content) -> None:
    (images,) = (part for part in content.parts if part.id == "images")
    rows = {cell.text: tiles for cell, tiles in images.blocks[1].rows}  # type: ignore[union-attr]
    psnr = {row["id"]: float(row["psnr"]) for row in read_csv(root / "metrics/methods/deep.csv")}
    order = sorted(psnr, key=lambda id: -psnr[id])
    shown = [tile.alt.split()[0] for tile in rows["Decoder"][1::2]]
    assert shown == [order[0], order[(len(order) - 1) // 2], order[-1]]
    assert [tile.alt.split()[1] for tile in rows["Decoder"][::2]] == shown


def test_names_are_escaped(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "odd")
    for path in (tmp_path / "odd").rglob("*.csv"):
        path.write_text(path.read_text().replace("shallow", "</script><b>&"))
    page = render(content_of(tmp_path / "odd"))
    assert "<b>" not in body(page)
    assert "&lt;b&gt;&amp;" in page
    assert page.count("</script>") == 3


def test_only_baselines_are_a_page_too(tmp_path: Path) -> None:
    root = write(tmp_path)
    rows = [row for row in read_csv(root / "metrics/leaderboard.csv") if row["family"] == "floor"]
    write_csv(root / "metrics/leaderboard.csv", tuple(rows[0]), rows)
    write_csv(root / "metrics/comparisons.csv", ("question",), [])
    content = content_of(root, ["floors"])
    assert (content.hero, content.answers) == (None, [])
    assert "own mean" in body(render(content))


def test_how_groups_and_models_were_made_is_told(root: Path, content: Content) -> None:
    (made,) = (part for part in content.parts if part.id == "methods")
    groups, models = ([[cell.text for cell in row] for row in one.rows] for one in made.blocks)  # type: ignore[union-attr]
    about = read_json(run_folder(root / "data/reconstructions/deep") / "method.json")
    assert ["deep", "deep", about["code"], about["params"]] in groups
    assert len(groups) == len(GROUPS)
    ((*facts, score, baselines),) = models
    assert facts == ["deep", "decoder", "AlexNet conv5", "photos", "1,234", "6", "2", "20 of 40"]
    assert (score, baselines) == ("PSNR, dB 14.00", "picture's own mean colour 12.00")
