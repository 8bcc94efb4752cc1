"""Defences of stored features, noise and quantisation, measured by re-identification and retrieval. The attacks are not adapted
to the defence, so their success is a lower bound."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from relume.core.images import to_float, to_uint8
from relume.core.runtime import generator
from relume.data.store import Dataset
from relume.evaluation.config import Defend, Place
from relume.evaluation.perceptual import FeatureExtractor
from relume.evaluation.statistics import Draws
from relume.evaluation.views import Gallery, candidates, gallery

DEFENCE = ("network", "tap", "decoder", "dataset", "defence", "strength")
DEFENCES = (*DEFENCE, "measure", "value", "lo", "hi", "chance", "n", "sources")  # of metrics/defences.csv
NONE, NOISE, BITS = "none", "noise", "bits"  # defences
EMBEDDING, PICTURE, RETRIEVAL = "embedding", "picture", "retrieval"  # measures: two attacks and one use
SPAN = 2  # standard deviations around the mean that quantisation covers


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Stored features of one tap. With a decoder, the attack also makes images."""

    place: Place
    decoder: str = ""
    decode: Callable[[Tensor], Tensor] | None = None  # features (N, …) -> pictures (N, 3, H, W)
    extractor: Place | None = None  # re-identifies the images; a network that the decoder has not used


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Inputs shared by all stored features."""

    dataset: Dataset
    config: Defend
    extractor: FeatureExtractor
    candidates: int | None
    draws: Draws
    seed: int
    micro_batch: int
    device: torch.device

    def embed(self, place: Place, rows: Sequence[int]) -> Tensor:
        return self.extractor.embed(place, rows, self.dataset.pixels, self.micro_batch, self.device)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Mean and standard deviation of each feature value over training images, (…)."""

    mean: Tensor
    sd: Tensor

    def noisy(self, x: Tensor, strength: float, noise: Tensor) -> Tensor:
        """`strength` is in units of the root mean square of all standard deviations."""
        return x + strength * self.sd.square().mean().sqrt() * noise

    def quantised(self, x: Tensor, bits: int) -> Tensor:
        """The centre of one of 2^bits equal bins within SPAN standard deviations of the mean."""
        step = (2 * SPAN * self.sd / 2**bits).clamp_min(1e-12)
        level = ((x - self.mean) / step + 2 ** (bits - 1)).floor().clamp(0, 2**bits - 1)
        return self.mean + (level + 0.5 - 2 ** (bits - 1)) * step


def study(stored: Stored, bench: Bench) -> Iterator[dict[str, object]]:
    """Rows of DEFENCES: every defence, on the images of the section."""
    data, config = bench.dataset, bench.config
    attacked = data.select(config.split, config.count)
    rows = candidates(data, attacked, bench.candidates)
    labels, sources = ([data.index[row][key] for row in rows] for key in ("label", "source"))
    clean, places = bench.embed(stored.place, rows), [rows.index(row) for row in attacked]
    own = gallery(clean, rows, sources)
    others = gallery(bench.embed(stored.extractor, rows), rows, sources) if stored.extractor else None
    same_label = (sum(map(labels.count, labels)) - len(rows)) / (len(rows) * (len(rows) - 1))
    chances = {EMBEDDING: 1 / len(rows), PICTURE: 1 / len(rows), RETRIEVAL: same_label}
    for defence, strength, features in _defended(stored.place, clean, data.ids(rows), bench):
        mine = features[places]
        found = {EMBEDDING: own.rank(mine, attacked) == 1, RETRIEVAL: _retrieved(own, features, labels)}
        if others and stored.decode and stored.extractor:
            seen = _seen(stored.decode, mine, stored.extractor, bench)
            found[PICTURE] = others.rank(seen, attacked) == 1
        about = dict(zip(DEFENCE, (*stored.place, stored.decoder, data.name, defence, strength), strict=True))
        for measure, right in found.items():
            of = range(len(rows)) if measure == RETRIEVAL else places
            mean = bench.draws.interval(right.double().cpu().numpy(), [sources[place] for place in of])
            counts = {"measure": measure, "chance": chances[measure], "n": mean.n, "sources": mean.sources}
            yield {**about, **counts, "value": mean.mean, "lo": mean.lo, "hi": mean.hi}


def _defended(place: Place, clean: Tensor, ids: Sequence[str], bench: Bench) -> Iterator[tuple[str, float, Tensor]]:
    """Defence, strength, features."""
    learned = bench.embed(place, bench.dataset.select("train")[: bench.config.pictures])
    spread = Spread(mean=learned.mean(0), sd=learned.std(0))
    noise = torch.stack([torch.randn(clean.shape[1:], generator=generator(bench.seed, NOISE, id)) for id in ids]).to(clean.device)
    yield NONE, 0.0, clean
    yield from ((NOISE, one, spread.noisy(clean, one, noise)) for one in bench.config.noise)
    yield from ((BITS, float(bits), spread.quantised(clean, bits)) for bits in bench.config.bits)


@torch.no_grad()
def _seen(decode: Callable[[Tensor], Tensor], features: Tensor, extractor: Place, bench: Bench) -> Tensor:
    """Features of decoded images after rounding to uint8: (N, …)."""
    pictures = to_float(np.concatenate([to_uint8(decode(part)) for part in features.split(bench.micro_batch)]))
    numbers = range(len(pictures))
    return bench.extractor.embed(extractor, numbers, lambda some: pictures[some], bench.micro_batch, bench.device)


def _retrieved(own: Gallery, features: Tensor, labels: Sequence[str]) -> Tensor:
    """Whether the nearest other stored image has the label of the query, whose features are clean: bool (C,)."""
    cosines = own.units @ F.normalize(features.flatten(1) - own.mean, dim=1).T
    nearest = cosines.fill_diagonal_(-2).argmax(1).tolist()
    return torch.tensor([labels[at] == label for at, label in zip(nearest, labels, strict=True)])
