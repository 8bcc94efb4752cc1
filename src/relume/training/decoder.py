"""Training a decoder: a frozen network looks at pictures, the decoder gives them back, terms say how far they are apart."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from relume.core.errors import UserError
from relume.core.images import grid, to_uint8
from relume.core.run import Run
from relume.core.runtime import seed_of
from relume.data.store import Dataset
from relume.features.networks import Network, load
from relume.features.taps import collect
from relume.features.weights import WeightStore
from relume.losses import feature, image
from relume.losses.adversarial import deceive, hinge
from relume.losses.perceptual import LPIPS_TAPS, heads_of, lpips
from relume.models.decoder import Decoder
from relume.models.decoders import build
from relume.models.discriminator import Discriminator
from relume.training.augment import augment
from relume.training.config import DecoderConfig
from relume.training.loop import LOSS, Task
from relume.training.rival import RIVAL, Rival

SHOWN = 8  # pictures on a sheet

M = TypeVar("M", bound=nn.Module)
Seen = dict[str, dict[str, Tensor]]  # network -> tap -> features
Wanted = Mapping[str, tuple[str, ...]]  # network -> taps


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """Everything that a decoder is trained with, and the decoder. Rows are numbers of the dataset."""

    name: str
    config: DecoderConfig
    run: Run
    dataset: Dataset
    device: torch.device
    networks: Mapping[str, Network]
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

    def batches(self, rows: Sequence[int]) -> Iterator[Tensor]:
        step = self.run.micro_batch
        return (self.pictures(rows[at : at + step]) for at in range(0, len(rows), step))


def lesson(*, name: str, config: DecoderConfig, run: Run, dataset: Dataset, store: WeightStore, device: torch.device) -> Lesson:
    """Networks loaded, the decoder built to the features' shapes, its weights drawn from the seed and its name."""
    if dataset.name != config.dataset:
        raise UserError(f"decoder {name} is to learn from {config.dataset}, but --images holds {dataset.name}")
    judge, _ = LPIPS_TAPS[config.measures.lpips]
    learns = config.losses.lpips > 0
    names = {config.network: None} | ({judge: None} if learns else {})
    networks = {network: load(network, store, device) for network in names}
    heads = heads_of(config.measures.lpips, store.tensors(f"lpips_{config.measures.lpips}")) if learns else []
    train, val = dataset.select("train"), dataset.select("val", config.validation)
    encoder = partial(look, networks, wanted={config.network: config.taps})
    first = encoder(dataset.pixels(train[:1]).to(device))[config.network]
    shapes = {tap: tuple(value.shape[1:]) for tap, value in first.items()}
    decoder = drawn(seed_of(run.seed, "decoder", name), lambda: build(shapes, dataset.size, config.architecture))
    rival = None
    if config.losses.adversarial > 0:
        channels, width = shapes[config.taps[0]][0], config.measures.adversarial.width
        rival = drawn(seed_of(run.seed, "discriminator", name), lambda: Discriminator(channels, dataset.size, width).to(device))
    made = Lesson(
        name=name,
        config=config,
        run=run,
        dataset=dataset,
        device=device,
        networks=networks,
        heads=[head.to(device) for head in heads],
        train=train,
        val=val,
        shapes=shapes,
        decoder=decoder.to(device),
        rival=rival,
    )
    if decoder.normalises:
        decoder.set_moments(moments(made))
    return made


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
    for images in lesson.batches(lesson.train[: lesson.config.moments]):
        seen = encode(lesson, images)
        for tap, values in seen.items():
            flat = values.flatten(2) if values.ndim == 4 else values[:, :, None]  # (N, C, positions)
            wide = flat.cpu().double()  # not every device has float64
            sums[tap] = sums.get(tap, 0) + torch.stack([wide.mean(2).sum(0), wide.square().mean(2).sum(0)])
        count += len(images)
    averages = {tap: total / count for tap, total in sums.items()}
    return {tap: (mean.float(), (square - mean**2).clamp_min(0).sqrt().float()) for tap, (mean, square) in averages.items()}


def look(networks: Mapping[str, Network], images: Tensor, wanted: Wanted) -> Seen:
    """One forward pass per network, features in float32."""
    seen: Seen = {}
    for name, taps in wanted.items():
        with collect(networks[name], taps) as tapped:
            seen[name] = {tap: value.float() for tap, value in tapped(images).items()}
    return seen


def encode(lesson: Lesson, images: Tensor) -> dict[str, Tensor]:
    """The features that are decoded, tap by tap."""
    return look(lesson.networks, images, {lesson.config.network: lesson.config.taps})[lesson.config.network]


def wishes(config: DecoderConfig, *, decoded: bool) -> Wanted:
    """The taps that are needed of the pictures, or of what the decoder makes of them: those of its terms alone."""
    parts: list[tuple[str, tuple[str, ...]]] = []
    if not decoded or config.losses.feature > 0:
        parts.append((config.network, config.taps))
    if config.losses.lpips > 0:
        parts.append(LPIPS_TAPS[config.measures.lpips])
    found: dict[str, tuple[str, ...]] = {}
    for network, taps in parts:
        found[network] = tuple(dict.fromkeys([*found.get(network, ()), *taps]))
    return found


@torch.no_grad()
def truth(lesson: Lesson, images: Tensor) -> Seen:
    """What networks see in the pictures that are to be found."""
    return look(lesson.networks, images, wishes(lesson.config, decoded=False))


def measure(lesson: Lesson, images: Tensor, target: Seen) -> tuple[Tensor, dict[str, Tensor]]:
    """What the decoder makes of the pictures' features, and every term of weight, unweighted, with their weighted sum: (N,).

    Without the term `adversarial`, which is no measure: its scale moves with the discriminator.
    """
    config = lesson.config
    pictures = lesson.decoder({tap: target[config.network][tap] for tap in config.taps}).float()
    seen = look(lesson.networks, pictures, wishes(config, decoded=True))
    weights = {name: weight for name, weight in asdict(config.losses).items() if name in TERMS and weight > 0}
    terms = {name: TERMS[name](lesson, pictures, images, seen, target) for name in weights}
    total = torch.stack([weight * terms[name] for name, weight in weights.items()]).sum(0)
    return pictures, {LOSS: total, **terms}


def _pixel(lesson: Lesson, pictures: Tensor, images: Tensor, seen: Seen, target: Seen) -> Tensor:
    if lesson.config.measures.pixel == "l1":
        return (pictures - images).abs().flatten(1).mean(1)
    return image.pixel(pictures, images)


def _lpips(lesson: Lesson, pictures: Tensor, images: Tensor, seen: Seen, target: Seen) -> Tensor:
    network, taps = LPIPS_TAPS[lesson.config.measures.lpips]
    here, there = seen[network], target[network]
    return lpips([here[tap] for tap in taps], [there[tap] for tap in taps], lesson.heads)


def _feature(lesson: Lesson, pictures: Tensor, images: Tensor, seen: Seen, target: Seen) -> Tensor:
    network, taps = lesson.config.network, lesson.config.taps
    return feature.weighted("relative_l2", seen[network], target[network], dict.fromkeys(taps, 1.0))


TERMS = {"pixel": _pixel, "lpips": _lpips, "feature": _feature}


def loss(lesson: Lesson, rows: list[int], generators: Sequence[torch.Generator]) -> dict[str, Tensor]:
    """Means over a batch of training pictures, which are augmented first: their features are those of what is to be found."""
    images = augment(lesson.pictures([lesson.train[row] for row in rows]), lesson.config.augment, generators)
    target = truth(lesson, images)
    pictures, terms = measure(lesson, images, target)
    if lesson.rival is not None:
        terms |= duel(lesson.rival, images, pictures, target[lesson.config.network][lesson.config.taps[0]])
        terms[LOSS] = terms[LOSS] + lesson.config.losses.adversarial * terms["adversarial"]
    return {name: value.mean() for name, value in terms.items()}


def duel(rival: Discriminator, images: Tensor, pictures: Tensor, features: Tensor) -> dict[str, Tensor]:
    """What the decoder loses by being found out, and the discriminator by not finding out: (N,) each."""
    told = hinge(rival(images, features), rival(pictures.detach(), features))
    return {"adversarial": deceive(rival(pictures, features)), RIVAL: told}


@torch.no_grad()
def validate(lesson: Lesson) -> dict[str, float]:
    """Means over the validation pictures, untouched: the terms, PSNR in dB, and what each picture's own mean colour reaches."""
    found: list[dict[str, Tensor]] = []
    for images in lesson.batches(lesson.val):
        pictures, terms = measure(lesson, images, truth(lesson, images))
        floor = images.mean((2, 3), keepdim=True).expand_as(images)
        found.append(terms | {"psnr": psnr(pictures, images), "floor_own_mean": psnr(floor, images)})
    return {name: float(torch.cat([terms[name] for terms in found]).cpu().double().mean()) for name in found[0]}


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """In dB, per picture, data range 1; at most 100."""
    return -10 * image.pixel(x, y).clamp_min(1e-10).log10()


@torch.no_grad()
def samples(lesson: Lesson) -> np.ndarray:
    """Validation pictures over what the decoder makes of them: uint8 (2, K, H, W, 3)."""
    images = lesson.pictures(lesson.val[:SHOWN])
    pictures = torch.cat([lesson.decoder(encode(lesson, batch)) for batch in images.split(lesson.run.micro_batch)])
    return np.stack([to_uint8(images), to_uint8(pictures)])


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
