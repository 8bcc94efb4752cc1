"""The page in a real browser, under real keys and fingers: leaderboard, viewer, depth, addresses; a silent console."""

import re
from pathlib import Path

import pytest

from relume.report.config import Report
from relume.report.data import read
from relume.report.page import render
from tests.contract_files import GROUPS, write
from tests.report_browser import browser, dom, says, tab
from tests.report_files import folders, relate, write_maps, write_measures, write_model

BOARD = "feature-photos-32"
SHOWN = f"""[...document.querySelector('[data-sortable="{BOARD}"]').tBodies[0].rows].filter((row) => !row.hidden)
    .map((row) => row.cells[0].dataset.value)"""
WIPE = "getComputedStyle(document.querySelector('[data-frame]')).getPropertyValue('--wipe')"
FLOORS = {"floor_dataset_mean", "floor_own_mean", "floor_blocks_4"}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """All sections; one of the two methods is an oracle, so that there is something to hide."""
    root = write(tmp_path_factory.mktemp("browser"))
    write_measures(root)
    write_model(root, "deep")
    write_maps(root)
    relate(root, "deep", oracle="true", family="decoder")
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
        assert "oracles" in hands.value("location.hash")
        hands.value("document.querySelector('form.filter [name=filter]').select()")
        hands.press(*"conv5")
        assert set(hands.value(SHOWN)) == FLOORS, "the oracle is hidden, floors never are"
        assert "0 of 2" in hands.value("document.querySelector('form.filter output').textContent")


@browser
def test_the_viewer_by_keys_and_fingers(page: str, tmp_path: Path) -> None:
    alt = "document.querySelector('[data-layer=made] img').alt"
    with tab(page, tmp_path) as hands:
        hands.value("document.querySelector('[data-step=\"1\"]').focus()")
        hands.press("Enter")
        assert hands.value(alt) == "astronaut-0 by deep"
        hands.press("ArrowLeft", "ArrowDown")
        assert hands.value(alt) == "coffee-0 by shallow"
        assert f"view={BOARD}:coffee-0:shallow@alexnet_conv.conv2" in hands.value("decodeURIComponent(location.hash)")
        hands.value("document.querySelector('[data-flip]').focus()")
        hands.press(" ")
        assert hands.value(WIPE) == "100%"
        assert hands.value("document.activeElement.getAttribute('aria-pressed')") == "true"
        hands.value("document.querySelector('[name=wipe]').focus()")
        hands.press("ArrowLeft", "ArrowLeft")
        assert hands.value(WIPE) == "98%"
        assert hands.value("document.activeElement.getAttribute('aria-valuetext')").startswith("98%")
        hands.value("document.querySelector('[data-frame]').scrollIntoView({ block: 'center', behavior: 'instant' })")
        place = hands.value("document.querySelector('[data-frame]').getBoundingClientRect().toJSON()")
        hands.drag(*((place["x"] + share * place["width"], place["y"] + place["height"] / 2) for share in (0.9, 0.6, 0.25)))
        assert hands.value(WIPE) == "25%"


@browser
def test_another_picture_is_shown_from_shallow_to_deep(page: str, tmp_path: Path) -> None:
    shown = "[...document.querySelectorAll('[data-deep] img')].map((image) => image.alt)"
    with tab(page, tmp_path) as hands:
        assert hands.value(shown) == ["Original astronaut-0", "astronaut-0 by shallow", "astronaut-0 by deep"]
        hands.value("document.querySelector('[data-deep] select').focus()")
        hands.press("ArrowDown", "ArrowDown")
        assert hands.value(shown) == ["Original rocket-0", "rocket-0 by shallow", "rocket-0 by deep"]
        assert f"picture={BOARD}:rocket-0" in hands.value("decodeURIComponent(location.hash)")


@browser
def test_an_address_opens_the_page_as_it_was(page: str, tmp_path: Path) -> None:
    table = f"sort={BOARD}:feature_error:ascending&filter={BOARD}:CONV2"
    pictures = f"picture={BOARD}:coffee-0&view={BOARD}:rocket-0:deep@alexnet_conv.conv5"
    frame = '[...document.querySelectorAll("[data-frame] img")].map((image) => image.alt)'
    script = f'document.getElementById("out").textContent = {frame}.join(" | ");'
    document = dom(page, tmp_path, state=f"#{table}&{pictures}", script=script)
    rows = document.split(f'data-sortable="{BOARD}"')[1].split("</table>")[0].split("<tbody>")[1]
    order = re.findall(r'<tr([^>]*)>\s*<th scope="row" data-value="([^"]*)"', rows)
    assert [name for _, name in order][:2] == ["shallow", "deep"], "floors have no feature error: last"
    assert [name for attributes, name in order if " hidden" in attributes] == ["deep"]
    assert re.search(r'data-column="feature_error"[^>]*aria-sort="ascending"', document)
    strip = document.split("data-deep=")[1].split("</section>")[0]
    assert re.findall(r'alt="([^"]*)"', strip) == ["Original coffee-0", "coffee-0 by shallow", "coffee-0 by deep"]
    assert says(document) == ["rocket-0 by deep", "Original rocket-0"]


@browser
def test_it_fits_a_phone_and_its_plots_are_named(page: str, tmp_path: Path) -> None:
    script = """
      addEventListener("load", () => {
        const inside = document.querySelector("iframe").contentDocument;
        const named = [...inside.querySelectorAll("svg[role=img][aria-labelledby]")].every((svg) =>
          ["aria-labelledby", "aria-describedby"].every((name) => inside.getElementById(svg.getAttribute(name))));
        document.getElementById("out").textContent = `${inside.documentElement.scrollWidth} | ${named}`;
      });
    """
    width, named = says(dom(page, tmp_path, script=script, width=360))
    assert int(width) <= 360
    assert named == "true"
