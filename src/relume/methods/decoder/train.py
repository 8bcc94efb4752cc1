"""Training a decoder: a frozen network looks at pictures, the decoder gives them back, terms say how far they are apart."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from relume.core.errors import UserError
from relume.core.images import grid, to_uint8
from relume.core.run import Run
from relume.core.runtime import seed_of
from relume.data.store import Dataset
from relume.losses import image
from relume.losses.gan import hinge_discriminator, hinge_generator
from relume.losses.perceptual import heads_of
from relume.methods.decoder.base import Decoder, Normalising
from relume.methods.decoder.config import DecoderConfig
from relume.methods.decoder.discriminator import Discriminator
from relume.methods.decoder.model import build
from relume.networks.network import Network, load
from relume.networks.weights import WeightStore
from relume.training.augment import augment
from relume.training.cache import Cache, cached, read_cache
from relume.training.loop import LOSS, Task
from relume.training.rival import RIVAL, Rival, at_rest
from relume.training.terms import Pair, Seen, look, terms, wishes

SHOWN = 8  # pictures on a sheet

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """Everything that a decoder is trained with, and the decoder. Rows are numbers of the dataset."""

    name: str
    config: DecoderConfig
    run: Run
    dataset: Dataset
    device: torch.device
    networks: Mapping[str, Network]  # that must look at something
    cache: Cache  # the features that are decoded, where they are not computed
    heads: Sequence[Tensor]  # LPIPS's, where it is asked for
    train: list[int]
    val: list[int]
    shapes: dict[str, tuple[int, ...]]
    decoder: Decoder
    rival: Discriminator | None  # there only where the term `adversarial` has a weight

    def task(self) -> Task:
        return Task(
            name=self.name,
            module=self.decoder,
            device=self.device,
            count=len(self.train),
            loss=partial(loss, self),
            validate=partial(validate, self),
            look=partial(samples, self),
            rival=self._rival(),
        )

    def _rival(self) -> Rival | None:
        rate = self.config.measures.adversarial.learning_rate
        return None if self.rival is None else Rival(module=self.rival, learning_rate=rate)

    def pictures(self, rows: Sequence[int]) -> Tensor:
        return self.dataset.pixels(list(rows)).to(self.device)

    def batches(self, rows: Sequence[int]) -> Iterator[tuple[Sequence[int], Tensor]]:
        """Rows and their pictures, a micro-batch at a time."""
        step = self.run.micro_batch
        parts = (rows[at : at + step] for at in range(0, len(rows), step))
        return ((part, self.pictures(part)) for part in parts)


def lesson(
    *,
    name: str,
    config: DecoderConfig,
    run: Run,
    dataset: Dataset,
    store: WeightStore,
    device: torch.device,
    features: Path | None = None,
) -> Lesson:
    """Networks loaded, the decoder built to the features' shapes, its weights drawn from the seed and its name.

    `features`: the folder of those in the cache, where the configuration wants them.
    """
    if dataset.name != config.dataset:
        raise UserError(f"decoder {name} is to learn from {config.dataset}, but --images holds {dataset.name}")
    names = [*wishes(config, decoded=False), *wishes(config, decoded=True)]
    networks = {network: load(network, store, device) for network in dict.fromkeys(names)}
    judge, learns = config.measures.lpips, config.losses.lpips > 0
    heads = heads_of(judge, store.tensors(f"lpips_{judge}")) if learns else []
    train, val = dataset.select("train"), dataset.select("val", config.validation)
    cache = read_cache(features, config, dataset)
    shapes = _shapes(config, networks, cache, first=dataset.pixels(train[:1]).to(device))
    decoder = drawn(seed_of(run.seed, "decoder", name), lambda: build(shapes, dataset.size, config.architecture))
    rival = None
    if config.losses.adversarial > 0:
        channels, width = [shapes[tap][0] for tap in config.taps], config.measures.adversarial.width
        rival = drawn(seed_of(run.seed, "discriminator", name), lambda: Discriminator(channels, dataset.size, width))
    made = Lesson(
        name=name,
        config=config,
        run=run,
        dataset=dataset,
        device=device,
        networks=networks,
        cache=cache,
        heads=[head.to(device) for head in heads],
        train=train,
        val=val,
        shapes=shapes,
        decoder=decoder.to(device),
        rival=rival and rival.to(device),
    )
    if isinstance(decoder, Normalising):
        decoder.set_moments(moments(made))
    return made


def _shapes(config: DecoderConfig, networks: Mapping[str, Network], cache: Cache, *, first: Tensor) -> dict[str, tuple[int, ...]]:
    """Of the features that are decoded; `first` is any picture, (1, 3, H, W)."""
    if cache:
        return {tap: values.shape[1:] for tap, values in cache.items()}
    seen = look(networks, first, {config.network: config.taps})[config.network]
    return {tap: tuple(value.shape[1:]) for tap, value in seen.items()}


def drawn(seed: int, make: Callable[[], M]) -> M:
    """A module whose random weights come from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


@torch.no_grad()
def moments(lesson: Lesson) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and deviation of every channel over pictures and positions, in float64, of the first training pictures."""
    sums: dict[str, Tensor] = {}
    count = 0
    for rows, images in lesson.batches(lesson.train[: lesson.config.moments]):
        seen = encode(lesson, rows, images)
        for tap, values in seen.items():
            flat = values.flatten(2) if values.ndim == 4 else values[:, :, None]  # (N, C, positions)
            wide = flat.cpu().double()  # not every device has float64
            sums[tap] = sums.get(tap, 0) + torch.stack([wide.mean(2).sum(0), wide.square().mean(2).sum(0)])
        count += len(images)
    averages = {tap: total / count for tap, total in sums.items()}
    return {tap: (mean.float(), (square - mean**2).clamp_min(0).sqrt().float()) for tap, (mean, square) in averages.items()}


def encode(lesson: Lesson, rows: Sequence[int], images: Tensor) -> dict[str, Tensor]:
    """The features that are decoded, tap by tap: from the cache those of `rows`, else those of `images`, as they are."""
    if lesson.cache:
        return cached(lesson.cache, rows, lesson.device)
    return look(lesson.networks, images, {lesson.config.network: lesson.config.taps})[lesson.config.network]


@torch.no_grad()
def truth(lesson: Lesson, rows: Sequence[int], images: Tensor) -> Seen:
    """What networks see in the pictures that are to be found: in float32 under autocast too, as who decodes will see them."""
    with torch.autocast(images.device.type, enabled=False):
        seen = look(lesson.networks, images, wishes(lesson.config, decoded=False))
    if lesson.cache:
        network = lesson.config.network
        seen[network] = seen.get(network, {}) | cached(lesson.cache, rows, lesson.device)
    return seen


def measure(lesson: Lesson, images: Tensor, target: Seen) -> tuple[Tensor, dict[str, Tensor]]:
    """What the decoder makes of the pictures' features, and how far it is from them: every term, and their weighted sum, (N,)."""
    config = lesson.config
    pictures = lesson.decoder({tap: target[config.network][tap] for tap in config.taps}).float()
    seen = look(lesson.networks, pictures, wishes(config, decoded=True))
    return pictures, terms(config, lesson.heads, Pair(pictures=pictures, images=images, seen=seen, target=target))


def loss(lesson: Lesson, rows: list[int], generators: Sequence[torch.Generator]) -> dict[str, Tensor]:
    """Means over a batch of training pictures, which are augmented first: their features are those of what is to be found."""
    places = [lesson.train[row] for row in rows]
    images = augment(lesson.pictures(places), lesson.config.augment, generators)
    target = truth(lesson, places, images)
    pictures, found = measure(lesson, images, target)
    if lesson.rival is not None:
        seen = target[lesson.config.network]
        found |= duel(lesson.rival, images, pictures, [seen[tap] for tap in lesson.config.taps])
        found[LOSS] = found[LOSS] + lesson.config.losses.adversarial * found["adversarial"]
    return {name: value.mean() for name, value in found.items()}


def duel(rival: Discriminator, images: Tensor, pictures: Tensor, features: Sequence[Tensor]) -> dict[str, Tensor]:
    """What the decoder loses by being found out, and the discriminator by not finding out: (N,) each, no slope for the other."""
    told = hinge_discriminator(rival(images, features), rival(pictures.detach(), features))
    with at_rest(rival):
        return {"adversarial": hinge_generator(rival(pictures, features)), RIVAL: told}


@torch.no_grad()
def validate(lesson: Lesson) -> dict[str, float]:
    """Means over the validation pictures, untouched: the terms, PSNR in dB, and what each picture's own mean colour reaches."""
    found: list[dict[str, Tensor]] = []
    for rows, images in lesson.batches(lesson.val):
        pictures, values = measure(lesson, images, truth(lesson, rows, images))
        floor = images.mean((2, 3), keepdim=True).expand_as(images)
        found.append(values | {"psnr": psnr(pictures, images), "floor_own_mean": psnr(floor, images)})
    return {name: float(torch.cat([values[name] for values in found]).cpu().double().mean()) for name in found[0]}


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """In dB, per picture, data range 1; at most 100."""
    return -10 * image.pixel(x, y).clamp_min(1e-10).log10()


@torch.no_grad()
def samples(lesson: Lesson) -> np.ndarray:
    """Validation pictures over what the decoder makes of them: uint8 (2, K, H, W, 3)."""
    parts = [(images, lesson.decoder(encode(lesson, rows, images))) for rows, images in lesson.batches(lesson.val[:SHOWN])]
    return np.stack([to_uint8(torch.cat(side)) for side in zip(*parts, strict=True)])


def sheet(lesson: Lesson) -> np.ndarray:
    """The same as one picture, uint8 (H, W, 3)."""
    return grid(samples(lesson))


def card(lesson: Lesson) -> dict[str, Any]:
    """What a decoder's `model.json` says, beside how its training went and where."""
    return {
        "kind": "decoder",
        "name": lesson.name,
        "config": asdict(lesson.config),
        "shapes": {tap: list(shape) for tap, shape in lesson.shapes.items()},
        "size": lesson.dataset.size,
        "data": {"dataset": lesson.dataset.name, "train": len(lesson.train), "val": len(lesson.val)},
        "parameters": sum(weights.numel() for weights in lesson.decoder.parameters()),
    }
