"""What a masked group holds, ready to be drawn: whose pictures these are, under which masks, and the ways that led to them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from relume.core.errors import UserError
from relume.core.files import read_csv
from relume.core.masked_results import RATIO, read_masked_group
from relume.core.results import Descent, Group, read_descent

Cells = dict[str, str]
Share = tuple[str, str, str, str]  # method, dataset, size, mask_ratio: what a row of masked.csv is about


def share_of(row: Cells) -> Share:
    return row["method"], row["dataset"], row["size"], row[RATIO]


def percent(ratio: str) -> str:
    """0.855 -> 85.5%: shares that differ are not written alike."""
    return f"{100 * float(ratio):g}%"


@dataclass(frozen=True, kw_only=True)
class Filling:
    """One group."""

    group: Group
    masks: np.ndarray  # bool (N, side, side)
    rows: dict[Share, dict[str, int]]  # id -> row of the group's images
    psnr: dict[Share, dict[str, float]]  # id -> dB over hidden pixels
    floors: set[str]  # the methods among them that have learned nothing
    descent: Descent
    trace: list[Cells]

    @property
    def methods(self) -> list[str]:
        return list(dict.fromkeys(share[0] for share in self.rows))

    @property
    def hides(self) -> str:
        """How its masks are made, in words; empty where the group does not say."""
        config = self.group.method.get("config", {})
        return f"{config['pattern']} masks in cells of {config['cell']} px" if {"pattern", "cell"} <= config.keys() else ""


def filling(folder: Path, scores: Path) -> Filling:
    group, masks = read_masked_group(folder)
    rows: dict[Share, dict[str, int]] = {}
    psnr: dict[Share, dict[str, float]] = {}
    for number, row in enumerate(group.index):
        rows.setdefault(share_of(row), {})[row["id"]] = number
    for row in read_csv(scores):
        if row.get("psnr_masked"):
            psnr.setdefault(share_of(row), {})[row["id"]] = float(row["psnr_masked"])
    return Filling(
        group=group,
        masks=masks,
        rows=rows,
        psnr=psnr,
        floors={row["method"] for row in group.index if row["family"] == "floor"},
        descent=read_descent(folder),
        trace=read_csv(folder / "trace.csv"),
    )


def agree(table: list[Cells], fillings: list[Filling], path: Path) -> None:
    """Table and groups speak of the same methods, or compare has not seen these groups."""
    there, told = {share for one in fillings for share in one.rows}, {share_of(row) for row in table}
    if there != told:
        method, dataset, size, ratio = min(there ^ told)
        which = "no group holds" if (method, dataset, size, ratio) in told else "there is no row of"
        raise UserError(f"{path}: {which} {method} on {dataset} at {size} px, {ratio} hidden: run compare again")
