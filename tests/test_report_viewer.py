"""The viewer, in a real browser: wiped, flipped, walked by keyboard, by touch and by address."""

from pathlib import Path

import pytest

from relume.core.results import FAMILIES
from relume.report.config import Report
from relume.report.data import read
from relume.report.depth import Depths
from relume.report.leaderboards import Result
from relume.report.page import render
from relume.report.viewer import viewer_groups
from tests.contract_files import GROUPS, write
from tests.report_browser import browser, dom, says
from tests.report_files import folders

BOARD = "feature-photos-32"
HELPERS = """
  const box = document.querySelector("[data-viewer]"), part = (name) => box.querySelector(name), said = [];
  const alts = () => [...box.querySelectorAll("[data-frame] img")].map((image) => image.alt).join(", ");
  const wipe = () => getComputedStyle(part("[data-frame]")).getPropertyValue("--wipe");
  const press = (key) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const end = () => { document.getElementById("out").textContent = said.join(" | "); };
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = write(tmp_path_factory.mktemp("viewer"))
    return render(read(folders(root), GROUPS), Report(pictures=4), 0.95)


def line(method: str, psnr: str, tap: str = "", network: str = "net", family: str = FAMILIES[1]) -> Result:
    cells = {"method": method, "psnr": psnr, "tap": tap, "network": network, "family": family}
    return Result(key=(method, "d", "32", network, tap), cells=cells, baseline=family == "floor")


def test_routes_go_from_shallow_to_deep_and_end_at_floors() -> None:
    lines = [line("x", "20", "b"), line("floor", "19", network="", family="floor"), line("y", "9", "a"), line("z", "21", "b")]
    net, floors = viewer_groups([*lines, line("w", "8", "a")], [Depths(network="net", places=["a", "b"], curves=[])])
    assert [(item.result.method, item.cell) for item in net.items] == [("y", 3), ("w", 5), ("z", 4), ("x", 1)]
    assert net.title == "net, from shallow to deep"
    assert [(item.result.name, item.caption) for item in (net.items[0], *floors.items)] == [("y@net.a", "a"), ("floor", "floor")]


@browser
def test_wipes_and_flips(page: str, tmp_path: Path) -> None:
    script = (
        HELPERS
        + """
      said.push(box.hidden, alts(), wipe());
      const range = part('[name="wipe"]');
      range.value = 30; range.dispatchEvent(new Event("input")); said.push(wipe(), range.getAttribute("aria-valuetext"));
      const flip = part("[data-flip]");
      flip.click(); said.push(wipe(), flip.getAttribute("aria-pressed"));
      flip.click(); said.push(wipe(), flip.getAttribute("aria-pressed"));
      const frame = part("[data-frame]"), place = frame.getBoundingClientRect();
      const x = (share) => ({ pointerType: "touch", clientX: place.left + share * place.width });
      const touch = (type, share) => frame.dispatchEvent(new PointerEvent(type, x(share)));
      touch("pointerdown", 0.1); touch("pointermove", 0.8); touch("pointerup", 0.8); said.push(wipe());
      touch("pointerdown", 0.5); touch("pointerup", 0.5); said.push(wipe());
      end();
    """
    )
    hidden, alts, half, third, text, flipped, pressed, back, released, dragged, tapped = says(dom(page, tmp_path, script=script))
    assert (hidden, alts, half) == ("false", "astronaut-0 by shallow, Original astronaut-0", "50%")
    assert (third, text) == ("30%", "30% original, 70% shallow, conv2 of alexnet_conv")
    assert (flipped, pressed, back, released) == ("100%", "true", "0%", "false")
    assert (dragged, tapped) == ("80%", "100%")


@browser
def test_walks_the_depth_strip_by_keyboard(page: str, tmp_path: Path) -> None:
    script = (
        HELPERS
        + """
      const strip = () => [...part("[data-strip]").children].map((button) => button.textContent).join(",");
      const now = () => document.activeElement.getAttribute("aria-label");
      part("[data-strip] button").focus(); said.push(strip(), now());
      press("ArrowRight"); said.push(now(), alts());
      press("ArrowDown"); said.push(now(), alts(), part("[role=status]").textContent);
      press("Home"); said.push(now(), document.querySelectorAll("[data-strip] [aria-current]").length);
      said.push(decodeURIComponent(location.hash)); end();
    """
    )
    strip, first, second, deep, still, below, status, home, current, address = says(dom(page, tmp_path, script=script))
    assert strip == "conv2shallow,conv5deep"
    assert (first, second) == ("shallow, conv2 of alexnet_conv", "deep, conv5 of alexnet_conv")
    assert (deep, still, below) == (
        "astronaut-0 by deep, Original astronaut-0",
        second,
        "coffee-0 by deep, Original coffee-0",
    )
    assert status.startswith("coffee-0 by deep, conv5 of alexnet_conv: ")
    assert status.endswith(" dB")
    assert (home, current) == (first, "1")
    assert f"view={BOARD}:coffee-0:shallow@alexnet_conv.conv2" in address


@browser
def test_an_address_opens_the_viewer_where_it_was(page: str, tmp_path: Path) -> None:
    state = f"#view={BOARD}:rocket-0:deep@alexnet_conv.conv5"
    script = HELPERS + 'said.push(alts(), part("[aria-current]").textContent); end();'
    assert says(dom(page, tmp_path, state=state, script=script)) == ["rocket-0 by deep, Original rocket-0", "conv5deep"]
