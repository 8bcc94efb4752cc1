"""Scores a group of reconstructions against its originals, image by image. LPIPS of masked groups uses the pasted image."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from relume.core.errors import UserError, one_of
from relume.core.images import to_float
from relume.core.results import KEYS, MASKS, RATIO, Group, read_group, read_masked_group
from relume.data.masks import hidden_cells
from relume.data.store import Dataset, batches
from relume.evaluation import masked
from relume.evaluation.config import Evaluate, Place
from relume.evaluation.metrics import METRICS, OF_MASKED, REID_N, REID_PAIRS
from relume.evaluation.perceptual import LPIPS_METRICS, FeatureExtractor, feature_error
from relume.evaluation.pixel import PIXEL
from relume.evaluation.views import View, cached, open_views
from relume.losses.perceptual import LPIPS_TAPS
from relume.networks.catalogue import check_tap
from relume.networks.store import Features

COLUMNS = (*KEYS, *METRICS)  # of metrics/methods/<group>.csv
MASKED_COLUMNS = (*KEYS, RATIO, *OF_MASKED)  # of masked groups
Scales = Mapping[tuple[str, str, str], Mapping[str, float]]  # (dataset, network, tap column) -> tap -> msd


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """Inputs for scoring the rows of a group."""

    datasets: Mapping[str, Dataset]
    extractor: FeatureExtractor
    scales: Scales
    metrics: Sequence[str]
    micro_batch: int
    device: torch.device
    views: Mapping[str, Sequence[View]] = field(default_factory=dict)  # by dataset: further networks; not for masked groups


def columns(config: Evaluate) -> tuple[str, ...]:
    """Columns of metrics/methods/<group>.csv, except for masked groups."""
    return (*COLUMNS, *(metric.name for metric, _ in config.views), *([REID_N, REID_PAIRS] if config.reid else []))


def with_views(scorer: Scorer, group: Group, config: Evaluate, features: Mapping[str, Path]) -> Scorer:
    """The scorer with metrics by further networks; `features`: dataset -> folder of cached features of candidates."""
    places = locate(group, scorer.datasets)
    views = {}
    for name, data in scorer.datasets.items():
        scored = dict.fromkeys(place for place, row in zip(places, group.index, strict=True) if row["dataset"] == name)
        scales = {(network, tap): scale for (dataset, network, tap), scale in scorer.scales.items() if dataset == name}
        look = partial(_candidates, data, scorer, features.get(name))
        views[name] = open_views(config, data, list(scored), look=look, scales=scales)
    return replace(scorer, views=views)


def _candidates(data: Dataset, scorer: Scorer, features: Path | None, place: Place, rows: Sequence[int]) -> Tensor:
    """Features (N, …) of these rows, cached or computed."""
    if (kept := cached(features, place, rows)) is not None:
        return kept.to(scorer.device)
    return scorer.extractor.embed(place, rows, data.pixels, scorer.micro_batch, scorer.device)


def read(folder: Path) -> tuple[Group, np.ndarray | None]:
    """A group, and its masks (N, side, side) if its index has mask ratios. Raises UserError for inconsistent masks."""
    group = read_group(folder)
    if not group.index or RATIO not in group.index[0]:
        return group, None
    group, masks = read_masked_group(folder)
    side, size = masks.shape[-1], group.images.shape[1]
    whole = masks.shape == (len(masks), side, side) and side > 1 and size % side == 0
    wanted = [hidden_cells(side, float(row[RATIO])) for row in group.index] if whole else []
    if masks.reshape(len(masks), -1).sum(1).tolist() != wanted:
        raise UserError(
            f"{folder / MASKS} does not match the mask ratios of index.csv for images of {size} px: run its stage again"
        )
    return group, masks


def score(
    group: Group, scorer: Scorer, report: Callable[[int], object] = lambda done: None, *, masks: np.ndarray | None = None
) -> list[dict[str, object]]:
    """One row of COLUMNS (with `masks`: MASKED_COLUMNS) per image, in the group's order. Features of each original are
    computed once. `report` gets the number of further images done."""
    keys = KEYS if masks is None else (*KEYS, RATIO)
    places = locate(group, scorer.datasets)
    scored: dict[int, dict[str, float]] = {}
    for dataset, originals, numbers in _chunks(group, places, scorer.micro_batch):
        y = scorer.datasets[dataset].pixels(originals).to(scorer.device)
        rows = [group.index[number] for number in numbers]
        target = scorer.extractor.look(y, _networks(scorer, rows, () if masks is not None else scorer.views.get(dataset, ())))
        for batch in _batches(group, numbers, scorer.micro_batch):
            where = torch.tensor([originals.index(places[number]) for number in batch], device=y.device)
            x = to_float(group.images[batch]).to(scorer.device)
            if masks is None:
                measured = _measure(group.index[batch[0]], x, y, target, where, scorer=scorer, originals=originals)
            else:
                measured = _measure_masked(x, torch.from_numpy(masks[batch]).to(y.device), y, target, where, scorer)
            for metric, values in measured.items():
                for number, value in zip(batch, values.tolist(), strict=True):
                    scored.setdefault(number, {})[metric] = value
            report(len(batch))
    return [{**{key: row[key] for key in keys}, **scored[number]} for number, row in enumerate(group.index)]


def _measure(
    row: Mapping[str, str],
    x: Tensor,
    y: Tensor,
    target: Mapping[str, Mapping[str, Tensor]],
    where: Tensor,
    *,
    scorer: Scorer,
    originals: Sequence[int],
) -> dict[str, Tensor]:
    """Each metric of a batch, (N,). All rows share `row`'s network and tap; `where` finds the originals in y and `originals`."""
    views = scorer.views.get(row["dataset"], ())
    seen = scorer.extractor.look(x, _networks(scorer, [row], views))
    chosen = {network: {tap: target[network][tap][where] for tap in taps} for network, taps in seen.items()}
    values = {}
    for metric in scorer.metrics:
        if metric in PIXEL:
            values[metric] = PIXEL[metric](x, y[where])
        elif metric in LPIPS_METRICS:
            values[metric] = scorer.extractor.lpips(metric, seen, chosen)
        elif row["network"]:
            scales = scorer.scales[row["dataset"], row["network"], row["tap"]]
            values[metric] = feature_error(seen[row["network"]], chosen[row["network"]], scales)
    rows = [originals[at] for at in where.tolist()]
    values |= {view.name: view.measure(seen[view.network][view.tap], chosen[view.network][view.tap], rows) for view in views}
    return values


def _measure_masked(
    x: Tensor, hidden: Tensor, y: Tensor, target: Mapping[str, Mapping[str, Tensor]], where: Tensor, scorer: Scorer
) -> dict[str, Tensor]:
    """Each metric of a batch of predictions x with `hidden` (N, side, side), (N,)."""
    originals = y[where]
    seen = scorer.extractor.look(masked.paste(x, originals, hidden), target)
    chosen = {network: {tap: target[network][tap][where] for tap in taps} for network, taps in seen.items()}
    perceptual = [metric for metric in scorer.metrics if metric in LPIPS_METRICS]
    return masked.score(x, originals, hidden) | {metric: scorer.extractor.lpips(metric, seen, chosen) for metric in perceptual}


def _networks(scorer: Scorer, rows: Sequence[Mapping[str, str]], views: Sequence[View]) -> list[str]:
    """The networks that these rows need, each once."""
    found = [LPIPS_TAPS[kind][0] for metric, kind in LPIPS_METRICS.items() if metric in scorer.metrics]
    found += [view.network for view in views]
    if "feature_error" in scorer.metrics:
        found += [row["network"] for row in rows if row["network"]]
    return list(dict.fromkeys(found))


def _chunks(group: Group, places: Sequence[int], size: int) -> Iterator[tuple[str, list[int], list[int]]]:
    """(dataset, up to `size` of its originals, the group's rows that reconstruct them)."""
    wanted: dict[str, dict[int, list[int]]] = {}
    for number, (row, place) in enumerate(zip(group.index, places, strict=True)):
        wanted.setdefault(row["dataset"], {}).setdefault(place, []).append(number)
    for dataset, numbers in wanted.items():
        originals = list(numbers)
        for chunk in batches(originals, size):
            yield dataset, chunk, [number for original in chunk for number in numbers[original]]


def _batches(group: Group, numbers: Sequence[int], size: int) -> Iterator[list[int]]:
    """Rows of one inverted network and tap, at most `size` each."""
    by_tap: dict[tuple[str, str], list[int]] = {}
    for number in numbers:
        by_tap.setdefault((group.index[number]["network"], group.index[number]["tap"]), []).append(number)
    for same in by_tap.values():
        yield from batches(same, size)


def locate(group: Group, datasets: Mapping[str, Dataset]) -> list[int]:
    """Each row's original, as a row number of its dataset. Raises UserError for rows that cannot be scored."""
    numbers = {name: {row["id"]: number for number, row in enumerate(data.index)} for name, data in datasets.items()}
    places, seen = [], set()
    for line, row in enumerate(group.index, start=2):  # line 1 is the header
        here = f"{group.folder / 'index.csv'}, line {line}"
        if row["dataset"] not in datasets:
            raise UserError(f"{here}: dataset {row['dataset']!r} was not given; {one_of(datasets, row['dataset'])}")
        size = datasets[row["dataset"]].size
        if row["size"] != str(size) or group.images.shape[1:] != (size, size, 3):
            found = f"size {row['size']}, pictures {group.images.shape[1:]}"
            raise UserError(f"{here}: {found}; dataset {row['dataset']} has {size} px")
        if row["id"] not in numbers[row["dataset"]]:
            raise UserError(f"{here}: id {row['id']!r} is not in dataset {row['dataset']}: run the group's stage again")
        key = tuple(row.get(name, "") for name in ("method", "id", "dataset", "network", "tap", "restart", RATIO))
        if key in seen:
            raise UserError(f"{here}: a second row of {', '.join(filter(None, key))}")
        seen.add(key)
        places.append(numbers[row["dataset"]][row["id"]])
    return places


def inverted(group: Group) -> list[tuple[str, str, str]]:
    """(dataset, network, tap column) of every kind of feature that the group inverts, checked against the catalogue."""
    found = dict.fromkeys((row["dataset"], row["network"], row["tap"]) for row in group.index if row["network"])
    for _, network, tap in found:
        for name in tap.split("+"):
            check_tap(network, name)
    return list(found)


def read_scales(kinds: Sequence[tuple[str, str, str]], features: Mapping[str, Path]) -> Scales:
    """The mean squared deviations that feature errors are divided by; `features`: dataset -> folder of its networks."""
    scales = {}
    for dataset, network, tap in kinds:
        if dataset not in features:
            raise UserError(f"features of dataset {dataset} were not given; {one_of(features, dataset)}")
        folder = Features.open(features[dataset] / network)
        scales[dataset, network, tap] = {name: float(folder.stats(name)["msd"]) for name in tap.split("+")}
    return scales
