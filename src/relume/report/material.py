"""All that the page is drawn from, read once: the tables, the groups' files, the originals. Only named files are opened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from relume.core.errors import UserError
from relume.core.files import read_csv, read_json
from relume.core.results import Group, read_group

Table = list[dict[str, str]]
Key = tuple[str, str, str, str, str]  # method, dataset, size, network, tap: what a row of the leaderboard is about
KEY = ("method", "dataset", "size", "network", "tap")


def key_of(row: Mapping[str, str]) -> Key:
    method, dataset, size, network, tap = (row[name] for name in KEY)
    return method, dataset, size, network, tap


@dataclass(frozen=True, kw_only=True)
class Originals:
    name: str
    images: np.ndarray  # uint8 (N, H, W, 3), memory-mapped
    rows: dict[str, int]  # id -> row
    sources: dict[str, str]  # id -> source


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One method's pictures, those that are ranked: of several restarts the one that the objective chose."""

    key: Key
    group: Group
    rows: dict[str, int] = field(default_factory=dict)  # id -> row of the group's images
    psnr: dict[str, float] = field(default_factory=dict)  # id -> dB


@dataclass(frozen=True, kw_only=True)
class Material:
    leaderboard: Table
    masked: Table
    sets: Table
    comparisons: Table
    groups: list[Group]
    entries: dict[Key, Entry]
    traces: dict[str, Table]  # by group
    originals: dict[str, Originals]  # by dataset


def read(metrics: Path, reconstructions: Path, images: Path, groups: Sequence[str]) -> Material:
    found = [read_group(reconstructions / name) for name in groups]
    entries: dict[Key, Entry] = {}
    for group in found:
        entries |= _entries(group, metrics / "methods" / f"{group.name}.csv")
    datasets = dict.fromkeys(row["dataset"] for group in found for row in group.index)
    leaderboard = read_csv(metrics / "leaderboard.csv")
    if not leaderboard:
        raise UserError(f"{metrics / 'leaderboard.csv'} has no rows: no group of pictures has been measured")
    unknown = [row["method"] for row in leaderboard if key_of(row) not in entries]
    if unknown:
        there = f"none of the groups {', '.join(groups)} holds"
        raise UserError(f"{metrics / 'leaderboard.csv'}: {there} {', '.join(unknown)}: run compare again")
    return Material(
        leaderboard=leaderboard,
        masked=read_csv(metrics / "masked.csv"),
        sets=read_csv(metrics / "sets.csv"),
        comparisons=read_csv(metrics / "comparisons.csv"),
        groups=found,
        entries=entries,
        traces={group.name: read_csv(group.folder / "trace.csv") for group in found},
        originals={name: _originals(images / name) for name in datasets},
    )


def _entries(group: Group, scores: Path) -> dict[Key, Entry]:
    entries: dict[Key, Entry] = {}
    for number, row in enumerate(group.index):
        if row["selected"] == "true":
            entries.setdefault(key_of(row), Entry(key=key_of(row), group=group)).rows[row["id"]] = number
    for row in read_csv(scores):
        if row["selected"] == "true" and row.get("psnr") and key_of(row) in entries:
            entries[key_of(row)].psnr[row["id"]] = float(row["psnr"])
    return entries


def _originals(folder: Path) -> Originals:
    index = read_csv(folder / "index.csv")
    read_json(folder / "manifest.json")  # written last: without it the dataset is not whole
    return Originals(
        name=folder.name,
        images=np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False),
        rows={row["id"]: number for number, row in enumerate(index)},
        sources={row["id"]: row["source"] for row in index},
    )
