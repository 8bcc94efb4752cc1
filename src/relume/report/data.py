"""Everything the report is made from, read once: the tables, the groups' files, the originals."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from relume.core.errors import UserError
from relume.core.files import read_csv, read_json
from relume.core.results import Group, is_masked, read_group
from relume.core.samples import Samples, read_samples
from relume.report import surrogates
from relume.report.masked_groups import MaskedGroup, check_masked, read_masked
from relume.report.provenance import Model, read_models

Table = list[dict[str, str]]
Key = tuple[str, str, str, str, str]  # method, dataset, size, network, tap: identify a row of the leaderboard
KEY = ("method", "dataset", "size", "network", "tap")
GAN = "gan"  # the kind of models, and of rows in sets.csv, whose images are samples
PROGRESS = ("progress.jpg", "samples.png")  # images of a training: the first that exists is shown


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


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The training record of a method's model."""

    card: dict[str, Any]  # model.json
    history: Table  # step, term, value
    image: Path | None


@dataclass(frozen=True, kw_only=True)
class ReportData:
    leaderboard: Table
    masked: Table
    sets: Table
    comparisons: Table
    groups: list[Group]
    entries: dict[Key, Entry]
    traces: dict[str, Table]  # by group
    paths: Table  # means after some of the steps; this and the next two may be empty
    correlations: Table
    self_test: Table
    originals: dict[str, Originals]  # by dataset
    taps: dict[tuple[str, str], list[str]]  # (dataset, network) -> its taps from shallow to deep
    trained: dict[str, Trained]  # models by name: a method's, or that of their samples
    masked_groups: list[MaskedGroup]  # have no entries
    samples: list[Samples]  # of the generators in sets.csv
    surrogates: Table
    maps: Path  # folder written by the stage `maps`
    models: list[Model]  # all models, of any kind


def read(folders: Folders, groups: Sequence[str]) -> ReportData:
    metrics = folders.metrics
    found = [read_group(folders.reconstructions / name) for name in groups]
    entries: dict[Key, Entry] = {}
    for group in (one for one in found if not is_masked(one.folder)):
        entries |= _entries(group, metrics / "methods" / f"{group.name}.csv")
    sets = read_csv(metrics / "sets.csv")
    samples = [read_samples(folders.samples / row["name"]) for row in sets if row["kind"] == GAN]
    datasets = dict.fromkeys(row["dataset"] for group in found for row in group.index)
    datasets |= dict.fromkeys(one.about.dataset for one in samples)
    leaderboard, masked = read_csv(metrics / "leaderboard.csv"), read_csv(metrics / "masked.csv")
    masked_groups = [read_masked(one.folder, metrics / "methods" / f"{one.name}.csv") for one in found if is_masked(one.folder)]
    check_masked(masked, masked_groups, metrics / "masked.csv")
    if not leaderboard and not masked_groups:
        raise UserError(f"{metrics / 'leaderboard.csv'} has no rows: no group of images has been measured")
    unknown = [row["method"] for row in leaderboard if key_of(row) not in entries]
    if unknown:
        fault = f"none of the groups {', '.join(groups)} holds {', '.join(unknown)}"
        raise UserError(f"{metrics / 'leaderboard.csv'}: {fault}: run compare again")
    methods = {row["method"] for row in leaderboard} | {method for one in masked_groups for method in one.methods}
    return ReportData(
        leaderboard=leaderboard,
        masked=masked,
        sets=sets,
        comparisons=read_csv(metrics / "comparisons.csv"),
        groups=found,
        entries=entries,
        traces={group.name: read_csv(group.folder / "trace.csv") for group in found},
        paths=_optional(metrics / "paths.csv"),
        correlations=_optional(metrics / "correlations.csv"),
        self_test=_optional(metrics / "self_test.csv"),
        originals={name: _originals(folders.images / name) for name in datasets},
        taps=_taps(folders.features, leaderboard),
        trained=_trained(folders.models, {*methods, *(one.about.name for one in samples)}),
        surrogates=surrogates.table(folders.models),
        samples=samples,
        maps=metrics / "maps",
        models=read_models(folders.models, metrics / "training"),
        masked_groups=masked_groups,
    )


def _optional(path: Path) -> Table:
    return read_csv(path) if path.is_file() else []


def _taps(features: Path, leaderboard: Table) -> dict[tuple[str, str], list[str]]:
    """Of the networks whose features were inverted."""
    pairs: dict[tuple[str, str], set[str]] = {}
    for row in (row for row in leaderboard if row["task"] == "feature" and row["network"]):
        pairs.setdefault((row["dataset"], row["network"]), set()).update(row["tap"].split("+"))
    return {pair: _order(features.joinpath(*pair, "stats.json"), taps) for pair, taps in pairs.items()}


def _trained(models: Path, names: Container[str]) -> dict[str, Trained]:
    """Models of these names, of any kind: names are unique. Downloaded weights have no history."""
    folders = [path.parent for path in sorted(models.glob("*/*/history.csv")) if path.parent.name in names]
    return {folder.name: _training(folder) for folder in folders}


def _training(folder: Path) -> Trained:
    images = [folder / name for name in PROGRESS if (folder / name).is_file()]
    return Trained(
        card=read_json(folder / "model.json"), history=read_csv(folder / "history.csv"), image=images[0] if images else None
    )


def _order(path: Path, taps: set[str]) -> list[str]:
    order: list[str] = read_json(path).get("order", [])
    if unknown := sorted(taps - set(order)):
        raise UserError(f"{path}: the order of the taps lacks {', '.join(unknown)}: run extract again")
    return order


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
    read_json(folder / "manifest.json")  # written last: without it the dataset is incomplete
    return Originals(
        name=folder.name,
        images=np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False),
        rows={row["id"]: number for number, row in enumerate(index)},
        sources={row["id"]: row["source"] for row in index},
        splits={row["id"]: row["split"] for row in index},
    )
