"""Depth: the order of taps, the best of each family, charts whose places are known by hand; training curves."""

import re
from pathlib import Path

import pytest
from PIL import Image

from relume.core.errors import UserError
from relume.core.files import write_json
from relume.report.charts import Panel
from relume.report.config import Report
from relume.report.data import read
from relume.report.depth import depth_panels, depths, table
from relume.report.findings import depth_trend
from relume.report.images import embedded_image
from relume.report.leaderboards import Leaderboard, leaderboards
from relume.report.page import render
from relume.report.plots import EDGE, HEIGHT, LABEL, apart, scale_of
from relume.report.training import training
from tests.contract_files import GROUPS, write
from tests.report_files import folders, relate, write_model
from tests.test_report_words import FLOORS, line

ORDER = ["stem", "stage2", "stage10", "head", "logits"]
TAPS = {("d", "net"): ORDER}


def board(*methods: dict[str, str]) -> Leaderboard:
    (found,) = leaderboards([*FLOORS, *methods])
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


def test_a_curve_is_the_best_of_a_family_and_oracles_areapart() -> None:
    methods = [method("weak", "stem", 14), method("strong", "stem", 16), method("deep", "head", 13)]
    methods += [method("cheat", "stem", 30, oracle="true"), method("slow", "head", 12, family="optimise")]
    (found,) = depths(board(*methods), TAPS)
    assert [(one.name, [best.method for best in one.best.values()]) for one in found.curves] == [
        ("optimise", ["slow"]),
        ("decoder", ["strong", "deep"]),
        ("decoder, oracle", ["cheat"]),
    ]
    assert [one.method for one in found.curves[1].others] == ["weak"]
    places = [(row["place"], row["method"], row["depth"]) for row in table([found])]
    assert ("net 01 stem, decoder", "strong", 1) in places
    assert ("net 02 head, optimise", "slow", 2) in places


def test_networks_without_features_have_no_depth() -> None:
    assert depths(board(method("x", "stem", 15, network="")), TAPS) == []


def test_a_descent_says_where_it_does_not_go_down() -> None:
    def text(*values: float) -> str:
        found = board(*(method(tap, tap, value) for tap, value in zip(ORDER, values, strict=False)))
        return depth_trend(found, depths(found, TAPS)[0].curves[0])

    assert text(20, 15.04, 11) == (
        "decoder: 20.0 dB at stem, 15.0 dB at stage2, 11.0 dB at stage10; decreases at every step. "
        "At stage10 it is 1.0 dB below the no-information baseline."
    )
    assert "does not decrease at every step: stage10 is not below stage2. At stage10 it is 3.0 dB above" in text(20, 14, 15)
    assert "step" not in text(20)


def places(svg: str, kind: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(rf'<{kind} x="([\d.]+)%" y="([\d.]+)"', svg)]


def test_the_chart_stands_where_the_numbers_say() -> None:
    found = board(method("a", "stem", 20, psnr_lo="19", psnr_hi="21"), method("b", "head", 10), method("c", "logits", 15))
    (panel,) = depth_panels(found, depths(found, TAPS)[0])  # nothing but PSNR was measured
    middle, top, bottom = HEIGHT / 2, EDGE, HEIGHT - EDGE
    ticks = [text for _, text in re.findall(r'y="([\d.]+)">([^<]*)<', panel.plot.y_axis)]
    assert ticks == ["10", "12", "14", "16", "18", "20", "22"]
    at = {value: round(bottom - (bottom - top) * (value - 10) / 12, 1) for value in (10, 15, 19, 20, 21)}
    assert places(panel.plot.svg, "svg") == [(16.67, at[20]), (50.0, at[10]), (83.33, at[15])]
    assert f'y1="{at[19]}" y2="{at[21]}"' in panel.plot.svg
    assert panel.plot.svg.count('class="line"') == 2
    assert panel.plot.svg.count('class="baseline-line"') == 1
    assert panel.plot.svg.count('class="baseline-line dotted"') == 2
    assert [name for _, name in re.findall(r'y="([\d.]+)">([^<]*)<', panel.plot.level_names)] == ["blocks", "own", "mean"]
    assert at[10] > middle > at[20]


def test_a_judge_that_was_inverted_is_marked_and_a_mean_feature_is_a_floor() -> None:
    cells = {"network": "vgg16_conv", "lpips_vgg": "0.5", "feature_error": "0.01"}
    found = board(method("a", "stem", 20, **cells), method("b", "head", 10, **cells))
    (one,) = depths(found, {("d", "vgg16_conv"): ORDER})
    psnr, lpips, error = depth_panels(found, one)
    assert (psnr.circular, lpips.circular, error.circular) == (False, True, False)
    assert "mean feature" in error.plot.level_names
    assert error.plot.scale.logarithmic


def test_scales_enclose_their_values() -> None:
    assert scale_of([12.0, 23.0]).ticks == [12, 14, 16, 18, 20, 22, 24]
    wide = scale_of([0.034, 1.86])
    assert (wide.ticks, wide.logarithmic) == ([0.02, 0.1, 1.0, 2.0], True)
    assert wide.at(0.02) == HEIGHT - EDGE
    assert wide.at(2.0) == EDGE
    assert not scale_of([0.0, 1.0]).logarithmic
    assert scale_of([3.0]).at(3.0) <= HEIGHT


def test_names_give_way_and_stay_inside() -> None:
    assert apart([10, 12, 100]) == [10, 10 + LABEL, 100]
    low = apart([HEIGHT - 20, HEIGHT - 19, HEIGHT - 18])
    assert low[-1] == HEIGHT - 4
    assert low[1] - low[0] == low[2] - low[1] == LABEL
    assert apart([]) == []


def test_an_order_that_lacks_a_tap_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    write_json(tmp_path / "data/features/photos/alexnet_conv/stats.json", {"order": ["conv5"], "taps": {}})
    with pytest.raises(UserError, match=r"stats\.json.* conv2: run extract again"):
        read(folders(tmp_path), GROUPS)


def test_training_and_validation_are_curves_of_one_panel(tmp_path: Path) -> None:
    write(tmp_path)
    write_model(tmp_path, "deep")
    write_model(tmp_path, "foreign")
    assert read(folders(tmp_path), GROUPS).trained == {}, "a recipe is no decoder that has its name"
    relate(tmp_path, "deep", family="decoder")
    trained = read(folders(tmp_path), GROUPS).trained
    assert list(trained) == ["deep"]
    drawn = training("deep", trained["deep"])
    assert drawn.curves == ["training", "validation", "baseline: own mean"]

    def shades(panel: Panel) -> list[str]:
        return re.findall(r"shade-(\d)", panel.svg)

    assert {panel.title: shades(panel) for panel in drawn.panels} == {"loss": ["0", "1"], "psnr": ["1", "2"]}
    assert [panel.title for panel in drawn.others] == ["learning_rate"]


def test_jpegs_are_shown_as_they_are_and_progress_comes_first(tmp_path: Path) -> None:
    write(tmp_path)
    relate(tmp_path, "deep", family="decoder")
    folder = write_model(tmp_path, "deep", picture="samples.png")
    (one,) = read(folders(tmp_path), GROUPS).trained.values()
    assert one.image == folder / "samples.png"
    write_model(tmp_path, "deep")
    (one,) = read(folders(tmp_path), GROUPS).trained.values()
    assert one.image == folder / "progress.jpg"
    shown = embedded_image(one.image)
    assert shown.uri.startswith("data:image/jpeg;base64,")
    assert (shown.width, shown.height) == Image.open(one.image).size == (62, 20)
    assert embedded_image(folder / "samples.png").uri.startswith("data:image/webp")


def test_surrogates_tell_what_they_are_worth(tmp_path: Path) -> None:
    write(tmp_path)
    config = {"network": "alexnet_conv", "taps": ["conv4", "conv5"], "target": {"network": "resnet50", "tap": "pool"}}
    reached = {"similarity": 0.58, "floor_nearest": 0.42, "floor_mean": 0.53}
    card = {"name": "told", "config": config, "data": {"val": 24}, "metrics": reached}
    write_json(tmp_path / "models/surrogate/told/model.json", card)
    page = render(read(folders(tmp_path), GROUPS), Report(pictures=2), 0.95)
    row = page[page.index("Surrogate embeddings") :].split("</table>")[0]
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", row)
    assert cells == ["told", "alexnet_conv conv4+conv5", "resnet50 pool", "24", "0.580", "0.420", "0.530"]
