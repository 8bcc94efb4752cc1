"""Training of a masked model: it predicts hidden parts of images, with random masks at every step."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.core.sheet import grid
from relume.data.masks import in_pixels, masks, masks_of
from relume.methods.masked.base import MaskedModel
from relume.methods.masked.config import MaskedConfig
from relume.methods.masked.model import Mixing, build
from relume.training.augment import augment
from relume.training.models import read_model
from relume.training.trainer import LOSS, SHOWN, Setup, Trainer, mean_metrics, mean_terms, sheet_rows

GREY = 0.5  # colour of hidden cells on a preview
SHARED = 32  # images of a batch with the same mask, where a mask costs a solve


class MaskedTrainer(Trainer[MaskedConfig]):
    """`tokenizer`: the folder of BEiT's trained tokenizer. `trained=False`: random tokenizer weights, for a dry run."""

    kind = "masked"
    module: MaskedModel

    def __init__(self, setup: Setup[MaskedConfig], tokenizer: Path | None = None, *, trained: bool = True) -> None:
        super().__init__(setup)
        config, size = self.config, self.dataset.size
        with self.seeded():
            self.module = build(config.architecture, size, config.masks.cell)
        if self.module.linear is not None and trained:
            self.module.linear.fit(self.dataset, self.train)
        if config.tokenized and trained:
            self._load_tokenizer(tokenizer)
        self.module.to(self.device)

    def _load_tokenizer(self, folder: Path | None) -> None:
        if folder is None:
            raise UserError(f"{self.key}.tokenizer: {self.config.tokenizer} needs the option --tokenizer")
        tensors, card = read_model(folder)
        architecture = asdict(self.config)["architecture"]["tokenizer"]
        expected = {"architecture": architecture, "size": self.module.size, "cell": self.module.cell}
        found = {"architecture": card["config"]["architecture"], "size": card["size"], "cell": card["config"]["masks"]["cell"]}
        found["architecture"] = found["architecture"] | {"levels": tuple(found["architecture"].get("levels", ()))}
        if found != expected:
            raise UserError(f"{folder}: needs a tokenizer with {expected}, got {found}")
        self.module.get_submodule("tokenizer").load_state_dict(tensors)

    def _validation(self, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Images and their fixed masks, the same for all models."""
        hidden = masks_of(self.dataset.ids(list(rows)), self.module.side, self.config.masks, self.run.seed)
        return self.pixels(rows), hidden.to(self.device)

    def loss(self, rows: list[int], generators: Sequence[torch.Generator]) -> dict[str, Tensor]:
        """Masks, partners and augmentation use each row's own generator. With `linear`, SHARED rows have one mask."""
        images = augment(self.pixels([self.train[row] for row in rows]), self.config.augment, generators)
        shared = 1 if self.module.linear is None else SHARED
        hidden = masks(self.module.side, self.config.masks, generators[::shared]).repeat_interleave(shared, 0)[: len(rows)]
        hidden = hidden.to(self.device)
        if isinstance(self.module, Mixing):
            drawn = [int(torch.randint(len(self.train), (), generator=one)) for one in generators]
            partners = augment(self.pixels([self.train[row] for row in drawn]), self.config.augment, generators)
            prediction = self.module.mixed(images, partners, hidden)
        else:
            prediction = self.module(images, hidden, generators[0])
        return mean_terms({LOSS: prediction.loss, **prediction.terms})

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """On validation images: terms, PSNR over hidden pixels in dB, and that of the mean of the visible pixels."""
        found: list[dict[str, Tensor]] = []
        for images, hidden in map(self._validation, self.batches(self.val)):
            prediction = self.module(images, hidden)
            shown = (~in_pixels(hidden, self.module.cell)).float()
            mean = (images * shown).sum((2, 3), keepdim=True) / shown.sum((2, 3), keepdim=True)
            metrics = {"psnr_masked": psnr_masked(prediction.picture, images, hidden)}
            metrics["floor_mean_visible"] = psnr_masked(mean.expand_as(images), images, hidden)
            found.append({LOSS: prediction.loss, **prediction.terms, **metrics})
        return mean_metrics(found)

    @torch.no_grad()
    def panels(self) -> np.ndarray:
        """Validation images: visible part, prediction, prediction pasted, original: uint8 (4, K, H, W, 3)."""
        rows = []
        for images, hidden in map(self._validation, self.batches(self.val[:SHOWN])):
            masked, predicted = in_pixels(hidden, self.module.cell), self.module(images, hidden).picture
            pasted = torch.where(masked, predicted, images)
            rows.append((images.masked_fill(masked, GREY), predicted, pasted, images))
        return sheet_rows(rows)

    def preview(self) -> np.ndarray:
        """The visible parts, then the predictions."""
        return self.panels()[:2]

    def samples(self) -> np.ndarray:
        return grid(self.panels())

    def summary(self, metrics: Mapping[str, float]) -> str:
        if self.module.sees_all:
            return f"{metrics['psnr_masked']:.2f} dB without masks"
        floor = f"mean of visible pixels: {metrics['floor_mean_visible']:.2f} dB"
        return f"{metrics['psnr_masked']:.2f} dB over hidden pixels; {floor}"


def psnr_masked(pictures: Tensor, images: Tensor, hidden: Tensor) -> Tensor:
    """In dB, over hidden pixels, per image, data range 1; at most 100: (N,)."""
    masked = in_pixels(hidden, images.shape[-1] // hidden.shape[-1]).float()
    error = ((pictures - images).square().mean(1, keepdim=True) * masked).sum((1, 2, 3)) / masked.sum((1, 2, 3))
    return -10 * error.clamp_min(1e-10).log10()
