"""The inputs of `compare`: scored groups as cells, one per method and set of images."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from relume.core.errors import UserError, one_of
from relume.core.files import read_csv, read_json
from relume.core.results import METHOD_FILE, RATIO, TIMING_FILE, run_folder
from relume.evaluation.metrics import METRICS, OF_MASKED, SETS
from relume.evaluation.seen import Witness
from relume.evaluation.statistics import spread

IDENTITY = ("method", "family", "task", "oracle", "dataset", "size", "network", "tap")  # key of a cell
Table = list[dict[str, str]]
Record = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A method at one tap, on the images of one dataset at one size: a row of the leaderboard. If masked, at one ratio."""

    identity: Mapping[str, str]  # by IDENTITY, as in the files; for masked ones also mask_ratio
    ids: Sequence[str]  # sorted: one selected restart per original
    sources: Sequence[str]
    values: Mapping[str, np.ndarray]  # metric -> one value per id, NaN if not applicable
    spreads: Mapping[str, float]  # metric -> standard deviation over restarts; NaN without restarts
    seconds: float | None  # per image, sum over restarts
    device: str
    parameters: int | None = None  # of its model, if the group has it
    seen: frozenset[str] = frozenset()  # trunks of the networks that the method has used

    def __getitem__(self, key: str) -> str:
        return self.identity[key]

    @property
    def oracle(self) -> bool:
        return self["oracle"] == "true"

    @property
    def ratio(self) -> str:
        """The mask ratio, as in the files; empty if not masked."""
        return self.identity.get(RATIO, "")

    def applies(self, metric: str) -> bool:
        return metric in self.values and bool(np.isfinite(self.values[metric]).all())

    def mean(self, metric: str) -> float:
        return float(self.values[metric].mean())


def gather(
    groups: Sequence[str],
    *,
    methods: Path,
    reconstructions: Path,
    images: Path,
    models: Path | None = None,
    views: Sequence[str] = (),
) -> list[Cell]:
    """All cells of these groups, in the order of the tables. The folders are the roots. `views`: columns of further networks;
    `models`: their cards tell which networks a method has used."""
    _exactly(groups, methods, ".csv", "evaluate")
    _exactly(groups, reconstructions, "", "the stage of that group")
    cells: list[Cell] = []
    owner: dict[str, str] = {}
    sources: dict[str, dict[str, str]] = {}
    tables = {group: read_csv(methods / f"{group}.csv") for group in groups}
    described = {group: read_json(run_folder(reconstructions / group) / METHOD_FILE) for group in groups}
    known = {group: list(dict.fromkeys((row["method"], row["network"], row["tap"]) for row in tables[group])) for group in groups}
    witness = Witness(methods=described, rows=known, models=models)
    for group, rows in tables.items():
        for row in rows:
            # in one group only; masked methods per dataset and ratio
            name = f"{row['method']} on {row['dataset']} at {hidden(row[RATIO])}" if RATIO in row else row["method"]
            if owner.setdefault(name, group) != group:
                raise UserError(f"method {name} is in group {owner[name]} and in group {group}: rename one")
        for dataset in {row["dataset"] for row in rows} - sources.keys():
            sources[dataset] = {row["id"]: row["source"] for row in read_csv(images / dataset / "index.csv")}
        timing = read_csv(run_folder(reconstructions / group) / TIMING_FILE)
        found = _cells(rows, methods / f"{group}.csv", sources, timing, described[group], views)
        cells += [replace(cell, seen=witness.seen(group, cell["method"])) for cell in found]
    return sorted(cells, key=_rank)


def gather_sets(groups: Sequence[str], folder: Path, samples: Path | None = None) -> Table:
    """The rows of sets.csv, of groups and of generators' samples. Equal rows appear once."""
    _exactly(groups, folder, ".csv", "evaluate")
    files = [*(folder / f"{group}.csv" for group in groups), *([samples] if samples else [])]
    rows = [{key: row[key] for key in SETS} for file in files for row in read_csv(file)]
    return list({tuple(row.values()): row for row in rows}.values())


def gather_paths(groups: Sequence[str], folder: Path, reconstructions: Path) -> Table:
    """The rows of paths.csv: metrics of intermediate images, with the time."""
    _exactly(groups, folder, ".csv", "evaluate")
    rows: Table = []
    for group in groups:
        timing = read_csv(run_folder(reconstructions / group) / TIMING_FILE)
        count = Counter(row["method"] for row in read_csv(reconstructions / group / "index.csv") if row["selected"] == "true")
        for row in read_csv(folder / f"{group}.csv"):
            timed = [one for one in timing if one["method"] == row["method"]]
            steps, times = [int(one["step"]) for one in timed], [float(one["seconds"]) for one in timed]
            seconds = float(np.interp(int(row["step"]), steps, times)) if timed else None  # between timed steps
            rows.append({**row, "seconds": "" if seconds is None else f"{seconds / count[row['method']]:.7g}"})
    return rows


def hidden(ratio: str) -> str:
    """0.85 -> 85 % hidden"""
    return f"{100 * float(ratio):g} % hidden"


def _exactly(groups: Sequence[str], folder: Path, ending: str, stage: str) -> None:
    """Raises UserError unless the folder has exactly these groups; hidden files are ignored."""
    entries = folder.iterdir() if folder.is_dir() else ()
    names = {entry.name for entry in entries if not entry.name.startswith(".")}
    expected = {f"{group}{ending}" for group in groups}
    if missing := sorted(expected - names):
        raise UserError(f"{folder / missing[0]} is missing: {stage} has not run for it, or remove it from compare.groups")
    if foreign := sorted(names - expected):
        left = ", ".join(str(folder / name) for name in foreign)
        raise UserError(f"{left}: not in compare.groups ({', '.join(groups)}): add it there, or remove the files of an older run")


def _cells(
    rows: Table,
    path: Path,
    sources: Mapping[str, Mapping[str, str]],
    timing: Table,
    about: Mapping[str, Any],
    views: Sequence[str],
) -> Iterator[Cell]:
    masked = bool(rows) and RATIO in rows[0]
    identity, metrics = ((*IDENTITY, RATIO), OF_MASKED) if masked else (IDENTITY, (*METRICS, *views))
    apart: dict[tuple[str, ...], Table] = {}
    for row in rows:
        apart.setdefault(tuple(row[key] for key in identity), []).append(row)
    costs = {row["method"]: float(row["seconds"]) for row in timing}  # up to the last step
    pictures = Counter(row["method"] for row in rows if row["selected"] == "true")
    for key, members in apart.items():
        cell, method = dict(zip(identity, key, strict=True)), key[0]
        chosen = _chosen(members, f"{path}: {method}")
        everyone = [row["id"] for row in members]
        yield Cell(
            identity=cell,
            ids=[row["id"] for row in chosen],
            sources=[sources[cell["dataset"]][row["id"]] for row in chosen],
            values={metric: _numbers(chosen, metric) for metric in metrics},
            spreads={metric: spread(_numbers(members, metric), everyone) for metric in metrics},
            seconds=costs[method] / pictures[method] if method in costs else None,
            device=str(about.get("device", "")),
            parameters=about.get("parameters", {}).get(method),
        )


def _chosen(rows: Table, where: str) -> Table:
    """The selected restart of each image, by id."""
    chosen = sorted((row for row in rows if row["selected"] == "true"), key=lambda row: row["id"])
    ids = [row["id"] for row in chosen]
    if not ids:
        raise UserError(f"{where} has no selected image")
    if twice := [id for id, after in zip(ids, ids[1:], strict=False) if id == after]:
        raise UserError(f"{where} has several selected restarts of {twice[0]}")
    return chosen


def _numbers(rows: Sequence[Mapping[str, str]], column: str) -> np.ndarray:
    return np.array([float(row[column] or "nan") for row in rows])


def _rank(cell: Cell) -> tuple[object, ...]:
    """Best PSNR first, within a task, dataset, size and mask ratio."""
    name = "psnr_masked" if cell.ratio else "psnr"
    psnr = cell.mean(name) if cell.applies(name) else float("-inf")
    return (cell["task"], cell["dataset"], int(cell["size"]), float(cell.ratio or 0), -psnr, *cell.identity.values())


def find(cells: Sequence[Cell], method: str, asking: str) -> list[Cell]:
    """The cells of a method, for the question `asking`."""
    found = [cell for cell in cells if cell["method"] == method]
    if not found:
        known = {cell["method"] for cell in cells}
        raise UserError(f"params: {asking}: unknown method {method!r}; {one_of(known, method)}")
    return found
