"""Training a decoder: a frozen network computes features of images, the decoder inverts them, terms say how far it is off."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.losses import feature, image
from relume.losses.gan import hinge_discriminator, hinge_generator
from relume.losses.perceptual import LPIPS_TAPS, heads_of, lpips
from relume.methods.decoder.base import Fitted, Normalising
from relume.methods.decoder.config import DecoderConfig
from relume.methods.decoder.discriminator import Discriminator
from relume.methods.decoder.model import build
from relume.networks.network import load
from relume.networks.store import Cache, cached, read_cache
from relume.networks.taps import Seen, compute
from relume.training.adversarial import DISCRIMINATOR, DiscriminatorState, frozen
from relume.training.augment import augment, cutmix
from relume.training.trainer import LOSS, SHOWN, Setup, Trainer, mean_metrics, mean_terms, sheet_rows

Wanted = Mapping[str, tuple[str, ...]]  # network -> taps


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Decoded pictures and true ones, (N, 3, H, W), and what networks see in each."""

    pictures: Tensor
    images: Tensor
    seen: Seen
    target: Seen


def wishes(config: DecoderConfig, *, decoded: bool) -> Wanted:
    """The taps needed of the real images, or with `decoded` of the decoder's images. Features in the cache are not needed."""
    parts: list[tuple[str, tuple[str, ...]]] = []
    own = config.losses.feature > 0 if decoded else not config.cached
    if own:
        parts.append((config.network, config.taps))
    if config.losses.lpips > 0:
        parts.append(LPIPS_TAPS[config.measures.lpips.network])
    found: dict[str, tuple[str, ...]] = {}
    for network, taps in parts:
        found[network] = tuple(dict.fromkeys([*found.get(network, ()), *taps]))
    return found


def terms(config: DecoderConfig, heads: Sequence[Tensor], pair: Pair) -> dict[str, Tensor]:
    """Every term of non-zero weight, unweighted, and their weighted sum: (N,). Without `adversarial`, whose scale drifts."""
    weights = {name: weight for name, weight in asdict(config.losses).items() if name in TERMS and weight > 0}
    found = {name: TERMS[name](config, heads, pair) for name in weights}
    total = torch.stack([weight * found[name] for name, weight in weights.items()]).sum(0)
    return {LOSS: total, **found}


def _pixel(config: DecoderConfig, heads: Sequence[Tensor], pair: Pair) -> Tensor:
    if config.measures.pixel == "l1":
        return (pair.pictures - pair.images).abs().flatten(1).mean(1)
    return image.pixel(pair.pictures, pair.images)


def _lpips(config: DecoderConfig, heads: Sequence[Tensor], pair: Pair) -> Tensor:
    network, taps = LPIPS_TAPS[config.measures.lpips.network]
    here, there = pair.seen[network], pair.target[network]
    return lpips([here[tap] for tap in taps], [there[tap] for tap in taps], heads)


def _feature(config: DecoderConfig, heads: Sequence[Tensor], pair: Pair) -> Tensor:
    here, there = pair.seen[config.network], pair.target[config.network]
    return feature.weighted("relative_l2", here, there, dict.fromkeys(config.taps, 1.0))


TERMS = {"pixel": _pixel, "lpips": _lpips, "feature": _feature}


class DecoderTrainer(Trainer[DecoderConfig]):
    """`features`: the folder of those in the cache, where the configuration asks for them."""

    kind = "decoder"

    def __init__(self, setup: Setup[DecoderConfig], features: Path | None = None) -> None:
        super().__init__(setup)
        config, device = self.config, self.device
        names = [*wishes(config, decoded=False), *wishes(config, decoded=True)]
        self.networks = {network: load(network, self.store, device) for network in dict.fromkeys(names)}
        extractor = config.measures.lpips.network
        heads = heads_of(extractor, self.store.tensors(f"lpips_{extractor}")) if config.losses.lpips > 0 else []
        self.heads = [head.to(device) for head in heads]
        self.cache = self._cache(features) if config.cached else {}  # the features that are decoded
        self.shapes = self._shapes()
        size = self.dataset.size
        with self.seeded():
            self.module = build(self.shapes, size, config.architecture).to(device)
        if config.losses.adversarial > 0:
            own, channels = config.measures.adversarial, [self.shapes[tap][0] for tap in config.taps]
            with self.seeded("discriminator"):
                discriminator = Discriminator(channels, size, own.width)
            self.discriminator = DiscriminatorState(discriminator.to(device), own.learning_rate)
        if isinstance(self.module, Normalising):
            self.module.set_moments(self.moments())
        if isinstance(self.module, Fitted):
            self.module.fit(self.first_seen())

    def _cache(self, folder: Path | None) -> Cache:
        config = self.config
        if folder is None:
            raise UserError(f"{self.key}.features: {config.features} is to be read, but no folder of features was given")
        cache = read_cache(folder, self.dataset, config.network, config.taps)
        if missing := [tap for tap in config.taps if tap not in cache]:
            cure = f"extract.cached must list {config.network}, and extract.budget_mb have room for all images"
            raise UserError(f"{folder} has no features of tap {', '.join(missing)}: {cure}; or let `features` name none")
        return cache

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the features that are decoded."""
        first = self.train[:1]
        return {tap: tuple(value.shape[1:]) for tap, value in self.encode(first, self.pixels(first)).items()}

    @torch.no_grad()
    def moments(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Mean and deviation of every channel over images and positions, in float64, of the first training images."""
        sums: dict[str, Tensor] = {}
        count = 0
        for features, images in self.first_seen():
            for tap, values in features.items():
                flat = values.flatten(2) if values.ndim == 4 else values[:, :, None]  # (N, C, positions)
                wide = flat.cpu().double()  # not every device has float64
                sums[tap] = sums.get(tap, 0) + torch.stack([wide.mean(2).sum(0), wide.square().mean(2).sum(0)])
            count += len(images)
        averages = {tap: total / count for tap, total in sums.items()}
        return {tap: (mean.float(), (square - mean**2).clamp_min(0).sqrt().float()) for tap, (mean, square) in averages.items()}

    def first_seen(self) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
        """Features and images of the first training pictures."""
        for rows in self.batches(self.train[: self.config.moments]):
            images = self.pixels(rows)
            yield self.encode(rows, images), images

    def encode(self, rows: Sequence[int], images: Tensor) -> dict[str, Tensor]:
        """The features that are decoded, tap by tap: from the cache those of `rows`, else those of `images`, as they are."""
        if self.cache:
            return cached(self.cache, rows, self.device)
        return compute(self.networks, images, {self.config.network: self.config.taps})[self.config.network]

    @torch.no_grad()
    def truth(self, rows: Sequence[int], images: Tensor) -> Seen:
        """Features of the true images: in float32 under autocast too, as they will be when the decoder is used."""
        with torch.autocast(images.device.type, enabled=False):
            seen = compute(self.networks, images, wishes(self.config, decoded=False))
        if self.cache:
            network = self.config.network
            seen[network] = seen.get(network, {}) | cached(self.cache, rows, self.device)
        return seen

    def measure(self, images: Tensor, target: Seen) -> tuple[Tensor, dict[str, Tensor]]:
        """What the decoder makes of the images' features, and how far it is off: every term, and their weighted sum, (N,)."""
        config = self.config
        pictures = self.module({tap: target[config.network][tap] for tap in config.taps}).float()
        seen = compute(self.networks, pictures, wishes(config, decoded=True))
        return pictures, terms(config, self.heads, Pair(pictures=pictures, images=images, seen=seen, target=target))

    def loss(self, rows: list[int], generators: Sequence[torch.Generator]) -> dict[str, Tensor]:
        """Of training images, which are augmented first: their features are those of the augmented image."""
        config, places = self.config, [self.train[row] for row in rows]
        images = augment(self.pixels(places), config.augment, generators)
        if config.cutmix > 0:
            drawn = [self.train[int(torch.randint(len(self.train), (), generator=one))] for one in generators]
            images = cutmix(images, augment(self.pixels(drawn), config.augment, generators), config.cutmix, generators)
        target = self.truth(places, images)
        pictures, found = self.measure(images, target)
        if self.discriminator is not None:
            seen = target[config.network]
            found |= adversarial(self.discriminator.module, images, pictures, [seen[tap] for tap in config.taps])
            found[LOSS] = found[LOSS] + config.losses.adversarial * found["adversarial"]
        return mean_terms(found)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Over validation images, not augmented: terms, PSNR in dB, and the PSNR of each image's own mean colour."""
        found: list[dict[str, Tensor]] = []
        for rows in self.batches(self.val):
            images = self.pixels(rows)
            pictures, values = self.measure(images, self.truth(rows, images))
            floor = images.mean((2, 3), keepdim=True).expand_as(images)
            found.append(values | {"psnr": image.psnr(pictures, images), "floor_own_mean": image.psnr(floor, images)})
        return mean_metrics(found)

    @torch.no_grad()
    def preview(self) -> np.ndarray:
        """Validation images over what the decoder makes of them."""
        parts = []
        for rows in self.batches(self.val[:SHOWN]):
            images = self.pixels(rows)
            parts.append((images, self.module(self.encode(rows, images))))
        return sheet_rows(parts)

    def facts(self) -> dict[str, Any]:
        return {"shapes": {tap: list(shape) for tap, shape in self.shapes.items()}}

    def summary(self, metrics: Mapping[str, float]) -> str:
        return f"{metrics['psnr']:.2f} dB in validation; own mean colours {metrics['floor_own_mean']:.2f} dB"


def adversarial(
    discriminator: torch.nn.Module, images: Tensor, pictures: Tensor, features: Sequence[Tensor]
) -> dict[str, Tensor]:
    """The decoder's adversarial loss and the discriminator's: (N,) each, no gradient for the other."""
    told = hinge_discriminator(discriminator(images, features), discriminator(pictures.detach(), features))
    with frozen(discriminator):
        return {"adversarial": hinge_generator(discriminator(pictures, features)), DISCRIMINATOR: told}
