"""Set metrics of samples: the distance to images of other sources (`split`) and to withheld training images. Baselines: training
images, and the same with shuffled patches, which keep only colours and texture. KID pairs images of different sources only; every
sample and withheld image has its own source."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from relume.core.files import sha256
from relume.core.images import to_float
from relume.core.runtime import generator
from relume.core.samples import IMAGES, Samples, read_samples
from relume.data.store import Dataset
from relume.evaluation.config import OWN, SAMPLE_BASELINES, ScoreSamples
from relume.evaluation.metrics import SETS
from relume.evaluation.sets import Cloud, MetricNetwork, Rows, apart, in_halves

SCORED = (*SETS, "sha256")  # of the scored samples; empty for baselines


def read_scored(folder: Path, config: ScoreSamples) -> dict[str, tuple[Samples, str]]:
    """Name -> samples and the checksum of their images. `folder`: data/samples."""
    return {name: (read_samples(folder / name), sha256(folder / name / IMAGES)) for name in config.models}


def sample_rows(
    found: Mapping[str, tuple[Samples, str]],
    datasets: Mapping[str, Dataset],
    metric_network: MetricNetwork,
    config: ScoreSamples,
    seed: int,
) -> Rows:
    """Rows of SCORED: per dataset the generators, the baselines, and the distance between halves of the real images."""
    names = dict.fromkeys(samples.about.dataset for samples, _ in found.values())
    return [row for name in names for row in _of_dataset(found, datasets[name], metric_network, config, seed)]


def _of_dataset(
    found: Mapping[str, tuple[Samples, str]], data: Dataset, metric_network: MetricNetwork, config: ScoreSamples, seed: int
) -> Rows:
    truth = _real(data, data.select(config.split), metric_network)
    made = {name: _made(one, metric_network, config.count) for name, (one, _) in found.items() if one.about.dataset == data.name}
    baselines = zip(SAMPLE_BASELINES, _floors(data, metric_network, config, seed), strict=True)
    floors = {f"{name}{data.name}": seen for name, seen in baselines}
    same = {"dataset": data.name, "net": metric_network.name}
    rows = [
        {"name": name, "kind": "gan", **same, **apart(seen, truth, seed), "sha256": found[name][1]} for name, seen in made.items()
    ]
    rows += [{"name": name, "kind": "floor", **same, **apart(seen, truth, seed)} for name, seen in floors.items()]
    if real := in_halves(truth, seed):
        rows.append({"name": f"originals@{config.split}", "kind": "real", **same, **real})
    if config.withheld:
        kept = _alone(_real(data, data.select("train")[-config.withheld :], metric_network), "withheld")
        beside = {**made, **{name: _alone(seen, "learned") for name, seen in floors.items()}}
        rows += [{"name": f"{name}@{OWN}", "kind": OWN, **same, **apart(seen, kept, seed)} for name, seen in beside.items()]
    return rows


def _alone(seen: Cloud, name: str) -> Cloud:
    """Every image gets its own source."""
    return replace(seen, sources=[f"{name} {number}" for number in range(len(seen.sources))])


def _made(samples: Samples, metric_network: MetricNetwork, count: int) -> Cloud:
    e = metric_network.embed(range(count), lambda numbers: to_float(samples.images[numbers]))
    return Cloud(e, [f"sample {number}" for number in range(count)])


def _real(data: Dataset, rows: Sequence[int], metric_network: MetricNetwork) -> Cloud:
    return Cloud(metric_network.embed(rows, data.pixels), _sources(data, rows))


def _floors(data: Dataset, metric_network: MetricNetwork, config: ScoreSamples, seed: int) -> tuple[Cloud, Cloud]:
    """The first `count` training images that are not withheld, unchanged and with shuffled patches."""
    train = data.select("train")
    rows = train[: min(config.count, len(train) - config.withheld)]

    def torn(numbers: list[int]) -> Tensor:
        draws = [generator(seed, "patches", id) for id in data.ids(numbers)]
        return shuffled(data.pixels(numbers), config.patches, draws)

    return _real(data, rows, metric_network), Cloud(metric_network.embed(rows, torn), _sources(data, rows))


def _sources(data: Dataset, rows: Sequence[int]) -> list[str]:
    return [data.index[row]["source"] for row in rows]


def shuffled(images: Tensor, patches: int, generators: Sequence[torch.Generator]) -> Tensor:
    """(N, 3, H, H) with patches x patches squares in a random order, for row n by generator n."""
    side = images.shape[-1] // patches
    cut = F.unfold(images, side, stride=side)  # (N, C s s, P P)
    orders = torch.stack([torch.randperm(patches**2, generator=one) for one in generators])
    return F.fold(cut.gather(2, orders[:, None].expand_as(cut)), images.shape[-2:], side, stride=side)
