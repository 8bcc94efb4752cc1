"""`relume.inpaint`: finds masked models, and fills the holes of an image."""

from pathlib import Path

import numpy as np
import torch

from relume.core.errors import UserError, one_of
from relume.core.files import find_root, read_json
from relume.data.config import Masks
from relume.data.decode import BadPicture, decode
from relume.data.masks import masks_of
from relume.methods.masked.energy_transformer import EnergyTransformer
from relume.methods.masked.inpaint import Hole, Inpainting, Window, fill, holes
from relume.methods.masked.model import TrainedMasked, read_masked
from relume.training.models import CARD, model_folder

MASKED = Path("models/masked")
CPU = torch.device("cpu")
LIGHT = 128  # of 255: lighter pixels of a mask are hidden

Picture = str | Path | np.ndarray  # a file, or uint8 (H, W, 3)
Mask = str | Path | np.ndarray  # a file, white where hidden, or bool (H, W)


def inpaint(picture: Picture, mask: Mask, model: str | Path | TrainedMasked | None = None, *, film: bool = False) -> Inpainting:
    """Fills the masked pixels of an image by a trained masked model: `image`, uint8 (H, W, 3). Visible pixels do not change.

    picture: a file or uint8 (H, W, 3). mask: a file, white where hidden, or bool (H, W). model: its name in the project's
    models/masked or its folder; None: the only one there. film: keep the image of each step of an Energy Transformer.
    """
    reader = model if isinstance(model, TrainedMasked) else masked_model(model, models=find_root(Path.cwd()) / MASKED)
    if film:
        check_film(reader)
    pixels = whole_picture(picture)
    hidden = hole_mask(mask, pixels.shape)
    return fill(reader, pixels, hidden, holes(hidden, reader), film=film)


def masked_model(name: str | Path | None = None, *, models: Path, device: torch.device = CPU) -> TrainedMasked:
    """The masked model `name` below `models`, or in the folder `name`; without a name the only one in `models`."""
    names = predicting_models(models)
    if name is None and len(names) != 1:
        hint = "name one (--model or model=)" if names else "run `dvc repro train_masked`"
        raise UserError(f"{models} has {len(names)} masked models: {hint}; {one_of(names)}")
    return read_masked(model_folder("masked", name or names[0], models, stages="train_masked", names=names), device)


def predicting_models(models: Path) -> list[str]:
    """The names of the masked models in `models`, without tokenizers."""
    cards = {card.parent.name: read_json(card) for card in models.glob(f"*/{CARD}")}
    kinds = {name: card["config"]["architecture"]["kind"] for name, card in cards.items() if card.get("kind") == "masked"}
    return sorted(name for name, kind in kinds.items() if kind != "tokenizer")


def whole_picture(picture: Picture) -> np.ndarray:
    """An image, or an image file turned upright: uint8 (H, W, 3)."""
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] != 3:
            raise UserError(f"needs an image uint8 (H, W, 3), got {picture.dtype} {picture.shape}")
        return picture
    try:
        return np.asarray(decode(Path(picture).read_bytes()))
    except (OSError, BadPicture) as error:
        raise UserError(f"{picture}: {error}") from None


def hole_mask(mask: Mask, shape: tuple[int, ...]) -> np.ndarray:
    """The hidden pixels, bool (H, W), for an image of this shape. In a file they are light; transparent pixels count as white."""
    if isinstance(mask, np.ndarray):
        name, found = "the mask", mask
        if found.dtype != bool or found.ndim != 2:
            raise UserError(f"needs a mask bool (H, W), True where hidden, got {found.dtype} {found.shape}")
    else:
        name, found = str(mask), whole_picture(mask).mean(-1) >= LIGHT
    (height, width), (high, wide) = found.shape, shape[:2]
    if (height, width) != (high, wide):
        raise UserError(f"{name}: must have the size of the image, {wide} x {high} pixels, got {width} x {height}")
    if found.all() or not found.any():
        fault = "hides all pixels" if found.all() else "hides nothing"
        raise UserError(f"{name} {fault}: white ({LIGHT} of 255 or more) is filled, black is known")
    return found


def draw_hole(model: TrainedMasked, shape: tuple[int, ...], masks: Masks, *, seed: int, id: str) -> tuple[np.ndarray, Hole]:
    """A random mask on the largest central square of the model's cells: bool (H, W), and the same as a hole."""
    count, short = model.size // model.cell, min(shape[:2])
    if short < count:
        raise UserError(f"image of {shape[1]} x {shape[0]} pixels: needs at least {count} x {count}")
    side = short - short % count
    window = Window(top=(shape[0] - side) // 2, left=(shape[1] - side) // 2, side=side)
    own = masks_of([id], count, masks, seed)[0].numpy().repeat(side // count, 0).repeat(side // count, 1)
    hidden = np.zeros(shape[:2], bool)
    hidden[window.overlap(shape)[1]] = own
    return hidden, Hole(window=window, own=own)


def check_film(model: TrainedMasked) -> None:
    if not isinstance(model.module, EnergyTransformer):
        raise UserError(f"film: needs an Energy Transformer, {model.name} is a {type(model.module).__name__}")
