"""The page: one file that fetches nothing, equal for equal inputs, and working in a real browser."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from relume.core.files import read_csv
from relume.report.config import Report
from relume.report.data import read
from relume.report.images import overview, pick
from relume.report.leaderboards import leaderboards
from relume.report.page import render
from stages.report import main
from tests.contract_files import GROUPS, narrowed, write
from tests.report_browser import browser, dom
from tests.report_files import folders, relate, write_maps, write_model

ROOT = Path(__file__).resolve().parents[1]
BOARD = "feature-photos-32"


def draw(root: Path) -> str:
    found = read(folders(root), GROUPS)
    return render(found, Report(pictures=4), 0.95)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made-up project with one oracle run more, so that there is something to hide."""
    root = write(tmp_path_factory.mktemp("page"))
    write_model(root, "deep")
    relate(root, "deep", oracle="true", family="decoder")
    write_maps(root)
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
    assert "metrics/sets.csv is missing" in done.output


def test_nothing_is_fetched(page: str) -> None:
    addresses = re.findall(r"""(?:src|href|action|data)\s*=\s*["']([^"']*)|url\(([^)]*)\)|@import""", page)
    assert {address for pair in addresses for address in pair if address and not address.startswith(("#", "data:"))} == set()
    assert not re.search(r"\bfetch\(|XMLHttpRequest|https?://", page)


def test_all_is_labelled(page: str) -> None:
    assert '<html lang="en">' in page
    assert all('alt="' in image for image in re.findall(r"<img[^>]*>", page))
    tables = re.findall(r"<table.*?</table>", page, flags=re.DOTALL)
    assert tables
    assert all("<caption" in table and 'scope="col"' in table for table in tables)
    assert page.count("<main") == page.count("<h1") == page.count("<footer") == 1
    named = re.findall(r'aria-labelledby="([^"]+)"', page)
    assert all(f'id="{name}"' in page for name in named)
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_chart_and_table_show_the_same_interval(root: Path, page: str) -> None:
    """In the answer, the bars, two curves and their words, the table."""
    (deep,) = [row for row in read_csv(root / "metrics/leaderboard.csv") if row["method"] == "deep"]
    assert page.count(f"{float(deep['psnr_lo']):.2f} to {float(deep['psnr_hi']):.2f}") == 7


def test_every_curve_has_its_numbers_in_words(root: Path, page: str) -> None:
    (psnr,) = re.findall(rf'<desc id="depth-{BOARD}-alexnet_conv-psnr-says">([^<]*)</desc>', page)
    for row in read_csv(root / "metrics/leaderboard.csv"):
        if row["family"] != "floor":
            ends = f"{float(row['psnr_lo']):.2f} to {float(row['psnr_hi']):.2f}"
            assert f"{row['method']}, {row['tap']}: {float(row['psnr']):.2f} ({ends})" in psnr
    assert "decoder, oracle: deep" in psnr
    assert "own mean" in psnr


def test_one_depth_is_no_curve(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "one")
    for name in ("leaderboard.csv", "methods/deep.csv"):
        path = tmp_path / "one/metrics" / name
        path.write_text(path.read_text().replace("conv5", "conv2"))
    index = tmp_path / "one/data/reconstructions/deep/index.csv"
    index.write_text(index.read_text().replace("conv5", "conv2"))
    page = draw(tmp_path / "one")
    assert "From shallow to deep" not in page
    assert 'class="depth"' not in page


def test_training_is_told_of_models_alone(page: str) -> None:
    assert "Training of deep" in page
    assert "Training of shallow" not in page
    assert "Trained on 6 images of photos, validated on 2; 1,234 parameters; best checkpoint at step 20." in page
    assert "psnr over 20 steps: validation from 11 to 14; baseline: own mean from 12 to 12" in page
    assert page.count("data:image/jpeg") == 2, "its progress, and a sheet of feature maps"


def test_names_are_escaped(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "odd")
    for path in (tmp_path / "odd").rglob("*.csv"):
        path.write_text(path.read_text().replace("shallow", "<b>shal&low</b>"))
    page = draw(tmp_path / "odd")
    assert "<b>shal" not in page
    assert "&lt;b&gt;shal&amp;low" in page


def rows(document: str) -> list[tuple[str, bool]]:
    """(method, hidden) in the order of the leaderboard on the page."""
    table = document.split(f'data-sortable="{BOARD}"')[1].split("</table>")[0].split("<tbody>")[1]
    heads = re.findall(r'<tr([^>]*)>\s*<th scope="row" data-value="([^"]*)"', table)
    return [(name, " hidden" in attributes) for attributes, name in heads]


@browser
def test_sorts_and_filters_by_address(page: str, tmp_path: Path) -> None:
    state = f"#sort={BOARD}:feature_error:ascending&filter={BOARD}:CONV2"
    document = dom(page, tmp_path, state=state)
    order = rows(document)
    assert [name for name, _ in order][:2] == ["shallow", "deep"]  # floors have no feature error: last
    assert [name for name, hidden in order if hidden] == ["deep"]
    assert re.search(r'data-column="feature_error"[^>]*aria-sort="ascending"', document)
    assert document.count('aria-sort="') == 1 + page.split("</style>")[0].count('aria-sort="')  # the style knows both
    assert "1 of 2 methods, baselines always shown" in document


@browser
def test_buttons_sort_and_floors_are_never_hidden(page: str, tmp_path: Path) -> None:
    script = f"""
      const table = document.querySelector('[data-sortable="{BOARD}"]');
      const button = (name) => table.querySelector(`[data-column="${{name}}"] button`);
      const order = () => [...table.tBodies[0].rows].map((row) => row.cells[0].dataset.value).join(",");
      const said = [];
      button("psnr").focus(); said.push(document.activeElement.textContent.includes("PSNR"));
      button("psnr").click(); said.push(order());
      button("psnr").click(); said.push(order());
      button("method").click(); said.push(order());
      said.push(table.querySelector('[aria-sort]').getAttribute("aria-sort"));
      const form = document.querySelector("form.filter");
      form.elements.filter.value = "no such thing"; form.elements.oracles.checked = false;
      form.dispatchEvent(new Event("input"));
      said.push([...table.tBodies[0].rows].filter((row) => !row.hidden).length, location.hash.includes("oracles"));
      document.getElementById("out").textContent = said.join(" | ");
    """
    said = re.search(r"<pre id=\"out\">(.*?)</pre>", dom(page, tmp_path, script=script))
    assert said is not None
    focused, rising, falling, by_name, direction, left, kept = said[1].split(" | ")
    assert (focused, direction, left, kept) == ("true", "ascending", "3", "true")
    assert rising.split(",") == falling.split(",")[::-1]
    assert by_name.split(",") == sorted(by_name.split(","))


@browser
def test_another_picture_is_shown_from_shallow_to_deep(page: str, tmp_path: Path) -> None:
    script = """
      const select = document.querySelector("[data-deep] select");
      const shown = () => [...document.querySelectorAll("[data-deep] img")].map((image) => image.alt).join(",");
      const said = [select.closest("label").hidden, shown()];
      select.focus(); select.selectedIndex = 2; select.dispatchEvent(new Event("change"));
      said.push(document.activeElement === select, shown(), decodeURIComponent(location.hash));
      document.getElementById("out").textContent = said.join(" | ");
    """
    found = re.search(r"<pre id=\"out\">(.*?)</pre>", dom(page, tmp_path, script=script))
    assert found is not None
    hidden, first, focused, third, address = found[1].split(" | ")
    assert (hidden, focused) == ("false", "true")
    assert first == "Original astronaut-0,astronaut-0 by shallow,astronaut-0 by deep"
    assert third == "Original rocket-0,rocket-0 by shallow,rocket-0 by deep"
    assert f"picture={BOARD}:rocket-0" in address
    again = dom(page, tmp_path, state=f"#picture={BOARD}:coffee-0")
    strip = again.split("data-deep=")[1].split("</section>")[0]
    assert re.findall(r'alt="([^"]*)"', strip) == ["Original coffee-0", "coffee-0 by shallow", "coffee-0 by deep"]


@browser
def test_fits_a_phone(page: str, tmp_path: Path) -> None:
    script = """
      addEventListener("load", () => {
        const inside = document.querySelector("iframe").contentDocument;
        document.getElementById("out").textContent = inside.documentElement.scrollWidth;
      });
    """
    found = re.search(r'<pre id="out">(\d+)</pre>', dom(page, tmp_path, script=script, width=360))
    assert found is not None
    assert int(found[1]) <= 360
