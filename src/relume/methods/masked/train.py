"""Training a masked model: parts of pictures are hidden, other parts at every step, and the model says what was there."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.core.images import grid, to_uint8
from relume.core.run import Run
from relume.core.runtime import seed_of
from relume.data.masks import in_pixels, masks, masks_of
from relume.data.store import Dataset
from relume.methods.masked.base import Guess, MaskedModel
from relume.methods.masked.config import MaskedConfig
from relume.methods.masked.model import Mixing, build
from relume.training.augment import augment
from relume.training.loop import LOSS, Task
from relume.training.models import read_model

SHOWN = 8  # pictures on a sheet
GREY = 0.5  # what hidden cells look like on it


@dataclass(frozen=True, kw_only=True)
class MaskedLesson:
    """Everything that a masked model is trained with, and the model. Rows are numbers of the dataset."""

    name: str
    config: MaskedConfig
    run: Run
    dataset: Dataset
    device: torch.device
    train: list[int]
    val: list[int]
    model: MaskedModel

    def task(self) -> Task:
        return Task(
            name=self.name,
            module=self.model,
            device=self.device,
            count=len(self.train),
            loss=partial(loss, self),
            validate=partial(validate, self),
            look=partial(progress, self),
        )

    def pictures(self, rows: Sequence[int]) -> Tensor:
        return self.dataset.pixels(list(rows)).to(self.device)

    def batches(self, rows: Sequence[int]) -> Iterator[tuple[Tensor, Tensor]]:
        """Pictures and their own masks, a micro-batch at a time."""
        step = self.run.micro_batch
        for part in (rows[at : at + step] for at in range(0, len(rows), step)):
            hidden = masks_of(self.dataset.ids(list(part)), self.model.side, self.config.masks, self.run.seed)
            yield self.pictures(part), hidden.to(self.device)


def masked_lesson(
    *, name: str, config: MaskedConfig, run: Run, dataset: Dataset, device: torch.device, tokenizer: Path | None = None
) -> MaskedLesson:
    """The model built, its weights drawn from the seed and its name. `tokenizer`: the folder of the one that BEiT is given."""
    if dataset.name != config.dataset:
        raise UserError(f"masked model {name} is to learn from {config.dataset}, but --images holds {dataset.name}")
    if dataset.size % config.masks.cell or dataset.size < 2 * config.masks.cell:
        raise UserError(f"train_masked: pictures of {dataset.size} px are not made of cells of {config.masks.cell} px")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(run.seed, "masked", name))
        model = build(config.architecture, dataset.size, config.masks.cell)
    if config.tokenized:
        _give(model, config, tokenizer)
    return MaskedLesson(
        name=name,
        config=config,
        run=run,
        dataset=dataset,
        device=device,
        train=dataset.select("train"),
        val=dataset.select("val", config.validation),
        model=model.to(device),
    )


def _give(model: MaskedModel, config: MaskedConfig, folder: Path | None) -> None:
    """Its trained tokenizer to a model that needs one."""
    if folder is None:
        raise UserError(f"tokenizer: {config.tokenizer} is to be read, but no folder of a tokenizer was given")
    tensors, card = read_model(folder)
    wanted = {"architecture": asdict(config)["architecture"]["tokenizer"], "size": model.size, "cell": model.cell}
    found = {"architecture": card["config"]["architecture"], "size": card["size"], "cell": card["config"]["masks"]["cell"]}
    found["architecture"] = found["architecture"] | {"levels": tuple(found["architecture"].get("levels", ()))}
    if found != wanted:
        raise UserError(f"{folder}: a tokenizer of {wanted} is wanted, this is one of {found}")
    model.get_submodule("tokenizer").load_state_dict(tensors)


def loss(lesson: MaskedLesson, rows: list[int], generators: Sequence[torch.Generator]) -> dict[str, Tensor]:
    """Means over a batch of training pictures; masks, partners and augmentation come from each row's own generator."""
    images = augment(lesson.pictures([lesson.train[row] for row in rows]), lesson.config.augment, generators)
    hidden = masks(lesson.model.side, lesson.config.masks, generators).to(lesson.device)
    guess: Guess
    if isinstance(lesson.model, Mixing):
        drawn = [int(torch.randint(len(lesson.train), (), generator=one)) for one in generators]
        partners = augment(lesson.pictures([lesson.train[row] for row in drawn]), lesson.config.augment, generators)
        guess = lesson.model.mixed(images, partners, hidden)
    else:
        guess = lesson.model(images, hidden, generators[0])
    return {name: value.mean() for name, value in {LOSS: guess.loss, **guess.terms}.items()}


@torch.no_grad()
def validate(lesson: MaskedLesson) -> dict[str, float]:
    """Means over the validation pictures: terms, PSNR of what is hidden in dB, and what the mean of the visible reaches there."""
    found: list[dict[str, Tensor]] = []
    for images, hidden in lesson.batches(lesson.val):
        guess = lesson.model(images, hidden)
        shown = (~in_pixels(hidden, lesson.model.cell)).float()
        mean = (images * shown).sum((2, 3), keepdim=True) / shown.sum((2, 3), keepdim=True)
        reached = {"psnr_masked": psnr_masked(guess.picture, images, hidden)}
        reached["floor_mean_visible"] = psnr_masked(mean.expand_as(images), images, hidden)
        found.append({LOSS: guess.loss, **guess.terms, **reached})
    return {name: float(torch.cat([values[name] for values in found]).cpu().double().mean()) for name in found[0]}


def psnr_masked(pictures: Tensor, images: Tensor, hidden: Tensor) -> Tensor:
    """In dB, over hidden pixels, per picture, data range 1; at most 100: (N,)."""
    dark = in_pixels(hidden, images.shape[-1] // hidden.shape[-1]).float()
    error = ((pictures - images).square().mean(1, keepdim=True) * dark).sum((1, 2, 3)) / dark.sum((1, 2, 3))
    return -10 * error.clamp_min(1e-10).log10()


@torch.no_grad()
def panels(lesson: MaskedLesson) -> np.ndarray:
    """Validation pictures: what is visible, what is predicted, that pasted, the truth: uint8 (4, K, H, W, 3)."""
    rows = []
    for images, hidden in lesson.batches(lesson.val[:SHOWN]):
        dark, predicted = in_pixels(hidden, lesson.model.cell), lesson.model(images, hidden).picture
        pasted = torch.where(dark, predicted, images)
        rows.append([to_uint8(part) for part in (images.masked_fill(dark, GREY), predicted, pasted, images)])
    return np.stack([np.concatenate(parts) for parts in zip(*rows, strict=True)])


def progress(lesson: MaskedLesson) -> np.ndarray:
    """What is visible over what is predicted: (2, K, H, W, 3)."""
    return panels(lesson)[:2]


def sheet(lesson: MaskedLesson) -> np.ndarray:
    """All panels as one picture, uint8 (H, W, 3)."""
    return grid(panels(lesson))


def card(lesson: MaskedLesson) -> dict[str, Any]:
    """What a masked model's `model.json` says, beside how its training went and where."""
    return {
        "kind": "masked",
        "name": lesson.name,
        "config": asdict(lesson.config),
        "size": lesson.dataset.size,
        "data": {"dataset": lesson.dataset.name, "train": len(lesson.train), "val": len(lesson.val)},
        "parameters": sum(weights.numel() for weights in lesson.model.parameters()),
    }
