"""Training a masked model: parts of images are hidden, other parts at every step, and the model predicts them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.core.images import grid
from relume.data.masks import in_pixels, masks, masks_of
from relume.methods.masked.base import MaskedModel
from relume.methods.masked.config import MaskedConfig
from relume.methods.masked.model import Mixing, build
from relume.training.augment import augment
from relume.training.models import read_model
from relume.training.trainer import LOSS, SHOWN, Setup, Trainer, mean_metrics, mean_terms, sheet_rows

GREY = 0.5  # what hidden cells look like on a preview


class MaskedTrainer(Trainer[MaskedConfig]):
    """`tokenizer`: the folder of the trained one, for BEiT. `trained=False`: a dry run, its weights are drawn."""

    kind = "masked"
    module: MaskedModel

    def __init__(self, setup: Setup[MaskedConfig], tokenizer: Path | None = None, *, trained: bool = True) -> None:
        super().__init__(setup)
        config, size = self.config, self.dataset.size
        if size % config.masks.cell or size < 2 * config.masks.cell:
            raise UserError(f"{self.key}: images of {size} px cannot be divided into cells of {config.masks.cell} px")
        with self.seeded():
            self.module = build(config.architecture, size, config.masks.cell)
        if config.tokenized and trained:
            self._load_tokenizer(tokenizer)
        self.module.to(self.device)

    def _load_tokenizer(self, folder: Path | None) -> None:
        if folder is None:
            raise UserError(f"{self.key}.tokenizer: {self.config.tokenizer} is to be read, but no folder was given")
        tensors, card = read_model(folder)
        architecture = asdict(self.config)["architecture"]["tokenizer"]
        wanted = {"architecture": architecture, "size": self.module.size, "cell": self.module.cell}
        found = {"architecture": card["config"]["architecture"], "size": card["size"], "cell": card["config"]["masks"]["cell"]}
        found["architecture"] = found["architecture"] | {"levels": tuple(found["architecture"].get("levels", ()))}
        if found != wanted:
            raise UserError(f"{folder}: needs a tokenizer of {wanted}, this is one of {found}")
        self.module.get_submodule("tokenizer").load_state_dict(tensors)

    def _validation(self, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Images and their own masks, the same for all models."""
        hidden = masks_of(self.dataset.ids(list(rows)), self.module.side, self.config.masks, self.run.seed)
        return self.pixels(rows), hidden.to(self.device)

    def loss(self, rows: list[int], generators: Sequence[torch.Generator]) -> dict[str, Tensor]:
        """Masks, partners and augmentation come from each row's own generator."""
        images = augment(self.pixels([self.train[row] for row in rows]), self.config.augment, generators)
        hidden = masks(self.module.side, self.config.masks, generators).to(self.device)
        if isinstance(self.module, Mixing):
            drawn = [int(torch.randint(len(self.train), (), generator=one)) for one in generators]
            partners = augment(self.pixels([self.train[row] for row in drawn]), self.config.augment, generators)
            guess = self.module.mixed(images, partners, hidden)
        else:
            guess = self.module(images, hidden, generators[0])
        return mean_terms({LOSS: guess.loss, **guess.terms})

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Over validation images: terms, PSNR of what is hidden in dB, and what the mean of the visible reaches there."""
        found: list[dict[str, Tensor]] = []
        for images, hidden in map(self._validation, self.batches(self.val)):
            guess = self.module(images, hidden)
            shown = (~in_pixels(hidden, self.module.cell)).float()
            mean = (images * shown).sum((2, 3), keepdim=True) / shown.sum((2, 3), keepdim=True)
            reached = {"psnr_masked": psnr_masked(guess.picture, images, hidden)}
            reached["floor_mean_visible"] = psnr_masked(mean.expand_as(images), images, hidden)
            found.append({LOSS: guess.loss, **guess.terms, **reached})
        return mean_metrics(found)

    @torch.no_grad()
    def panels(self) -> np.ndarray:
        """Validation images: what is visible, what is predicted, that pasted, the truth: uint8 (4, K, H, W, 3)."""
        rows = []
        for images, hidden in map(self._validation, self.batches(self.val[:SHOWN])):
            dark, predicted = in_pixels(hidden, self.module.cell), self.module(images, hidden).picture
            pasted = torch.where(dark, predicted, images)
            rows.append((images.masked_fill(dark, GREY), predicted, pasted, images))
        return sheet_rows(rows)

    def preview(self) -> np.ndarray:
        """What is visible over what is predicted."""
        return self.panels()[:2]

    def samples(self) -> np.ndarray:
        return grid(self.panels())

    def summary(self, metrics: Mapping[str, float]) -> str:
        if self.module.sees_all:
            return f"{metrics['psnr_masked']:.2f} dB with nothing hidden from it"
        hidden = f"where it is hidden; the mean of the visible {metrics['floor_mean_visible']:.2f} dB"
        return f"{metrics['psnr_masked']:.2f} dB {hidden}"


def psnr_masked(pictures: Tensor, images: Tensor, hidden: Tensor) -> Tensor:
    """In dB, over hidden pixels, per image, data range 1; at most 100: (N,)."""
    dark = in_pixels(hidden, images.shape[-1] // hidden.shape[-1]).float()
    error = ((pictures - images).square().mean(1, keepdim=True) * dark).sum((1, 2, 3)) / dark.sum((1, 2, 3))
    return -10 * error.clamp_min(1e-10).log10()
