"""What `relume sample` does: a sheet of a trained generator's pictures, or of crosses between them."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from relume.cli import show
from relume.core.errors import UserError, one_of
from relume.core.files import find_root, read_json
from relume.core.images import grid, save_png, to_uint8
from relume.core.runtime import generator
from relume.methods.gan.generator import Generator
from relume.methods.gan.style_mixing import mixed, truncated_coarse
from relume.methods.gan.trained import TrainedGan, read_gan
from relume.training.models import CARD

GANS = Path("models/gan")
CPU = torch.device("cpu")
LEAST, MOST = 64, 256  # px of a picture on the sheet
ONCE = 4  # pictures made together

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Order:
    """The command's options."""

    generator: str
    out: Path | None
    truncation: float
    layers: int | None
    mix: bool
    crossover: int | None
    rows: int
    columns: int
    seed: int
    no_picture: bool


def run(order: Order, tell: Tell) -> None:
    """From the command's options to the sheet; every fault is told before a picture is made."""
    gan = find(order.generator, find_root(Path.cwd()) / GANS)
    check(order, gan)
    default = Path(f"{gan.name}_{'mix' if order.mix else 'sample'}.png")
    out = show.target("--out", order.out or default, ".png", Path())
    pixels = grid(crosses(order, gan.generator) if order.mix else samples(order, gan.generator))
    save_png(out, pixels)
    if not order.no_picture and show.can_show(sys.stdout):
        tell(show.fitting(pixels))
    tell(f"{gan.name}: {gan.generator.size} px, trained on {gan.dataset}, truncation {order.truncation:g}\n{out}")


def find(name: str, gans: Path) -> TrainedGan:
    """The generator `name` below `gans`, or in the folder `name`."""
    folder = next((place for place in (gans / name, Path(name)) if (place / CARD).exists()), None)
    if folder is None:
        here = sorted(card.parent.name for card in gans.glob(f"*/{CARD}"))
        raise UserError(
            f"there is no generator {name!r} in {gans}, and no such folder; {one_of(here, name)}. "
            "`dvc repro train_gan import_gan` makes those that params.yaml names"
        )
    if read_json(folder / CARD).get("kind") != "gan":
        raise UserError(f"{folder} holds no generator: one that the stage train_gan or import_gan has written is wanted")
    return read_gan(folder, CPU)


def check(order: Order, gan: TrainedGan) -> None:
    """Options that do not go together, or with this generator."""
    layers = gan.generator.layers
    if order.rows < 1 or order.columns < 1:
        raise UserError(f"--rows {order.rows} --columns {order.columns}: at least one of each is wanted")
    if not 0 <= order.truncation <= 1:
        raise UserError(f"--truncation {order.truncation:g}: 0 (the mean of w) to 1 (w as it is) is wanted")
    if order.layers is not None and not 1 <= order.layers <= layers:
        raise UserError(f"--layers {order.layers}: {gan.name} has 1 to {layers} layers of w")
    if order.mix and layers < 2:
        raise UserError(f"--mix: {gan.name} has one layer of w, and nothing to mix")
    if order.crossover is not None and not order.mix:
        raise UserError("--crossover: it is for --mix")
    if order.crossover is not None and not 1 <= order.crossover < layers:
        raise UserError(f"--crossover {order.crossover}: 1 to {layers - 1} of the {layers} layers of w of {gan.name} are wanted")


def samples(order: Order, made: Generator) -> np.ndarray:
    """uint8 (rows, columns, H, W, 3)."""
    pixels = _painted(made, _drawn(order, made, "sample", order.rows * order.columns))
    return pixels.reshape(order.rows, order.columns, *pixels.shape[1:])


def crosses(order: Order, made: Generator) -> np.ndarray:
    """uint8 (rows + 1, columns + 1, H, W, 3): a white corner, fine ones along the top, coarse ones down the left."""
    coarse, fine = _drawn(order, made, "coarse", order.rows), _drawn(order, made, "fine", order.columns)
    crossover = order.crossover or made.layers // 2
    left, top = _painted(made, coarse), _painted(made, fine)
    rows = [_painted(made, mixed(made, one.expand_as(fine), fine, crossover)) for one in coarse]
    head = np.concatenate([np.full_like(top[:1], 255), top])
    return np.stack([head, *(np.concatenate([first[None], row]) for first, row in zip(left, rows, strict=True))])


@torch.no_grad()
def _drawn(order: Order, made: Generator, purpose: str, count: int) -> Tensor:
    """w+ (count, layers, width), truncated."""
    w = made.map(made.draw([generator(order.seed, purpose, number) for number in range(count)]))
    return truncated_coarse(made, w, order.truncation, made.layers if order.layers is None else order.layers)


@torch.no_grad()
def _painted(made: Generator, w: Tensor) -> np.ndarray:
    """uint8 (N, H, W, 3), in a size to look at; with the stored noise, so that crosses differ by their w alone."""
    pictures = [picture for part in w.split(ONCE) for picture in to_uint8(made.synthesise(part))]
    return np.stack([show.handy(picture, LEAST, MOST) for picture in pictures])
