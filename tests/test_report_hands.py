"""The page under real keys and fingers: the leaderboard sorted and filtered, the viewer wiped and walked; a silent console."""

from pathlib import Path

import pytest

from relume.core.files import read_csv, write_csv
from relume.report.config import Report
from relume.report.data import read
from relume.report.page import render
from tests.contract_files import GROUPS, write
from tests.report_browser import browser, tab
from tests.report_files import folders, write_measures

BOARD = "feature-photos-32"
SHOWN = f"""[...document.querySelector('[data-sortable="{BOARD}"]').tBodies[0].rows].filter((row) => !row.hidden)
    .map((row) => row.cells[0].dataset.value)"""
WIPE = "getComputedStyle(document.querySelector('[data-frame]')).getPropertyValue('--wipe')"
FLOORS = {"floor_dataset_mean", "floor_own_mean", "floor_blocks_4"}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One of the two methods is an oracle."""
    root = write(tmp_path_factory.mktemp("hands"))
    write_measures(root)
    path = root / "metrics/leaderboard.csv"
    rows = [{**row, "oracle": "true" if row["method"] == "deep" else row["oracle"]} for row in read_csv(path)]
    write_csv(path, tuple(rows[0]), rows)
    return render(read(folders(root), GROUPS), Report(pictures=3), 0.95)


@browser
def test_the_leaderboard_by_keyboard(page: str, tmp_path: Path) -> None:
    with tab(page, tmp_path) as hands:
        best_first = hands.value(SHOWN)
        hands.value(f"document.querySelector('[data-sortable=\"{BOARD}\"] [data-column=psnr] button').focus()")
        hands.press("Enter")
        assert hands.value(SHOWN) == best_first[::-1]
        hands.press(" ")
        assert hands.value(SHOWN) == best_first
        marks = "[...document.querySelectorAll('[data-sortable] tr[data-oracle] .mark.oracle')].length"
        assert hands.value(marks) == 1
        hands.value("document.querySelector('form.filter [name=filter]').focus()")
        hands.press(*"conv2")
        assert set(hands.value(SHOWN)) == {"shallow", *FLOORS}
        hands.press("Tab", " ")
        assert hands.value("[document.activeElement.name, document.activeElement.checked]") == ["oracles", False]
        hands.value("document.querySelector('form.filter [name=filter]').select()")
        hands.press(*"conv5")
        assert set(hands.value(SHOWN)) == FLOORS, "the oracle is hidden, floors never are"
        assert hands.value("document.querySelector('form.filter output').textContent") == "0 of 2 methods, baselines always shown"


@browser
def test_the_viewer_by_keys_and_fingers(page: str, tmp_path: Path) -> None:
    alt = "document.querySelector('[data-layer=made] img').alt"
    with tab(page, tmp_path) as hands:
        hands.value("document.querySelector('[data-step=\"1\"]').focus()")
        hands.press("Enter")
        assert hands.value(alt) == "astronaut-0 by deep"
        hands.press("ArrowLeft", "ArrowDown")
        assert hands.value(alt) == "coffee-0 by shallow"
        hands.value("document.querySelector('[data-flip]').focus()")
        hands.press(" ")
        assert hands.value(WIPE) == "100%"
        hands.value("document.querySelector('[name=wipe]').focus()")
        hands.press("ArrowLeft", "ArrowLeft")
        assert hands.value(WIPE) == "98%"
        hands.value("document.querySelector('[data-frame]').scrollIntoView({ block: 'center', behavior: 'instant' })")
        place = hands.value("document.querySelector('[data-frame]').getBoundingClientRect().toJSON()")
        hands.drag(*((place["x"] + share * place["width"], place["y"] + place["height"] / 2) for share in (0.9, 0.6, 0.25)))
        assert hands.value(WIPE) == "25%"
