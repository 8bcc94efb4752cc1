"""Statistics of foreign embeddings: the effect of the last ReLU, and how reconstructions scatter around the truth.

    python -m benchmarks.embeddings --folder PHOTOS --weights models/weights --out docs/results/embeddings.csv

The second needs `--group` (a group with several restarts per image) and `--images` (its dataset). Writes the columns of
comparisons.csv, a `.json`, and a figure of each beside the table: `_last_relu.jpg`, `_scatter.jpg`.
"""

import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor

from benchmarks.clouds import compared, project, same_trunk, scatter, statistics
from benchmarks.common import commit, prepare, provenance
from relume.core.errors import UserError
from relume.core.files import atomic, write_csv, write_json
from relume.core.results import Group, read_group
from relume.core.run import Run
from relume.core.runtime import describe, deterministic, device_of
from relume.data.store import Dataset
from relume.evaluation.comparison import COMPARISONS, Record
from relume.networks import network as networks
from relume.networks.extract import ForwardPass
from relume.networks.weights import WeightStore

NETWORKS = ("alexnet_conv", "vgg16_conv", "efficientnet_lite0")
WITH, WITHOUT = "pool", "pool_pre"  # with and without the last ReLU
SEED = 0
SHOWN = 4  # pictures in the second figure
QUESTIONS = (("one", "mean"), ("spread", "one"), ("one", "other"), ("mean", "unbiased"))  # pairs of `scatter` that are compared
WORDS = {
    "one": "one reconstruction to the truth",
    "mean": "mean of {m} to the truth",
    "spread": "one reconstruction to the mean of {m}",
    "other": "another picture to the truth",
    "unbiased": "mean of {m} to the truth if unbiased",
}


@dataclass(frozen=True, kw_only=True)
class Extractors:
    """Computes embeddings of pictures."""

    store: WeightStore
    device: torch.device
    micro_batch: int

    def see(self, name: str, images: np.ndarray, taps: Sequence[str]) -> dict[str, Tensor]:
        """tap -> (N, C) on the CPU, for uint8 pictures (N, H, W, 3)."""
        network = networks.load(name, self.store, self.device)
        through = ForwardPass(network=network, device=self.device, micro_batch=self.micro_batch)
        seen = [values for _, values in through.stream(images, range(len(images)), taps)]
        return {tap: torch.cat([values[tap].float().cpu() for values in seen]) for tap in taps}


@dataclass(frozen=True, kw_only=True)
class Restarts:
    """A group's reconstructions, m per picture, and the originals."""

    method: str
    network: str  # whose features were inverted
    tap: str
    images: np.ndarray  # uint8 (N * m, H, W, 3), those of a picture adjacent
    originals: np.ndarray  # uint8 (N, H, W, 3)
    sources: list[str]
    m: int

    @classmethod
    def of(cls, group: Group, dataset: Dataset) -> "Restarts":
        kinds = {(row["method"], row["network"], row["tap"]) for row in group.index}
        places: dict[str, list[int]] = {}
        for place, row in enumerate(group.index):
            places.setdefault(row["id"], []).append(place)
        counts = {len(found) for found in places.values()}
        if len(kinds) > 1 or len(counts) > 1 or min(counts) < 2 or len(places) < 2:
            found = f"{len(kinds)} methods, {len(places)} pictures, restarts {sorted(counts)}"
            raise UserError(f"{group.folder}: one method, two pictures and equally many restarts of each are wanted: {found}")
        rows = {row["id"]: number for number, row in enumerate(dataset.index)}
        if foreign := sorted(places.keys() - rows.keys()):
            raise UserError(f"{group.folder}: {foreign[0]!r} is not in dataset {dataset.name}")
        ((method, network, tap),) = kinds
        sources = dataset.sources()
        return cls(
            method=method,
            network=network,
            tap=tap,
            images=group.images[[place for found in places.values() for place in found]],
            originals=dataset.images[[rows[id] for id in places]],
            sources=[sources[id] for id in places],
            m=counts.pop(),
        )


def last_relu(name: str, seen: Mapping[str, Tensor], sources: Sequence[str], labels: Mapping[str, object]) -> Iterator[Record]:
    """With and without the last ReLU, one row per statistic."""
    a, b = statistics(seen[WITH]), statistics(seen[WITHOUT])
    for metric in a:
        said = {"question": "last_relu", "a": WITH, "b": WITHOUT, **labels, "network": name, "tap": WITH, "metric": metric}
        yield compared(said, a[metric], b[metric], sources, seed=SEED)


def around(name: str, cloud: Tensor, truth: Tensor, restarts: Restarts, labels: Mapping[str, object]) -> Iterator[Record]:
    """`cloud` (N, m, C) around `truth` (N, C), in the embedding of network `name`."""
    question = f"scatter of {restarts.method} ({restarts.network} {restarts.tap})"
    for metric, values in scatter(cloud, truth).items():
        for a, b in QUESTIONS:
            if b in values:
                words = {"a": WORDS[a].format(m=restarts.m), "b": WORDS[b].format(m=restarts.m)}
                said = {"question": question, **words, **labels, "network": name, "tap": WITH, "metric": metric}
                proves = not same_trunk(name, restarts.network)
                yield compared(said, values[a], values[b], restarts.sources, seed=SEED, proves=proves)


def save(path: Path, figure: Any) -> None:
    with atomic(path) as temporary:
        figure.savefig(temporary, format="jpg", dpi=110, bbox_inches="tight", pil_kwargs={"quality": 88})


def panels(rows: int, columns: int) -> tuple[Any, np.ndarray]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6 * columns, 3.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def histograms(path: Path, seen: Mapping[str, Mapping[str, Tensor]]) -> None:
    """A panel per network: all values of all pictures, with the last ReLU and without."""
    figure, axes = panels(1, len(seen))
    for axis, (name, taps) in zip(axes[0], seen.items(), strict=True):
        values = {tap: taps[tap].flatten().numpy() for tap in (WITHOUT, WITH)}
        low, high = np.quantile(np.concatenate(list(values.values())), [0.001, 0.999])
        for tap, colour in ((WITHOUT, "tab:orange"), (WITH, "tab:blue")):
            bins = np.linspace(low, max(high, low + 1e-6), 60)
            axis.hist(values[tap], bins, density=True, log=True, alpha=0.6, color=colour, label=tap)
        axis.set(title=name, xlabel="value")
    axes[0, 0].set_ylabel("density")
    axes[0, 0].legend()
    save(path, figure)


def clouds(path: Path, seen: Mapping[str, tuple[Tensor, Tensor]]) -> None:
    """A row per network, a column per picture: reconstructions, their mean and the truth, each in the plane of its own PCA."""
    pictures = min(SHOWN, *(len(truth) for _, truth in seen.values()))
    figure, axes = panels(len(seen), pictures)
    for row, (name, (cloud, truth)) in zip(axes, seen.items(), strict=True):
        for number, axis in enumerate(row):
            plane = project(torch.cat([cloud[number], cloud[number].mean(0, keepdim=True), truth[number : number + 1]])).numpy()
            axis.scatter(*plane[:-2].T, s=22, color="tab:blue", label="reconstructions")
            axis.scatter(*plane[-2], s=70, marker="x", color="tab:orange", label="their mean")
            axis.scatter(*plane[-1], s=110, marker="*", color="black", label="truth")
            axis.set_aspect("equal", "datalim")
            axis.set_title(f"{name}, picture {number + 1}", fontsize=9)
    axes[0, 0].legend(fontsize=7)
    save(path, figure)


def study_relu(extractors: Extractors, names: Sequence[str], dataset: Dataset, figure: Path) -> list[Record]:
    seen = {name: extractors.see(name, dataset.images, (WITH, WITHOUT)) for name in names}
    histograms(figure, seen)
    sources = [row["source"] for row in dataset.index]
    labels = {"dataset": dataset.name, "size": dataset.size, "device": describe(extractors.device)}
    return [row for name in names for row in last_relu(name, seen[name], sources, labels)]


def study_scatter(extractors: Extractors, names: Sequence[str], group: Path, images: Path, figure: Path) -> list[Record]:
    dataset = Dataset.open(images)
    restarts = Restarts.of(read_group(group), dataset)
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    for name in names:
        cloud = extractors.see(name, restarts.images, (WITH,))[WITH]
        seen[name] = cloud.unflatten(0, (-1, restarts.m)), extractors.see(name, restarts.originals, (WITH,))[WITH]
    clouds(figure, seen)
    labels = {"dataset": dataset.name, "size": dataset.size, "device": describe(extractors.device)}
    return [row for name, (cloud, truth) in seen.items() for row in around(name, cloud, truth, restarts, labels)]


@click.command(help=__doc__)
@click.option("--folder", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True, help="The photographs.")
@click.option("--weights", type=click.Path(path_type=Path), multiple=True, default=[Path("models/weights")], show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The table.")
@click.option("--group", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Reconstructions with restarts.")
@click.option("--images", type=click.Path(path_type=Path, exists=True, file_okay=False), help="The dataset of that group.")
@click.option("--size", type=click.IntRange(min=32), default=96, show_default=True, help="Side of the photographs in pixels.")
@click.option("--count", type=click.IntRange(min=2), help="Only the first photographs.")
@click.option("--network", "names", multiple=True, default=NETWORKS, show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", show_default=True)
def main(
    folder: Path,
    weights: tuple[Path, ...],
    out: Path,
    group: Path | None,
    images: Path | None,
    size: int,
    count: int | None,
    names: tuple[str, ...],
    device: str,
) -> None:
    start, at = time.perf_counter(), commit()
    run = Run(seed=SEED, device=device, precision="float32", threads=1, micro_batch=16)  # type: ignore[arg-type]  # click has checked it
    try:
        if (group is None) != (images is None):
            raise UserError("--group and --images belong together")
        deterministic()
        extractors = Extractors(store=WeightStore(*weights), device=device_of(run), micro_batch=run.micro_batch)
        with tempfile.TemporaryDirectory() as temporary:
            dataset = prepare(folder, Path(temporary, folder.resolve().name), size, count)
            rows = study_relu(extractors, names, dataset, out.with_name(f"{out.stem}_last_relu.jpg"))
        data = "all of them for the last ReLU"
        if group is not None and images is not None:
            rows += study_scatter(extractors, names, group, images, out.with_name(f"{out.stem}_scatter.jpg"))
            data += f"; scatter of group {group.name}"
    except UserError as error:
        click.secho(f"embeddings: {error}", fg="red", err=True)
        sys.exit(1)
    write_csv(out, COMPARISONS, rows)
    n, seconds = len(dataset.index), time.perf_counter() - start
    about = provenance("benchmarks.embeddings", dataset, n=n, data=data, device=extractors.device, at=at, seconds=seconds)
    write_json(out.with_suffix(".json"), about)


if __name__ == "__main__":
    main()
