"""Depth: the order of taps, the best of each family, charts whose places are known by hand; training curves."""

import re
from pathlib import Path

import pytest
from PIL import Image

from relume.core.errors import UserError
from relume.core.files import write_json
from relume.report.axes import EDGE, HEIGHT, scale_of
from relume.report.boards import Board, Line, boards
from relume.report.depth import Depths, depths, table
from relume.report.depth_chart import depth_panels
from relume.report.lessons import lesson
from relume.report.material import read
from relume.report.pictures import photo
from relume.report.viewer import routes
from relume.report.words import descent
from tests.contract_files import GROUPS, write
from tests.report_files import FLOORS, folders, line, relate, write_model

ORDER = ["stem", "stage2", "stage10", "head", "logits"]
TAPS = {("d", "net"): ORDER}


def board(*methods: dict[str, str]) -> Board:
    (found,) = boards([*FLOORS, *methods])
    return found


def method(name: str, tap: str, psnr: float, **cells: str) -> dict[str, str]:
    return line(**{"method": name, "network": "net", "tap": tap, "psnr": str(psnr), "family": "decoder", **cells})


def test_places_stand_in_the_networks_order_and_several_taps_last() -> None:
    names = ["stem+head", "logits", "stage10", "stem+stage2", "stem", "stage2"]
    (found,) = depths(board(*(method(tap, tap, 15) for tap in names)), TAPS)
    assert found.places == ["stem", "stage2", "stage10", "logits", "stem+stage2", "stem+head"]
    assert found.depths == 4
    (curve,) = found.curves
    assert [one.method for one in curve.steps] == found.places[:4]
    assert depths(board(method("x", "stem", 15, network="")), TAPS) == [], "without features there is no depth"


def test_a_curve_is_the_best_of_a_family_and_oracles_are_apart() -> None:
    methods = [method("weak", "stem", 14), method("strong", "stem", 16), method("deep", "head", 13)]
    methods += [method("cheat", "stem", 30, oracle="true"), method("slow", "head", 12, family="optimise")]
    (found,) = depths(board(*methods), TAPS)
    told = [(one.name, [best.method for best in one.best.values()]) for one in found.curves]
    assert told == [("optimise", ["slow"]), ("decoder", ["strong", "deep"]), ("decoder, oracle", ["cheat"])]
    assert [one.method for one in found.curves[1].others] == ["weak"]
    places = [(row["place"], row["method"], row["depth"]) for row in table([found])]
    assert {("net 01 stem, decoder", "strong", 1), ("net 02 head, optimise", "slow", 2)} <= set(places)


def test_a_descent_says_where_it_does_not_go_down() -> None:
    def text(*values: float) -> str:
        found = board(*(method(tap, tap, value) for tap, value in zip(ORDER, values, strict=False)))
        return descent(found, depths(found, TAPS)[0].curves[0])

    assert all(part in text(20, 15.04, 11) for part in ("20.0 dB at stem", "15.0 dB at stage2", "1.0 dB below"))
    assert all(part in text(20, 14, 15) for part in ("stage10 is not below stage2", "3.0 dB above"))
    assert "step" not in text(20)


def test_routes_go_from_shallow_to_deep_and_end_at_floors() -> None:
    def stop(name: str, psnr: str, tap: str = "", network: str = "net", family: str = "optimise") -> Line:
        cells = {"method": name, "psnr": psnr, "tap": tap, "network": network, "family": family}
        return Line(key=(name, "d", "32", network, tap), cells=cells)

    lines = [stop("x", "20", "b"), stop("floor", "19", network="", family="floor"), stop("y", "9", "a"), stop("z", "21", "b")]
    net, floors = routes([*lines, stop("w", "8", "a")], [Depths(network="net", places=["a", "b"], curves=[])])
    assert [(stop.line.method, stop.cell) for stop in net.stops] == [("y", 3), ("w", 5), ("z", 4), ("x", 1)]
    assert [(stop.name, stop.caption) for stop in (net.stops[0], *floors.stops)] == [("y@net.a", "a"), ("floor", "floor")]


def test_the_chart_stands_where_the_numbers_say() -> None:
    found = board(method("a", "stem", 20, psnr_lo="19", psnr_hi="21"), method("b", "head", 10), method("c", "logits", 15))
    (panel,) = depth_panels(found, depths(found, TAPS)[0])  # nothing but PSNR was measured
    middle, top, bottom = HEIGHT / 2, EDGE, HEIGHT - EDGE
    assert re.findall(r'y="[\d.]+">([^<]*)<', panel.axis) == ["10", "12", "14", "16", "18", "20", "22"]
    at = {value: round(bottom - (bottom - top) * (value - 10) / 12, 1) for value in (10, 15, 19, 20, 21)}
    places = [(float(x), float(y)) for x, y in re.findall(r'<svg x="([\d.]+)%" y="([\d.]+)"', panel.plot)]
    assert places == [(16.67, at[20]), (50.0, at[10]), (83.33, at[15])]
    assert f'y1="{at[19]}" y2="{at[21]}"' in panel.plot
    kinds = ('class="line"', 'class="floor-line blind"', 'class="floor-line seen"')
    assert [panel.plot.count(kind) for kind in kinds] == [2, 1, 2]
    assert re.findall(r'y="[\d.]+">([^<]*)<', panel.floors) == ["blocks", "own", "mean"]
    assert at[10] > middle > at[20]


def test_a_judge_that_was_inverted_is_marked_and_a_mean_feature_is_a_floor() -> None:
    cells = {"network": "vgg16_conv", "lpips_vgg": "0.5", "feature_error": "0.01"}
    found = board(method("a", "stem", 20, **cells), method("b", "head", 10, **cells))
    (one,) = depths(found, {("d", "vgg16_conv"): ORDER})
    psnr, lpips, error = depth_panels(found, one)
    assert (psnr.circular, lpips.circular, error.circular) == (False, True, False)
    assert "mean feature" in error.floors
    assert error.logarithmic


def test_scales_enclose_their_values() -> None:
    assert scale_of([12.0, 23.0]).ticks == [12, 14, 16, 18, 20, 22, 24]
    wide = scale_of([0.034, 1.86])
    assert (wide.ticks, wide.logarithmic) == ([0.02, 0.1, 1.0, 2.0], True)
    assert (wide.at(0.02), wide.at(2.0)) == (HEIGHT - EDGE, EDGE)
    assert not scale_of([0.0, 1.0]).logarithmic
    assert scale_of([3.0]).at(3.0) <= HEIGHT


def test_an_order_that_lacks_a_tap_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    write_json(tmp_path / "data/features/photos/alexnet_conv/stats.json", {"order": ["conv5"], "taps": {}})
    with pytest.raises(UserError, match=r"stats\.json.*conv2"):
        read(folders(tmp_path), GROUPS)


def test_models_of_methods_have_curves_and_a_picture_of_progress(tmp_path: Path) -> None:
    write(tmp_path)
    folder = write_model(tmp_path, "deep", picture="samples.png")
    write_model(tmp_path, "foreign")
    assert read(folders(tmp_path), GROUPS).trained == {}, "a recipe is no decoder that has its name"
    relate(tmp_path, "deep", family="decoder")
    trained = read(folders(tmp_path), GROUPS).trained
    assert list(trained) == ["deep"]
    assert trained["deep"].picture == folder / "samples.png"
    drawn = lesson("deep", trained["deep"])
    assert drawn.curves == ["training", "validation", "floor: own mean"]
    shades = {panel.term: re.findall(r"shade-(\d)", panel.svg) for panel in drawn.panels}
    assert shades == {"loss": ["0", "1"], "psnr": ["1", "2"]}
    assert [panel.term for panel in drawn.others] == ["learning_rate"]
    write_model(tmp_path, "deep")
    (one,) = read(folders(tmp_path), GROUPS).trained.values()
    assert one.picture == folder / "progress.jpg", "progress comes first"
    shown = photo(one.picture)
    assert shown.uri.startswith("data:image/jpeg;base64,")
    assert (shown.width, shown.height) == Image.open(one.picture).size == (62, 20)
    assert photo(folder / "samples.png").uri.startswith("data:image/webp")
