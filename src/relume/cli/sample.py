"""`relume sample`: a sheet of images of a trained generator, or of style mixing."""

import sys
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor

from relume.cli import show
from relume.core.errors import UserError
from relume.core.files import find_root
from relume.core.images import save_png, to_uint8
from relume.core.runtime import generator
from relume.core.sheet import grid
from relume.methods.gan.generator import Generator
from relume.methods.gan.model import TrainedGan, read_gan
from relume.methods.gan.samples import mixed, truncated_coarse
from relume.training.models import model_folder

GANS = Path("models/gan")
CPU = torch.device("cpu")
MIN_SIDE, MAX_SIDE = 64, 256  # px of an image on the sheet
BATCH = 4  # images per forward pass
MOST = 2500  # images of a sheet; at MAX_SIDE they take half a gigabyte


@dataclass(frozen=True, kw_only=True)
class Options:
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


def run(options: Options) -> None:
    """Checks all options before generating images."""
    folder = model_folder("gan", options.generator, find_root(Path.cwd()) / GANS, stages="train_gan import_gan")
    gan = read_gan(folder, CPU)
    check(options, gan)
    default = Path(f"{gan.name}_{'mix' if options.mix else 'sample'}.png")
    out = show.output_path("--out", options.out or default, ".png", Path())
    pixels = grid(crosses(options, gan.generator) if options.mix else samples(options, gan.generator))
    save_png(out, pixels)
    if not options.no_picture and show.can_show(sys.stdout):
        click.echo(show.fit_terminal(pixels))
    click.echo(f"{gan.name}: {gan.generator.size} px, trained on {gan.dataset}, truncation {options.truncation:g}\n{out}")


def check(options: Options, gan: TrainedGan) -> None:
    """Checks combinations of options, also with the generator."""
    layers = gan.generator.layers
    if options.rows * options.columns > MOST:
        raise UserError(f"--rows, --columns: at most {MOST} images together, got {options.rows} x {options.columns}")
    if options.layers is not None and not 1 <= options.layers <= layers:
        raise UserError(f"--layers: must be from 1 to {layers} for {gan.name}, got {options.layers}")
    if options.mix and layers < 2:
        raise UserError(f"--mix: needs at least 2 layers of w, {gan.name} has 1")
    if options.crossover is not None and not options.mix:
        raise UserError("--crossover: only allowed with --mix")
    if options.crossover is not None and not 1 <= options.crossover < layers:
        raise UserError(f"--crossover: must be from 1 to {layers - 1} for {gan.name}, got {options.crossover}")


def samples(options: Options, made: Generator) -> np.ndarray:
    """uint8 (rows, columns, H, W, 3)."""
    pixels = _painted(made, _drawn(options, made, "sample", options.rows * options.columns))
    return pixels.reshape(options.rows, options.columns, *pixels.shape[1:])


def crosses(options: Options, made: Generator) -> np.ndarray:
    """uint8 (rows + 1, columns + 1, H, W, 3): a white corner, fine styles on top, coarse styles on the left."""
    coarse, fine = _drawn(options, made, "coarse", options.rows), _drawn(options, made, "fine", options.columns)
    crossover = options.crossover or made.layers // 2
    left, top = _painted(made, coarse), _painted(made, fine)
    rows = [_painted(made, mixed(made, one.expand_as(fine), fine, crossover)) for one in coarse]
    head = np.concatenate([np.full_like(top[:1], 255), top])
    return np.stack([head, *(np.concatenate([first[None], row]) for first, row in zip(left, rows, strict=True))])


@torch.no_grad()
def _drawn(options: Options, made: Generator, purpose: str, count: int) -> Tensor:
    """w+ (count, layers, width), truncated."""
    w = made.map(made.draw([generator(options.seed, purpose, number) for number in range(count)]))
    return truncated_coarse(made, w, options.truncation, made.layers if options.layers is None else options.layers)


@torch.no_grad()
def _painted(made: Generator, w: Tensor) -> np.ndarray:
    """uint8 (N, H, W, 3), rescaled for display; with the stored noise, so that images differ by their w only."""
    pictures = [picture for part in w.split(BATCH) for picture in to_uint8(made.synthesise(part))]
    return np.stack([show.rescale(picture, MIN_SIDE, MAX_SIDE) for picture in pictures])
