"""Plots of all methods, networks and metrics: places known by hand, what chance would find, what is left out."""

import re
from pathlib import Path

import pytest

from relume.report.config import Report
from relume.report.convergence import convergence
from relume.report.data import ReportData, read
from relume.report.depth import depths
from relume.report.leaderboards import leaderboards
from relume.report.metric_checks import correlation_matrices, degradation_test
from relume.report.networks import depth, leakage, network_plots
from relume.report.page import render
from relume.report.plots import EDGE, HEIGHT, Level, Point, Series, XAxis, plot
from tests.contract_files import GROUPS, write
from tests.report_browser import browser, dom, says
from tests.report_files import folders, write_measures
from tests.test_report_words import FLOORS, line

TAPS = {("d", "net"): ["a", "b", "c"], ("d", "vgg16_conv"): ["p", "q"]}


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


def test_less_than_two_decades_have_finer_marks() -> None:
    drawn = plot("p", "t", [series((3, 1), (30, 2))], axis=XAxis(title="steps", logarithmic=True))
    assert re.findall(r'text-anchor="middle">([^<]*)', drawn.svg) == ["5", "10", "20"]


def test_labels_at_one_place_do_not_cover_each_other() -> None:
    ends = [series((1, 5 + 0.01 * number), name=str(number), label=str(number)) for number in range(4)]
    drawn = plot("p", "t", [*ends, series((1, 0), (9, 10))], axis=XAxis(title="n"), levels=[Level(name="low", value=1)])
    heights = sorted(float(y) for y in re.findall(r'class="label[^>]* y="([\d.]+)"', drawn.svg))
    assert len(heights) == 4
    assert min(b - a for a, b in zip(heights, heights[1:], strict=False)) >= 10
    assert "level: low 1" in drawn.svg


def test_all_methods_in_one_plot(data: ReportData) -> None:
    (board,) = leaderboards(data.leaderboard)
    found = convergence(data, board)
    assert [one.x_axis.title.split(",")[0] for one in found] == ["steps", "seconds per image"] * 2
    assert [one.name for one in found[0].series] == ["shallow, conv2 of alexnet_conv", "deep, conv5 of alexnet_conv"]
    assert "deep, step 300: " in found[0].svg
    assert [point.x for point in found[1].series[0].points] == [0.02, 0.2, 2, 6]
    assert "dataset mean" in found[0].level_names


def test_depth_is_a_share_of_the_taps() -> None:
    assert [depth(tap, ["a", "b", "c"]) for tap in "abc"] == [0, 0.5, 1]
    assert depth("a", ["a"]) == 0


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
    there = depths(board, TAPS)
    psnr, lpips = network_plots(board, there, TAPS)
    assert [one.name for one in psnr.series] == ["net", "vgg16_conv"]
    assert [point.y for point in psnr.series[0].points] == [20, 14]
    assert [(one.name, [point.y for point in one.points]) for one in lpips.series] == [("net", [0.2, 0.4])]
    curve = leakage(board, there, TAPS)
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
    assert heat.rows[0][1][1].description == "PSNR, dB and SSIM: n = 12, interval 0.80 to 0.95"
    assert heat.extremes == "Highest agreement: PSNR, dB and SSIM (0.90); lowest: LPIPS vgg and PSNR, dB (0.50)."


def test_ladders_name_what_is_out_of_order(data: ReportData) -> None:
    found = degradation_test(data.self_test)
    assert found is not None
    assert found.text == "3 of 4 degradation series are in order; exceptions: SSIM: noise."
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


@browser
def test_the_plots_fit_a_phone_and_are_named(page: str, tmp_path: Path) -> None:
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
