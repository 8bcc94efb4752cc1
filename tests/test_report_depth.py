"""Charts by depth, effort and network whose places are known by hand; the order of taps; training curves."""

import re
from pathlib import Path

import pytest
from PIL import Image

from relume.core.errors import UserError
from relume.core.files import write_json
from relume.report.config import Report
from relume.report.convergence import convergence
from relume.report.data import ReportData, read
from relume.report.depth import Depths, depth_panels, depths, table
from relume.report.findings import depth_trend
from relume.report.images import embedded_image
from relume.report.leaderboards import Leaderboard, Result, leaderboards
from relume.report.metric_checks import correlation_matrices, degradation_test
from relume.report.networks import leakage, network_plots
from relume.report.page import render
from relume.report.plots import EDGE, HEIGHT, Point, Series, XAxis, plot, scale_of
from relume.report.training import training
from relume.report.viewer import viewer_groups
from tests.contract_files import GROUPS, write
from tests.report_files import FLOORS, folders, line, write_measures, write_model

TAPS_OF_TWO = {("d", "net"): ["a", "b", "c"], ("d", "vgg16_conv"): ["p", "q"]}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ReportData:
    root = write(tmp_path_factory.mktemp("plots"))
    write_measures(root)
    return read(folders(root), GROUPS)


@pytest.fixture(scope="module")
def page(data: ReportData) -> str:
    return render(data, Report(pictures=1), 0.95)


def series(*pairs: tuple[float, float], name: str = "x", label: str = "") -> Series:
    return Series(name=name, shade=0, label=label, points=[Point(x=x, y=y, description=f"{x:g} gives {y:g}") for x, y in pairs])


def test_a_curve_on_a_logarithmic_axis_by_hand() -> None:
    """1, 10, 100: left, middle and right of what the frame leaves free; 0 to 5 from bottom to top."""
    drawn = plot("p", "t", [series((1, 0), (10, 2.5), (100, 5))], axis=XAxis(title="steps", logarithmic=True))
    marks = re.findall(r'<svg x="([\d.]+)%" y="([\d.]+)"', drawn.svg)
    middle = f"{HEIGHT / 2:.1f}"
    assert marks == [("4.00", f"{HEIGHT - EDGE:.1f}"), ("49.00", middle), ("94.00", f"{EDGE:.1f}")]
    assert re.findall(r'text-anchor="middle">([^<]*)', drawn.svg) == ["1", "10", "100"]
    assert "x: 1 gives 0; 10 gives 2.5; 100 gives 5." in drawn.svg
    assert len(re.findall('class="line"', drawn.svg)) == 2
    finer = plot("p", "t", [series((3, 1), (30, 2))], axis=XAxis(title="steps", logarithmic=True))
    assert re.findall(r'text-anchor="middle">([^<]*)', finer.svg) == ["5", "10", "20"], "less than two decades"


def test_all_methods_in_one_plot(data: ReportData) -> None:
    (board,) = leaderboards(data.leaderboard)
    found = convergence(data, board)
    assert [one.x_axis.title.split(",")[0] for one in found] == ["steps", "seconds per image"] * 2
    assert [one.name for one in found[0].series] == ["shallow, conv2 of alexnet_conv", "deep, conv5 of alexnet_conv"]
    assert "deep, step 300: " in found[0].svg
    assert [point.x for point in found[1].series[0].points] == [0.02, 0.2, 2, 6]
    assert "dataset mean" in found[0].level_names


def test_networks_side_by_side_and_no_judge_of_its_own() -> None:
    found = {"reid_net": "eye pool", "reid_n": "50"}
    methods = [
        line(method="x", network="net", tap="a", psnr="20", lpips_vgg="0.2", reid_top1="0.9", **found),
        line(method="y", network="net", tap="c", psnr="14", lpips_vgg="0.5", reid_top1="0.3", **found),
        line(method="z", network="net", tap="c", psnr="12", lpips_vgg="0.4", reid_top1="0.6", **found),
        line(method="cheat", network="net", tap="c", psnr="50", oracle="true", lpips_vgg="0.01", reid_top1="1", **found),
        line(method="v", network="vgg16_conv", tap="q", psnr="15", lpips_vgg="0.1", reid_top1="1", reid_net="vgg16 q"),
    ]
    (board,) = leaderboards([*FLOORS, *methods])
    there = depths(board, TAPS_OF_TWO)
    psnr, lpips = network_plots(board, there, TAPS_OF_TWO)
    assert [one.name for one in psnr.series] == ["net", "vgg16_conv"]
    assert [point.y for point in psnr.series[0].points] == [20, 14]
    assert [(one.name, [point.y for point in one.points]) for one in lpips.series] == [("net", [0.2, 0.4])]
    curve = leakage(board, there, TAPS_OF_TWO)
    assert curve is not None
    assert [[point.y for point in one.points] for one in curve.series] == [[0.9, 0.6]]
    assert "chance, 1 in 50" in curve.level_names
    assert "level: chance, 1 in 50 0.02" in curve.svg


def test_correlations_are_a_square_with_signs() -> None:
    rows = [{"metric_a": "psnr", "metric_b": "ssim", "spearman": "0.9", "lo": "0.8", "hi": "0.95"}]
    rows += [{"metric_a": "lpips_vgg", "metric_b": "psnr", "spearman": "-0.5", "lo": "", "hi": ""}]
    (heat,) = correlation_matrices([{"level": "picture", "n": "12"} | row for row in rows])
    assert [[cell.text for cell in cells] for _, cells in heat.rows] == [
        ["", "0.90", "\N{MINUS SIGN}0.50"],
        ["0.90", "", "–"],
        ["\N{MINUS SIGN}0.50", "–", ""],
    ]
    assert all(part in heat.rows[0][1][1].description for part in ("n = 12", "0.80 to 0.95"))
    assert re.findall(r"\(([\d.]+)\)", heat.extremes) == ["0.90", "0.50"]


def test_ladders_name_what_is_out_of_order(data: ReportData) -> None:
    found = degradation_test(data.self_test)
    assert found is not None
    assert all(part in found.text for part in ("3 of 4", "SSIM: noise"))
    assert [(one.title, len(one.series)) for one in found.plots] == [("PSNR, dB ↑", 2), ("SSIM ↑", 2)]
    assert [point.hollow for point in found.plots[1].series[1].points] == [True] * 3


def test_the_picture_itself_and_its_floors_are_levels(data: ReportData) -> None:
    none = {"metric": "ssim", "degradation": "none", "strength": "0", "mean": "1", "lo": "", "hi": "", "ordered": "true"}
    floors = [none | {"degradation": "floor", "strength": str(at), "mean": str(0.4 - at / 10)} for at in (1, 2)]
    found = degradation_test([*data.self_test, none, none | {"metric": "psnr", "mean": "inf"}, *floors])
    assert found is not None
    assert [[(rule.name, rule.value) for rule in one.levels] for one in found.plots] == [
        [],
        [("itself", 1.0), ("own mean", 0.4 - 1 / 10), ("dataset mean", 0.4 - 2 / 10)],
    ]
    assert {one.name for one in found.legend} == {"blur", "noise"}


def test_what_was_not_measured_is_left_out(page: str, tmp_path: Path) -> None:
    bare = render(read(folders(write(tmp_path)), GROUPS), Report(pictures=1), 0.95)
    for name in ('id="convergence"', 'id="metrics"', "Leakage"):
        assert name in page
        assert name not in bare


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
    assert depths(board(method("x", "stem", 15, network="")), TAPS) == [], "without features there is no depth"


def test_a_curve_is_the_best_of_a_family_and_oracles_are_apart() -> None:
    methods = [method("weak", "stem", 14), method("strong", "stem", 16), method("deep", "head", 13)]
    methods += [method("cheat", "stem", 30, oracle="true"), method("slow", "head", 12, family="optimise")]
    (found,) = depths(board(*methods), TAPS)
    told = [(one.name, [best.method for best in one.best.values()]) for one in found.curves]
    assert told == [("decoder", ["strong", "deep"]), ("decoder, oracle", ["cheat"]), ("optimise", ["slow"])]
    assert [one.method for one in found.curves[0].others] == ["weak"]
    places = [(row["place"], row["method"], row["depth"]) for row in table([found])]
    assert {("net 01 stem, decoder", "strong", 1), ("net 02 head, optimise", "slow", 2)} <= set(places)


def test_a_descent_says_where_it_does_not_go_down() -> None:
    def text(*values: float) -> str:
        found = board(*(method(tap, tap, value) for tap, value in zip(ORDER, values, strict=False)))
        return depth_trend(found, depths(found, TAPS)[0].curves[0])

    assert all(part in text(20, 15.04, 11) for part in ("20.0 dB at stem", "15.0 dB at stage2", "1.0 dB below"))
    assert all(part in text(20, 14, 15) for part in ("stage10 is not below stage2", "3.0 dB above"))
    assert "step" not in text(20)


def test_routes_go_from_shallow_to_deep_and_end_at_floors() -> None:
    def stop(name: str, psnr: str, tap: str = "", network: str = "net", family: str = "optimise") -> Result:
        cells = {"method": name, "psnr": psnr, "tap": tap, "network": network, "family": family}
        return Result(key=(name, "d", "32", network, tap), cells=cells, baseline=family == "floor")

    lines = [stop("x", "20", "b"), stop("floor", "19", network="", family="floor"), stop("y", "9", "a"), stop("z", "21", "b")]
    net, floors = viewer_groups([*lines, stop("w", "8", "a")], [Depths(network="net", places=["a", "b"], curves=[])])
    assert [(item.result.method, item.cell) for item in net.items] == [("y", 3), ("w", 5), ("z", 4), ("x", 1)]
    assert [(item.result.name, item.caption) for item in (net.items[0], *floors.items)] == [("y@net.a", "a"), ("floor", "floor")]


def test_the_chart_stands_where_the_numbers_say() -> None:
    found = board(method("a", "stem", 20, psnr_lo="19", psnr_hi="21"), method("b", "head", 10), method("c", "logits", 15))
    (panel,) = depth_panels(found, depths(found, TAPS)[0])  # nothing but PSNR was measured
    middle, top, bottom = HEIGHT / 2, EDGE, HEIGHT - EDGE
    assert re.findall(r'y="[\d.]+">([^<]*)<', panel.plot.y_axis) == ["10", "12", "14", "16", "18", "20", "22"]
    at = {value: round(bottom - (bottom - top) * (value - 10) / 12, 1) for value in (10, 15, 19, 20, 21)}
    places = [(float(x), float(y)) for x, y in re.findall(r'<svg x="([\d.]+)%" y="([\d.]+)"', panel.plot.svg)]
    assert places == [(16.67, at[20]), (50.0, at[10]), (83.33, at[15])]
    assert f'y1="{at[19]}" y2="{at[21]}"' in panel.plot.svg
    kinds = ('class="line"', 'class="baseline-line"', 'class="baseline-line dotted"')
    assert [panel.plot.svg.count(kind) for kind in kinds] == [2, 1, 2]
    assert re.findall(r'y="[\d.]+">([^<]*)<', panel.plot.level_names) == ["blocks", "own", "mean"]
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
    trained = read(folders(tmp_path), GROUPS).trained
    assert list(trained) == ["deep"]
    assert trained["deep"].image == folder / "samples.png"
    drawn = training("deep", trained["deep"])
    assert drawn.curves == ["training", "validation", "baseline: own mean"]
    shades = {panel.title: re.findall(r"shade-(\d)", panel.svg) for panel in drawn.panels}
    assert shades == {"loss": ["0", "1"], "psnr": ["1", "2"]}
    assert [panel.title for panel in drawn.others] == ["learning_rate"]
    write_model(tmp_path, "deep")
    (one,) = read(folders(tmp_path), GROUPS).trained.values()
    assert one.image == folder / "progress.jpg", "progress comes first"
    shown = embedded_image(one.image)
    assert shown.uri.startswith("data:image/jpeg;base64,")
    assert (shown.width, shown.height) == Image.open(one.image).size == (62, 20)
    assert embedded_image(folder / "samples.png").uri.startswith("data:image/webp")
