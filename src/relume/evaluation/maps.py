"""Importance of feature maps: a decoder's images with groups of its tap's channels removed, kept alone, or the strongest kept
together. Channels are ranked on training images by activation or contribution. A removed channel has its training mean, because 0
would mean that its feature is absent."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.core.images import to_float, to_uint8
from relume.core.runtime import generator
from relume.data.store import Dataset, batches
from relume.evaluation.config import Maps
from relume.evaluation.perceptual import LPIPS_METRICS, FeatureExtractor
from relume.evaluation.pixel import PIXEL
from relume.losses.perceptual import LPIPS_TAPS

Decode = Callable[[Tensor], Tensor]  # features (N, C, …) -> images (N, 3, H, W)
INTACT, REMOVED, KEPT, FIRST = "intact", "removed", "kept", "first"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A decoding with a subset of the channels."""

    ranking: str
    action: str
    group: int  # from 1, the strongest; with FIRST, groups 1 to `group` are kept
    kept: Tensor  # bool (C,)


@dataclass(frozen=True, kw_only=True)
class Channels:
    """Statistics of a tap's channels over training images: (C,) each."""

    mean: Tensor
    scores: Mapping[str, Tensor]  # by ranking


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The results of one decoder; the first variant is the intact one."""

    channels: Channels
    variants: Sequence[Variant]
    ids: Sequence[str]
    scores: Mapping[str, np.ndarray]  # metric -> (variants, n)
    originals: np.ndarray  # uint8 (shown, H, W, 3)
    pictures: np.ndarray  # uint8 (variants, shown, H, W, 3)


class Subject(Protocol):
    """A decoder of one tap, with its features."""

    @property
    def name(self) -> str: ...

    @property
    def network(self) -> str: ...

    @property
    def tap(self) -> str: ...

    def encode(self, rows: Sequence[int]) -> Tensor:
        """Rows of the dataset -> features (N, C, h, w) or (N, C)."""
        ...

    def decode(self, features: Tensor) -> Tensor:
        """Features -> (N, 3, H, W) in [0, 1]; rows are independent."""
        ...


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Inputs that all decoders share."""

    dataset: Dataset
    config: Maps
    extractor: FeatureExtractor
    seed: int
    micro_batch: int
    device: torch.device


def study(subject: Subject, bench: Bench, report: Callable[[int], object] = lambda done: None) -> Outcome:
    """Rank channels, decode all variants, score. `report`: called with the number of further images done."""
    config, dataset = bench.config, bench.dataset
    rows = dataset.select(config.split, config.count)
    channels = examine(subject, bench)
    tried = variants(channels.scores, config.groups)
    pictures: list[np.ndarray] = []
    scores: dict[str, list[np.ndarray]] = {metric: [] for metric in config.metrics}
    fill = blank(channels.mean, config.fill)
    for batch in batches(rows, bench.micro_batch):
        made = decodings(subject.encode(batch), [one.kept for one in tried], fill, subject.decode)
        pictures.append(made[:, [row in rows[: config.shown] for row in batch]])
        for metric, values in _score(bench, batch, made).items():
            scores[metric].append(values)
        report(len(batch))
    return Outcome(
        channels=channels,
        variants=tried,
        ids=dataset.ids(rows),
        scores={metric: np.concatenate(parts, axis=1) for metric, parts in scores.items()},
        originals=dataset.images[rows[: config.shown]],
        pictures=np.concatenate(pictures, axis=1),
    )


def examine(subject: Subject, bench: Bench) -> Channels:
    """Means and rankings over the first `config.pictures` training images."""
    config = bench.config
    rows = bench.dataset.select("train")[: config.pictures]
    cut = list(batches(rows, bench.micro_batch))
    flat = (x.reshape(*x.shape[:2], -1).cpu().double() for x in map(subject.encode, cut))  # (N, C, positions)
    moments = torch.stack([torch.stack([x.mean(2).sum(0), x.abs().mean(2).sum(0)]) for x in flat]).sum(0) / len(rows)
    scores = {"activation": moments[1]}
    if "contribution" in config.rankings:
        fill = blank(moments[0], config.fill)
        found = [_contributions(subject, bench, batch, fill) for batch in cut]
        scores["contribution"] = torch.stack(found).sum(0) / len(rows)
    return Channels(mean=moments[0], scores={name: scores[name] for name in config.rankings})


def _contributions(subject: Subject, bench: Bench, batch: Sequence[int], fill: Tensor) -> Tensor:
    """Contributions summed over images: float64 (C,) on the CPU."""
    size, ids = bench.dataset.size, bench.dataset.ids(list(batch))
    probes = torch.stack([signs(bench.seed, id, bench.config.probes, size) for id in ids], dim=1).to(bench.device)
    return contribution(subject.encode(batch), fill, subject.decode, probes).cpu().double().sum(0)


def signs(seed: int, id: str, probes: int, size: int) -> Tensor:
    """Random signs of an image: float32 (probes, 3, size, size)."""
    drawn = torch.randint(2, (probes, 3, size, size), generator=generator(seed, "maps", id))
    return drawn.float() * 2 - 1


def contribution(x: Tensor, fill: Tensor, decode: Decode, probes: Tensor) -> Tensor:
    """How much the decoded image changes, to first order, when one channel is removed: (N, C), mean square per value, |J d_c|^2 /
    3HW with J the decoder's Jacobian at x (N, C, …) and d_c the removed part. The mean of (v . J d_c)^2 over random signs v is |J
    d_c|^2 (Hutchinson): one backward pass serves all channels. `probes` are v: (P, N, 3, H, W)."""
    x = x.detach().requires_grad_()
    away = x.detach() - shaped(fill, x)
    with torch.enable_grad():
        y = decode(x)
        gradients = [torch.autograd.grad((y * v).sum(), x, retain_graph=True)[0] for v in probes]
    changes = torch.stack([(gradient * away).reshape(*x.shape[:2], -1).sum(2) for gradient in gradients])
    return changes.square().mean(0) / y[0].numel()


def blank(mean: Tensor, fill: str) -> Tensor:
    """The values of removed channels."""
    return torch.zeros_like(mean) if fill == "zero" else mean


def shaped(values: Tensor, x: Tensor) -> Tensor:
    """Values per channel, broadcastable to x (N, C, …): (1, C, 1, …)."""
    return values.to(x.device, x.dtype if values.is_floating_point() else values.dtype).view(1, -1, *(1,) * (x.ndim - 2))


def parts(scores: Tensor, groups: int) -> list[Tensor]:
    """Channels by decreasing score, in groups whose sizes differ by at most one; stable for ties."""
    if groups > len(scores):
        raise UserError(f"maps.groups: must be at most the number of channels, {len(scores)}; got {groups}")
    return list(scores.sort(descending=True, stable=True).indices.tensor_split(groups))


def variants(scores: Mapping[str, Tensor], groups: int) -> list[Variant]:
    """The intact one, then per ranking: each group removed, each kept alone, the first 1, 2, … kept together."""
    everything = torch.ones(len(next(iter(scores.values()))), dtype=torch.bool)
    found = [Variant(ranking="", action=INTACT, group=0, kept=everything)]
    for ranking, values in scores.items():
        cut = parts(values, groups)
        alone = [_mask(part, len(values)) for part in cut]
        together = [_mask(torch.cat(cut[:number]), len(values)) for number in range(1, groups + 1)]
        for action, masks in ((REMOVED, [~mask for mask in alone]), (KEPT, alone), (FIRST, together)):
            found += [Variant(ranking=ranking, action=action, group=at, kept=mask) for at, mask in enumerate(masks, start=1)]
    return found


def _mask(channels: Tensor, count: int) -> Tensor:
    return torch.zeros(count, dtype=torch.bool).index_fill(0, channels, True)


@torch.no_grad()
def decodings(x: Tensor, kept: Sequence[Tensor], fill: Tensor, decode: Decode) -> np.ndarray:
    """Images, uint8 (masks, N, H, W, 3). Equal masks are decoded once."""
    made: dict[bytes, np.ndarray] = {}
    for mask in kept:
        key = mask.numpy().tobytes()
        if key not in made:
            made[key] = to_uint8(decode(torch.where(shaped(mask, x), x, shaped(fill, x))))
    return np.stack([made[mask.numpy().tobytes()] for mask in kept])


def _score(bench: Bench, batch: Sequence[int], made: np.ndarray) -> dict[str, np.ndarray]:
    """Every variant against the originals: metric -> (variants, N). Equal images are scored once."""
    metrics, y = bench.config.metrics, bench.dataset.pixels(list(batch)).to(bench.device)
    networks = [LPIPS_TAPS[LPIPS_METRICS[metric]][0] for metric in metrics if metric in LPIPS_METRICS]
    target = bench.extractor.look(y, networks)
    scored: dict[bytes, np.ndarray] = {}  # (metrics, N)
    for pixels in made:
        if pixels.tobytes() not in scored:
            x = to_float(pixels).to(bench.device)
            seen = bench.extractor.look(x, networks)
            values = [bench.extractor.lpips(one, seen, target) if one in LPIPS_METRICS else PIXEL[one](x, y) for one in metrics]
            scored[pixels.tobytes()] = torch.stack(values).cpu().double().numpy()
    found = np.stack([scored[pixels.tobytes()] for pixels in made])  # (variants, metrics, N)
    return {metric: found[:, at] for at, metric in enumerate(metrics)}
