"""`relume inpaint`: fills the holes of an image by a trained masked model, and saves panels."""

import sys
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from relume.api.inpainting import MASKED, check_film, draw_hole, hole_mask, masked_model, whole_picture
from relume.cli import show
from relume.core.errors import UserError
from relume.core.files import find_root
from relume.core.images import save_png
from relume.core.results import GREY
from relume.data.config import Masks
from relume.methods.masked.inpaint import Hole, Inpainting, fill, holes
from relume.methods.masked.model import TrainedMasked


@dataclass(frozen=True, kw_only=True)
class Options:
    """The command's options."""

    picture: Path
    mask: Path | None
    hide: float | None
    pattern: str | None
    seed: int | None
    model: str | None
    out: Path | None
    film: Path | None
    no_picture: bool


def run(options: Options) -> None:
    """Checks all options before predicting."""
    check(options)
    model = masked_model(options.model, models=find_root(Path.cwd()) / MASKED)
    if options.film:
        check_film(model)
    out = show.output_path(
        "--out", options.out or Path(f"{options.picture.stem}_filled_{model.name}.png"), ".png", options.picture
    )
    sheet = show.output_path("--out (panels)", out.with_name(f"{out.stem}_panels.png"), ".png", options.picture)
    if options.mask and options.mask.resolve() in (out.resolve(), sheet.resolve()):
        raise UserError(f"--out {out}: would overwrite the mask {options.mask}")
    pixels = whole_picture(options.picture)
    hidden, wanted = _holes(options, model, pixels)
    found = fill(model, pixels, hidden, wanted, film=options.film is not None)
    save_png(out, found.image)
    panels = show.save_panels(sheet, *_panels(pixels, hidden, found, original=options.hide is not None))
    if options.film:
        show.animation(options.film, [show.rescale(frame) for frame in found.frames])
    if not options.no_picture and show.can_show(sys.stdout):
        click.echo(show.fit_terminal(panels))
    click.echo(_summary(options, model, found, hidden))
    click.echo("\n".join(str(path) for path in (out, sheet, options.film) if path))
    if options.hide is not None:
        click.echo(_scores(pixels, hidden, found.image))


def check(options: Options) -> None:
    """Checks combinations of options."""
    if (options.mask is None) == (options.hide is None):
        raise UserError("needs either --mask FILE or --hide SHARE")
    if options.hide is None and (options.pattern or options.seed is not None):
        raise UserError(f"--{'pattern' if options.pattern else 'seed'}: only allowed with --hide")
    if options.film:
        show.output_path("--film", options.film, (".webp", ".gif"), options.picture)


def _holes(options: Options, model: TrainedMasked, pixels: np.ndarray) -> tuple[np.ndarray, list[Hole]]:
    """The hidden pixels, bool (H, W), and the windows of the model."""
    if options.mask is not None:
        hidden = hole_mask(options.mask, pixels.shape)
        return hidden, holes(hidden, model)
    masks = Masks(pattern=options.pattern or "random", ratio=options.hide or 0.0, cell=model.cell)  # type: ignore[arg-type]
    hidden, hole = draw_hole(model, pixels.shape, masks, seed=options.seed or 0, id=options.picture.stem)
    return hidden, [hole]


def _panels(pixels: np.ndarray, hidden: np.ndarray, found: Inpainting, *, original: bool) -> tuple[list[np.ndarray], list[str]]:
    """The visible part, the prediction, the pasted prediction and, with --hide, the original; their headings."""
    visible = np.where(hidden[..., None], np.uint8(GREY), pixels)
    shown = {"visible": visible, "prediction": found.prediction, "filled": found.image} | (
        {"original": pixels} if original else {}
    )
    return [show.rescale(panel) for panel in shown.values()], list(shown)


def _summary(options: Options, model: TrainedMasked, found: Inpainting, hidden: np.ndarray) -> str:
    sides = sorted({hole.window.side for hole in found.holes})
    sizes = f"{sides[0]} px" if len(sides) == 1 else f"{sides[0]} to {sides[-1]} px"
    windows = "1 window" if len(found.holes) == 1 else f"{len(found.holes)} windows"
    share = f"{hidden.mean():.1%} of {options.picture} is filled"
    if options.hide is not None:
        share = f"{options.hide:.3g} of the central square, {share}"
    return f"{model.name}: {windows} of {sizes}, resized to {model.size} px; {share}"


def _scores(pixels: np.ndarray, hidden: np.ndarray, filled: np.ndarray) -> str:
    """PSNR over the hidden pixels; baseline: the mean colour of the visible ones."""
    truth = pixels[hidden] / 255
    value, baseline = (
        -10 * np.log10(max(1e-10, float(np.square(values / 255 - truth).mean())))
        for values in (filled[hidden], pixels[~hidden].mean(0))
    )
    return f"PSNR of the hidden pixels {value:.2f} dB; baseline (mean colour of the visible pixels) {baseline:.2f} dB"
