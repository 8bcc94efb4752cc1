"""A masked group as read for the report: its images, masks, scores, and the energy descents."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from relume.core.errors import UserError
from relume.core.files import read_csv
from relume.core.results import RATIO, Descent, Group, read_descent, read_masked_group

Cells = dict[str, str]
MaskedKey = tuple[str, str, str, str]  # method, dataset, size, mask_ratio: identify a row of masked.csv


def masked_key(row: Cells) -> MaskedKey:
    return row["method"], row["dataset"], row["size"], row[RATIO]


def percent(ratio: str) -> str:
    """0.855 -> 85.5%: different ratios have different texts."""
    return f"{100 * float(ratio):g}%"


@dataclass(frozen=True, kw_only=True)
class MaskedGroup:
    group: Group
    masks: np.ndarray  # bool (N, side, side)
    rows: dict[MaskedKey, dict[str, int]]  # id -> row of the group's images
    psnr: dict[MaskedKey, dict[str, float]]  # id -> dB over hidden pixels
    baselines: set[str]  # the methods among them that learned nothing
    descent: Descent
    trace: list[Cells]

    @property
    def methods(self) -> list[str]:
        return list(dict.fromkeys(key[0] for key in self.rows))

    @property
    def masking(self) -> str:
        """How the masks are made; empty where the group does not say."""
        config = self.group.method.get("config", {})
        return f"{config['pattern']} masks in cells of {config['cell']} px" if {"pattern", "cell"} <= config.keys() else ""


def read_masked(folder: Path, scores: Path) -> MaskedGroup:
    group, masks = read_masked_group(folder)
    rows: dict[MaskedKey, dict[str, int]] = {}
    psnr: dict[MaskedKey, dict[str, float]] = {}
    for number, row in enumerate(group.index):
        rows.setdefault(masked_key(row), {})[row["id"]] = number
    for row in read_csv(scores):
        if row.get("psnr_masked"):
            psnr.setdefault(masked_key(row), {})[row["id"]] = float(row["psnr_masked"])
    return MaskedGroup(
        group=group,
        masks=masks,
        rows=rows,
        psnr=psnr,
        baselines={row["method"] for row in group.index if row["family"] == "floor"},
        descent=read_descent(folder),
        trace=read_csv(folder / "trace.csv"),
    )


def check_masked(table: list[Cells], groups: list[MaskedGroup], path: Path) -> None:
    """The table and the groups have the same methods. If not, compare has not read these groups."""
    held, listed = {key for one in groups for key in one.rows}, {masked_key(row) for row in table}
    if held != listed:
        method, dataset, size, ratio = key = min(held ^ listed)
        fault = "no group holds" if key in listed else "there is no row of"
        raise UserError(f"{path}: {fault} {method} on {dataset} at {size} px, mask ratio {ratio}: run compare again")
