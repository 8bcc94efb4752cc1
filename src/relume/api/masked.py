"""`relume.api` for masked models: which are here, and a picture's holes filled by one."""

from pathlib import Path

import numpy as np
import torch

from relume.core.errors import UserError, one_of
from relume.core.files import read_json
from relume.data.decode import BadPicture, decode
from relume.data.masks import masks_of
from relume.data.masks_config import Masks
from relume.methods.masked.energy_transformer import EnergyTransformer
from relume.methods.masked.inpaint import Hole, Inpainting, Window, fill, holes
from relume.methods.masked.trained import TrainedMasked, read_masked
from relume.training.models import CARD

CPU = torch.device("cpu")
LIGHT = 128  # of 255: what is as light as this in a mask is to be filled

Picture = str | Path | np.ndarray  # a file, or uint8 (H, W, 3)
Mask = str | Path | np.ndarray  # a file, light where it is to be filled, or bool (H, W)


def masked_model(name: str | Path | None = None, *, models: Path, device: torch.device = CPU) -> TrainedMasked:
    """The masked model `name` below `models`, or in the folder `name`; without a name the only one that is here."""
    if name is None:
        name = _only(models)
    folder = next((place for place in (models / name, Path(name)) if (place / CARD).exists()), None)
    if folder is None:
        raise UserError(f"there is no masked model {str(name)!r} in {models}, and no such folder; {_trained(models, str(name))}")
    if read_json(folder / CARD).get("kind") != "masked":
        raise UserError(f"{folder} holds no masked model: one that the stage train_masked has written is wanted")
    return read_masked(folder, device)


def _only(models: Path) -> str:
    here = predicting(models)
    if not here:
        raise UserError(f"no masked model is in {models}; {_trained(models)}")
    if len(here) > 1:
        raise UserError(f"{len(here)} masked models are in {models}: say which (--model, or model=); {_trained(models)}")
    return here[0]


def _trained(models: Path, wrong: str = "") -> str:
    return f"{one_of(predicting(models), wrong)}. `dvc repro train_masked` trains those that params.yaml names"


def predicting(models: Path) -> list[str]:
    """Names of the masked models that are here, without tokenizers, which predict nothing."""
    cards = {card.parent.name: read_json(card) for card in models.glob(f"*/{CARD}")}
    kinds = {name: card["config"]["architecture"]["kind"] for name, card in cards.items() if card.get("kind") == "masked"}
    return sorted(name for name, kind in kinds.items() if kind != "tokenizer")


def whole_picture(picture: Picture) -> np.ndarray:
    """A picture file as it is, upright, uint8 (H, W, 3)."""
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] != 3:
            raise UserError(f"a picture is uint8 (H, W, 3), got {picture.dtype} {picture.shape}")
        return picture
    try:
        return np.asarray(decode(Path(picture).read_bytes()))
    except (OSError, BadPicture) as error:
        raise UserError(f"{picture}: {error}") from None


def hole_mask(mask: Mask, shape: tuple[int, ...]) -> np.ndarray:
    """What is to be filled of a picture of this shape: bool (H, W). In a file, light pixels; transparent ones are white."""
    if isinstance(mask, np.ndarray):
        name, found = "the mask", mask
        if found.dtype != bool or found.ndim != 2:
            raise UserError(f"a mask is boolean (H, W), True where it is to be filled; got {found.dtype} {found.shape}")
    else:
        name, found = str(mask), whole_picture(mask).mean(-1) >= LIGHT
    (height, width), (high, wide) = found.shape, shape[:2]
    if (height, width) != (high, wide):
        sizes = f"{width} x {height} pixels and the picture {wide} x {high}"
        raise UserError(f"{name} has {sizes}: a mask of the picture's size is wanted")
    if found.all() or not found.any():
        fault = "hides everything, and leaves nothing to go by" if found.all() else "hides nothing"
        raise UserError(f"{name} {fault}: white ({LIGHT} of 255 or more) is what is to be filled, black what is known")
    return found


def drawn(model: TrainedMasked, shape: tuple[int, ...], masks: Masks, *, seed: int, id: str) -> tuple[np.ndarray, Hole]:
    """A mask in the model's own cells over the picture's middle, the largest square of them: bool (H, W), and it as a hole."""
    count, short = model.size // model.cell, min(shape[:2])
    if short < count:
        raise UserError(f"a picture of {shape[1]} x {shape[0]} pixels cannot be hidden in {count} x {count} cells")
    side = short - short % count
    window = Window(top=(shape[0] - side) // 2, left=(shape[1] - side) // 2, side=side)
    own = masks_of([id], count, masks, seed)[0].numpy().repeat(side // count, 0).repeat(side // count, 1)
    hidden = np.zeros(shape[:2], bool)
    hidden[window.overlap(shape)[1]] = own
    return hidden, Hole(window=window, own=own)


def inpaint(
    picture: Picture,
    mask: Mask,
    model: str | Path | TrainedMasked | None = None,
    *,
    models: Path,
    film: bool = False,
) -> Inpainting:
    """As `relume.api.inpaint` says."""
    reader = model if isinstance(model, TrainedMasked) else masked_model(model, models=models)
    if film:
        check_film(reader)
    pixels = whole_picture(picture)
    hidden = hole_mask(mask, pixels.shape)
    return fill(reader, pixels, hidden, holes(hidden, reader), film=film)


def check_film(model: TrainedMasked) -> None:
    if not isinstance(model.module, EnergyTransformer):
        raise UserError(f"film: {model.name} is a {type(model.module).__name__} and makes no steps; an Energy Transformer does")
