"""Everything the report is made from: the tables and groups, read once; families read what is theirs from the folders."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from relume.core.errors import UserError
from relume.core.files import read_csv, read_json
from relume.core.results import Group, is_masked, read_group
from relume.report.columns import CLASSIFIER

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
Table = list[dict[str, str]]
Key = tuple[str, str, str, str, str]  # method, dataset, size, network, tap: identify a row of the leaderboard
KEY = ("method", "dataset", "size", "network", "tap")
RANK = "reid_rank_"  # columns of a group's scores, by network


def grouped(rows: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """In the order of their first row."""
    found: dict[K, list[T]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found


def key_of(row: Mapping[str, str]) -> Key:
    method, dataset, size, network, tap = (row[name] for name in KEY)
    return method, dataset, size, network, tap


@dataclass(frozen=True, kw_only=True)
class Folders:
    """The outputs of the earlier stages."""

    metrics: Path
    reconstructions: Path
    images: Path
    features: Path
    models: Path
    samples: Path


@dataclass(frozen=True, kw_only=True)
class Originals:
    name: str
    images: np.ndarray  # uint8 (N, H, W, 3), memory-mapped
    rows: dict[str, int]  # id -> row
    sources: dict[str, str]  # id -> source
    splits: dict[str, str]  # id -> split

    def image(self, id: str) -> np.ndarray:
        pixels: np.ndarray = self.images[self.rows[id]]
        return pixels


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One method's ranked images: of several restarts the one that the objective selected."""

    key: Key
    group: Group
    rows: dict[str, int] = field(default_factory=dict)  # id -> row of the group's images
    psnr: dict[str, float] = field(default_factory=dict)  # id -> dB
    ranks: dict[str, float] = field(default_factory=dict)  # id -> rank of its original, by the network that re-identifies

    @property
    def sheet(self) -> str:
        return "-".join(filter(None, self.key))


@dataclass(frozen=True, kw_only=True)
class ReportData:
    folders: Folders
    leaderboard: Table
    sets: Table
    comparisons: Table
    groups: list[Group]
    entries: dict[Key, Entry]
    taps: dict[tuple[str, str], list[str]]  # (dataset, network) -> its taps from shallow to deep
    shapes: dict[tuple[str, str, str], list[int]]  # (dataset, network, tap)
    families: Mapping[str, str]  # names for people
    _originals: dict[str, Originals] = field(default_factory=dict)

    def originals(self, dataset: str) -> Originals:
        if dataset not in self._originals:
            self._originals[dataset] = _originals(self.folders.images / dataset)
        return self._originals[dataset]

    def table(self, name: str) -> Table:
        """Of the metrics; empty where nothing was measured."""
        path = self.folders.metrics / f"{name}.csv"
        return read_csv(path) if path.is_file() else []


def read(folders: Folders, groups: Sequence[str], families: Mapping[str, str], classifier: str = "") -> ReportData:
    metrics = folders.metrics
    found = [read_group(folders.reconstructions / name) for name in groups]
    leaderboard = [{**row, CLASSIFIER: classifier} for row in read_csv(metrics / "leaderboard.csv")]
    shown = {key_of(row): row for row in leaderboard}
    entries: dict[Key, Entry] = {}
    for group in (one for one in found if not is_masked(one.folder)):
        entries |= _entries(group, metrics / "methods" / f"{group.name}.csv", shown)
    if not leaderboard and not any(is_masked(one.folder) for one in found):
        raise UserError(f"{metrics / 'leaderboard.csv'} has no rows: no group of images has been measured")
    unknown = [row["method"] for row in leaderboard if key_of(row) not in entries]
    if unknown:
        fault = f"none of the groups {', '.join(groups)} holds {', '.join(unknown)}"
        raise UserError(f"{metrics / 'leaderboard.csv'}: {fault}: run compare again")
    taps, shapes = _taps(folders.features, leaderboard)
    return ReportData(
        folders=folders,
        leaderboard=leaderboard,
        sets=read_csv(metrics / "sets.csv"),
        comparisons=read_csv(metrics / "comparisons.csv"),
        groups=found,
        entries=entries,
        taps=taps,
        shapes=shapes,
        families=families,
    )


def _taps(features: Path, leaderboard: Table) -> tuple[dict[tuple[str, str], list[str]], dict[tuple[str, str, str], list[int]]]:
    """Of the networks whose features were inverted: their order, and the shapes that are known."""
    pairs: dict[tuple[str, str], set[str]] = {}
    for row in (row for row in leaderboard if row["task"] == "feature" and row["network"]):
        pairs.setdefault((row["dataset"], row["network"]), set()).update(row["tap"].split("+"))
    orders: dict[tuple[str, str], list[str]] = {}
    shapes: dict[tuple[str, str, str], list[int]] = {}
    for pair, taps in pairs.items():
        path = features.joinpath(*pair, "stats.json")
        stats = read_json(path)
        orders[pair] = stats.get("order", [])
        if unknown := sorted(taps - set(orders[pair])):
            raise UserError(f"{path}: the order of the taps lacks {', '.join(unknown)}: run extract again")
        shapes |= {(*pair, tap): about["shape"] for tap, about in stats["taps"].items() if "shape" in about}
    return orders, shapes


def _entries(group: Group, scores: Path, shown: Mapping[Key, Mapping[str, str]]) -> dict[Key, Entry]:
    entries: dict[Key, Entry] = {}
    for number, row in enumerate(group.index):
        if row["selected"] == "true":
            entries.setdefault(key_of(row), Entry(key=key_of(row), group=group)).rows[row["id"]] = number
    for row in read_csv(scores):
        entry = entries.get(key_of(row)) if row["selected"] == "true" else None
        if entry is None:
            continue
        rank = f"{RANK}{shown.get(entry.key, {}).get('reid_net', '')}"
        found = ((entry.psnr, "psnr"), (entry.ranks, rank))
        for values, name in found:
            if row.get(name):
                values[row["id"]] = float(row[name])
    return entries


def _originals(folder: Path) -> Originals:
    index = read_csv(folder / "index.csv")
    read_json(folder / "manifest.json")  # written last: without it the dataset is incomplete
    return Originals(
        name=folder.name,
        images=np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False),
        rows={row["id"]: number for number, row in enumerate(index)},
        sources={row["id"]: row["source"] for row in index},
        splits={row["id"]: row["split"] for row in index},
    )
