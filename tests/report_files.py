"""What the report reads beside `contract_files`: where its folders are, a model's training, feature maps taken away."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from relume.core.files import read_csv, write_csv, write_json
from relume.evaluation.defences import DEFENCES
from relume.report import families
from relume.report.data import Folders, ReportData, read
from relume.report.images import Drawing
from relume.report.page import Content, content
from tests.contract_files import COMPARISONS, GROUPS, LEADERBOARD, MAPS


def folders(root: Path) -> Folders:
    data = {name: root / "data" / name for name in ("reconstructions", "images", "features", "samples")}
    return Folders(metrics=root / "metrics", models=root / "models", **data)


def data_of(root: Path, groups: Sequence[str] = GROUPS) -> ReportData:
    return read(folders(root), groups, families.labels())


def content_of(root: Path, groups: Sequence[str] = GROUPS) -> Content:
    return content(drawing_of(root, groups))


def drawing_of(root: Path, groups: Sequence[str] = GROUPS) -> Drawing:
    return Drawing(data=data_of(root, groups), level="95%", count=4)


def write_model(root: Path, name: str) -> None:
    config = {"network": "alexnet_conv", "taps": ["conv5"], "training": {"steps": 40}}
    card = {"kind": "decoder", "name": name, "parameters": 1234, "best_step": 20, "config": config}
    card |= {"data": {"dataset": "photos", "train": 6, "val": 2}, "metrics": {"psnr": 14.0, "floor_own_mean": 12.0}}
    write_json(root / "models/decoder" / name / "model.json", card)


def line(**cells: str) -> dict[str, str]:
    """A row of the leaderboard."""
    row = dict.fromkeys(LEADERBOARD, "") | {"family": "optimise", "task": "feature", "oracle": "false", "dataset": "d"}
    return row | {"size": "32", "n": "4", "sources": "2"} | cells


FLOORS = [
    line(method="mean", family="floor", psnr="12"),
    line(method="own", family="floor", oracle="true", psnr="13"),
    line(method="blocks", family="floor", oracle="true", psnr="17"),
]


def comparison(**cells: str) -> dict[str, str]:
    return dict.fromkeys(COMPARISONS, "") | {"a": "x", "b": "y", "metric": "psnr", "dataset": "d", "size": "32"} | cells


def relate(root: Path, method: str, **cells: str) -> None:
    """These cells of the method's rows in the leaderboard."""
    board = root / "metrics/leaderboard.csv"
    rows = read_csv(board)
    write_csv(board, tuple(rows[0]), [row | cells if row["method"] == method else row for row in rows])


def write_maps(root: Path, decoder: str = "alexnet_conv3") -> Path:
    """8 maps in two groups; by contribution the first is all that matters, by activation both do alike."""
    common = {"decoder": decoder, "network": "alexnet_conv", "tap": "conv3", "dataset": "photos", "size": 32, "split": "test"}
    common |= {"fill": "mean", "n": 4, "sources": 2}
    rows: list[dict[str, object]] = [common | {"action": "intact", "channels": 8, "psnr": 20.0, "lpips_alex": 0.2}]
    for ranking, changes in (("activation", (-3.0, -3.0)), ("contribution", (-6.0, 0.25))):
        for action, channels in (("removed", (4, 4)), ("kept", (4, 4)), ("first", (4, 8))):
            for group in (1, 2):
                change = changes[group - 1 if action == "removed" else 2 - group]
                change = 0.0 if (action, group) == ("first", 2) else change
                row = {"ranking": ranking, "action": action, "group": group, "channels": channels[group - 1]}
                row |= {"psnr": 20 + change, "psnr_change": change, "psnr_change_lo": change - 1, "psnr_change_hi": change + 1}
                rows.append(common | row | {"lpips_alex": 0.3, "lpips_alex_change": 0.1})
    folder = root / "metrics/maps"
    write_csv(folder / "maps.csv", MAPS, rows)
    Image.fromarray(np.zeros((20, 62, 3), np.uint8)).save(folder / f"{decoder}.jpg")
    return folder


def write_defences(root: Path) -> None:
    """One bit saves at no cost; noise saves more, and costs all of retrieval."""
    about = {"network": "alexnet_conv", "tap": "conv5", "decoder": "d", "dataset": "photos", "chance": 0.1, "n": 4, "sources": 2}
    shares = {("none", 0): (1.0, 0.75), ("bits", 1): (0.5, 0.75), ("noise", 4): (0.25, 0.25)}
    rows = [
        {**about, "defence": defence, "strength": strength, "measure": measure, "value": value, "lo": value / 2, "hi": value}
        for (defence, strength), values in shares.items()
        for measure, value in zip(("embedding", "retrieval"), values, strict=True)
    ]
    write_csv(root / "metrics/defences.csv", DEFENCES, rows)


def write_measures(root: Path) -> None:
    """Pictures on the way, re-identification, correlations, and a ladder that SSIM does not put in order."""
    board = root / "metrics/leaderboard.csv"
    rows = read_csv(board)
    for row in rows:
        row |= {"reid_top1": "0.5", "reid_net": "efficientnet_lite0 pool", "reid_n": "40"}
    write_csv(board, tuple(rows[0]), rows)
    write_defences(root)
    keys = ("method", "task", "dataset", "size", "network", "tap", "n", "psnr", "lpips_vgg")
    way = [
        {**{key: row[key] for key in keys}, "step": step, "seconds": None if row["family"] == "floor" else step / 50}
        for row in rows
        for step in ((1,) if row["family"] == "floor" else (1, 10, 100, 300))
    ]
    write_csv(root / "metrics/paths.csv", (*keys, "step", "seconds"), way)
    pair = {
        "metric_a": "psnr",
        "metric_b": "ssim",
        "level": "picture",
        "task": "feature",
        "dataset": "photos",
        "size": 32,
        "n": 24,
        "spearman": 0.8,
        "lo": 0.7,
        "hi": 0.9,
    }
    write_csv(root / "metrics/correlations.csv", tuple(pair), [pair])
    rungs: list[dict[str, object]] = [
        {"metric": metric, "degradation": kind, "strength": strength, "mean": 1 / strength, "lo": 0.9 / strength}
        | {"hi": 1.1 / strength, "ordered": (metric, kind) != ("ssim", "noise")}
        for metric in ("psnr", "ssim")
        for kind in ("blur", "noise")
        for strength in (1, 2, 4)
    ]
    write_csv(root / "metrics/self_test.csv", tuple(rungs[0]), rungs)


def rows_of(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All data in a specification."""
    layers = [spec, *spec.get("layer", [])]
    return [row for one in layers if isinstance(one.get("data"), dict) for row in one["data"]["values"]]
