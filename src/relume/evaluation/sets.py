"""Set metrics: the distance between a method's images (masked ones pasted, at one ratio) and all originals of the split: 0 for a
perfect method. The Frechet distance (Heusel et al. 2017) is biased upwards for small sets: compare it at equal n only. With no
more images than channels it mostly depends on n, so that methods without masks then have only KID (Binkowski et al. 2018), which
is unbiased at any n."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.core.images import resize, to_float
from relume.core.results import RATIO, Group
from relume.core.runtime import generator
from relume.data.store import Dataset, batches
from relume.evaluation.config import Sets
from relume.evaluation.masked import paste
from relume.evaluation.metrics import METHOD, set_name
from relume.networks.network import Network, load
from relume.networks.taps import collect
from relume.networks.weights import WeightStore

BLOCK = 1024  # rows of the kernel matrix in memory at once


@dataclass(frozen=True, kw_only=True)
class Gaussian:
    """mean (D,), and root (K, D) with root^T root the covariance (over n - 1), K <= D."""

    mean: Tensor
    root: Tensor


def gaussian(e: Tensor) -> Gaussian:
    """Fitted to embeddings (N, D), N >= 2."""
    if e.ndim != 2 or len(e) < 2:
        raise ValueError(f"needs (N, D) with N >= 2, got {tuple(e.shape)}")
    e = e.double()
    apart = (e - e.mean(0)) / (len(e) - 1) ** 0.5
    return Gaussian(mean=e.mean(0), root=apart if len(e) <= e.shape[1] else torch.linalg.qr(apart, mode="r").R)


def frechet(a: Gaussian, b: Gaussian) -> float:
    """|m_a - m_b|^2 + tr(A + B - 2 (A B)^(1/2)) >= 0. With A = R^T R and B = S^T S the last trace is the sum of the singular
    values of R S^T, without a root of a singular matrix."""
    shared = torch.linalg.svdvals(a.root @ b.root.T).sum()
    squared = (a.mean - b.mean).square().sum() + a.root.square().sum() + b.root.square().sum() - 2 * shared
    return max(0.0, float(squared))


def kids(x: Tensor, y: Tensor, in_x: Tensor, in_y: Tensor, from_x: Tensor, from_y: Tensor) -> Tensor:
    """KID between R subsets of x (N, D) and y (M, D): boolean (N, R) and (M, R) -> (R,), the unbiased squared MMD under k(a, b) =
    (a·b / D + 1)^3: mean k(x_i, x_j) + mean k(y_i, y_j) - 2 mean k(x_i, y_j) over pairs of different sources, integers (N,) and
    (M,). Pairs of one source would bias it: crops of one photograph are similar. NaN for one source."""
    x, y, v, w = x.double(), y.double(), in_x.double(), in_y.double()
    within = _mean(x, x, v, v, from_x, from_x) + _mean(y, y, w, w, from_y, from_y)
    return within - 2 * _mean(x, y, v, w, from_x, from_y)


def _mean(x: Tensor, y: Tensor, v: Tensor, w: Tensor, from_x: Tensor, from_y: Tensor) -> Tensor:
    """mean of k(x_i, y_j) over the chosen pairs of different sources: (R,)."""
    total = torch.zeros_like(v[0])
    for at in range(0, len(x), BLOCK):
        part = slice(at, at + BLOCK)
        k = (x[part] @ y.T / x.shape[1] + 1) ** 3
        k.masked_fill_(from_x[part, None] == from_y, 0)
        total += (v[part] * (k @ w)).sum(0)
    by_source = torch.zeros(int(torch.cat([from_x, from_y]).max()) + 1, v.shape[1], dtype=v.dtype, device=v.device)
    same = (by_source.index_add(0, from_x, v) * by_source.index_add(0, from_y, w)).sum(0)
    return total / (v.sum(0) * w.sum(0) - same)


def halves(strata: Sequence[Sequence[str]], draws: int, generator: torch.Generator) -> dict[str, Tensor]:
    """source -> boolean (draws,), whether it is drawn. Half of each stratum's sources, without replacement: subsets of half the
    size vary around the whole as the whole around the truth, (1/(n/2) - 1/n) s^2 = s^2/n. With replacement, copies would be
    paired."""
    found: dict[str, Tensor] = {}
    for sources in strata:
        order = torch.stack([torch.randperm(len(sources), generator=generator) for _ in range(draws)])  # (draws, S)
        taken = order < len(sources) // 2
        found |= {source: taken[:, number] for number, source in enumerate(sources)}
    return found


DRAWS, LEVEL = 200, 0.95  # random halves for KID's interval, and its level
LEAST = 4  # minimum of sources for an interval: KID needs two per half

Rows = list[dict[str, object]]


@dataclass(frozen=True, kw_only=True)
class MetricNetwork:
    """A network and the tap of its embeddings. `size`: images are resized to it if the network accepts any size."""

    network: Network
    tap: str
    micro_batch: int
    device: torch.device
    size: int | None = None

    @property
    def name(self) -> str:
        return f"{self.network.facts.name}_{self.tap}{f'@{self.size}' if self.size else ''}"

    @torch.no_grad()
    def embed(self, numbers: Sequence[int], pictures: Callable[[list[int]], Tensor]) -> Tensor:
        """Embeddings of `pictures(numbers)`, in micro-batches: (N, D) float64."""
        home = torch.device("cpu") if self.device.type == "mps" else self.device  # MPS has no float64
        with collect(self.network, [self.tap]) as taps:
            parts = [
                taps(resize(images.to(self.device), self.size or images.shape[-1]))[self.tap].to(home).double()
                for images in map(pictures, batches(numbers, self.micro_batch))
            ]
        return torch.cat(parts)


def open_metric_network(
    config: Sets | None, sizes: Sequence[int], store: WeightStore, *, device: torch.device, micro_batch: int
) -> MetricNetwork | None:
    """None if `config` is None. Raises UserError if images are too small."""
    if config is None:
        return None
    network = load(config.network, store, device)
    facts = network.facts
    if facts.any_size and (small := [size for size in sizes if (config.pixels or size) < facts.min_size]):
        raise UserError(f"evaluate.sets.network: {facts.name} needs images of at least {facts.min_size} px, got {small[0]}")
    return MetricNetwork(network=network, tap=config.tap, micro_batch=micro_batch, device=device, size=config.pixels)


@dataclass(frozen=True)
class Cloud:
    """Embeddings (N, D) of images, with their sources."""

    e: Tensor
    sources: Sequence[str]

    @cached_property
    def fit(self) -> Gaussian:
        return gaussian(self.e)

    def part(self, sources: set[str]) -> "Cloud":
        rows = [row for row, source in enumerate(self.sources) if source in sources]
        return Cloud(self.e[rows], [self.sources[row] for row in rows])


def set_rows(
    group: Group, masks: np.ndarray | None, datasets: Mapping[str, Dataset], metric_network: MetricNetwork, seed: int
) -> Rows:
    """Rows of SETS: each (method, ratio) of the group (without masks: method, tap), then the originals' halves."""
    names = dict.fromkeys(row["dataset"] for row in group.index)
    return [row for name in names for row in _of_dataset(group, masks, datasets[name], metric_network, seed)]


def _of_dataset(group: Group, masks: np.ndarray | None, data: Dataset, metric_network: MetricNetwork, seed: int) -> Rows:
    places = {row["id"]: number for number, row in enumerate(data.index)}
    sets: dict[str, list[int]] = {}
    for number, row in enumerate(group.index):
        if row["dataset"] == data.name and row["selected"] == "true":
            sets.setdefault(set_name(row) if masks is None else f"{row['method']}@{row[RATIO]}", []).append(number)
    sets = {label: numbers for label, numbers in sets.items() if len(numbers) > 1}
    splits = sorted({data.index[places[group.index[number]["id"]]]["split"] for numbers in sets.values() for number in numbers})
    if not splits:
        return []
    held_out = [number for number, row in enumerate(data.index) if row["split"] in splits]
    truth = Cloud(metric_network.embed(held_out, data.pixels), [data.index[row]["source"] for row in held_out])
    same, rows = {"dataset": data.name, "net": metric_network.name}, Rows()
    pasted = _pasted(group, masks, data, places)
    for label, numbers in sets.items():
        sources = [data.index[places[group.index[number]["id"]]]["source"] for number in numbers]
        seen = Cloud(metric_network.embed(numbers, pasted), sources)
        rows.append({"name": label, "kind": METHOD if masks is None else "masked", **same, **apart(seen, truth, seed)})
    if real := in_halves(truth, seed):
        rows.append({"name": f"originals@{'+'.join(splits)}", "kind": "real", **same, **real})
    if masks is not None:
        return rows
    return [row if int(str(row["n"])) > truth.e.shape[1] else {**row, "fd": None} for row in rows]


def _pasted(group: Group, masks: np.ndarray | None, data: Dataset, places: Mapping[str, int]) -> Callable[[list[int]], Tensor]:
    def pictures(numbers: list[int]) -> Tensor:
        if masks is None:
            return to_float(group.images[numbers])
        originals = data.pixels([places[group.index[number]["id"]] for number in numbers])
        return paste(to_float(group.images[numbers]), originals, torch.from_numpy(masks[numbers]))

    return pictures


def apart(x: Cloud, y: Cloud, seed: int) -> dict[str, object]:
    """n of x, Frechet distance, KID and its interval from halves of the sources; no interval below LEAST sources."""
    own = sorted(set(x.sources))
    rest = sorted(set(y.sources) - set(own))
    drawn = halves([own, rest], DRAWS, generator(seed, "halves of sets"))
    whole = torch.ones(1, dtype=torch.bool)  # the first draw is the whole set
    in_x, in_y = (torch.stack([torch.cat([whole, drawn[source]]) for source in one.sources]).to(x.e.device) for one in (x, y))
    number = {source: at for at, source in enumerate([*own, *rest])}
    from_x, from_y = (torch.tensor([number[source] for source in one.sources], device=x.e.device) for one in (x, y))
    values = kids(x.e, y.e, in_x, in_y, from_x, from_y).cpu()
    bounds: dict[str, object] = {}
    if len(own) >= LEAST and (len(rest) >= LEAST or not set(own).isdisjoint(y.sources)):
        lo, hi = np.quantile(values[1:].numpy(), [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
        bounds = {"kid_lo": lo, "kid_hi": hi}
    return {"n": len(x.sources), "fd": frechet(x.fit, y.fit), "kid": float(values[0]), **bounds}


def in_halves(truth: Cloud, seed: int) -> dict[str, object]:
    """`apart` between two halves of the sources: the distance between sets of real images. Empty for few images."""
    names = sorted(set(truth.sources))
    order = torch.randperm(len(names), generator=generator(seed, "real halves")).tolist()
    middle = len(names) // 2
    first, second = ({names[at] for at in part} for part in (order[:middle], order[middle:]))
    if min(sum(source in part for source in truth.sources) for part in (first, second)) < 2:
        return {}
    return apart(truth.part(first), truth.part(second), seed)
