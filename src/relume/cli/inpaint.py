"""What `relume inpaint` does: a picture's holes filled by a trained masked model, and how that came about in panels."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from relume.api import MASKED
from relume.api.masked import check_film, drawn, hole_mask, masked_model, whole_picture
from relume.cli import show
from relume.core.errors import UserError
from relume.core.files import find_root
from relume.core.images import grid, save_png
from relume.core.results import GREY
from relume.data.masks_config import Masks
from relume.methods.masked.inpaint import Hole, Inpainting, fill, holes
from relume.methods.masked.trained import TrainedMasked

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Order:
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


def run(order: Order, tell: Tell) -> None:
    """From the command's options to the filled picture; every fault is told before anything is predicted."""
    check(order)
    model = masked_model(order.model, models=find_root(Path.cwd()) / MASKED)
    if order.film:
        check_film(model)
    out = show.target("--out", order.out or Path(f"{order.picture.stem}_filled_{model.name}.png"), ".png", order.picture)
    sheet = show.target("--out's panels", out.with_name(f"{out.stem}_panels.png"), ".png", order.picture)
    if order.mask and order.mask.resolve() in (out.resolve(), sheet.resolve()):
        raise UserError(f"--out {out}: the mask {order.mask} would be written over")
    pixels = whole_picture(order.picture)
    hidden, wanted = _holes(order, model, pixels)
    found = fill(model, pixels, hidden, wanted, film=order.film is not None)
    save_png(out, found.image)
    panels = _panels(pixels, hidden, found, original=order.hide is not None)
    save_png(sheet, panels)
    if order.film:
        show.animation(order.film, [show.handy(frame) for frame in found.frames])
    if not order.no_picture and show.can_show(sys.stdout):
        tell(show.fitting(panels))
    tell(_account(order, model, found, hidden))
    tell("\n".join(str(path) for path in (out, sheet, order.film) if path))
    if order.hide is not None:
        tell(_scores(pixels, hidden, found.image))


def check(order: Order) -> None:
    """Options that do not go together, or say what cannot be."""
    if (order.mask is None) == (order.hide is None):
        raise UserError("either --mask FILE (white is filled) or --hide SHARE (a mask is drawn) is wanted")
    if order.hide is None and (order.pattern or order.seed is not None):
        raise UserError(f"--{'pattern' if order.pattern else 'seed'}: it is for --hide; --mask says itself what is hidden")
    if order.hide is not None and not 0 < order.hide < 1:
        raise UserError(f"--hide {order.hide:g}: a share between 0 and 1 is wanted, as 0.75")
    if order.film:
        show.target("--film", order.film, (".webp", ".gif"), order.picture)


def _holes(order: Order, model: TrainedMasked, pixels: np.ndarray) -> tuple[np.ndarray, list[Hole]]:
    """What is hidden, bool (H, W), and the windows that it is filled by."""
    if order.mask is not None:
        hidden = hole_mask(order.mask, pixels.shape)
        return hidden, holes(hidden, model)
    masks = Masks(pattern=order.pattern or "random", ratio=order.hide or 0.0, cell=model.cell)  # type: ignore[arg-type]
    hidden, hole = drawn(model, pixels.shape, masks, seed=order.seed or 0, id=order.picture.stem)
    return hidden, [hole]


def _panels(pixels: np.ndarray, hidden: np.ndarray, found: Inpainting, *, original: bool) -> np.ndarray:
    """What was visible, what was predicted, that pasted and, where it is the answer, the original, side by side."""
    visible = np.where(hidden[..., None], np.uint8(GREY), pixels)
    shown = [visible, found.prediction, found.image, *([pixels] if original else [])]
    return grid(np.stack([show.handy(panel) for panel in shown])[None])


def _account(order: Order, model: TrainedMasked, found: Inpainting, hidden: np.ndarray) -> str:
    sides = sorted({hole.window.side for hole in found.holes})
    sizes = f"{sides[0]} px" if len(sides) == 1 else f"{sides[0]} to {sides[-1]} px"
    windows = "a window" if len(found.holes) == 1 else f"{len(found.holes)} windows"
    return f"{model.name} sees {windows} of {sizes} at {model.size} px; {hidden.mean():.1%} of {order.picture} is filled"


def _scores(pixels: np.ndarray, hidden: np.ndarray, filled: np.ndarray) -> str:
    """Over hidden pixels alone, in dB, beside what the mean colour of the visible ones reaches there."""
    truth = pixels[hidden] / 255
    reached, floor = (
        -10 * np.log10(max(1e-10, float(np.square(values / 255 - truth).mean())))
        for values in (filled[hidden], pixels[~hidden].mean(0))
    )
    return f"PSNR where it was hidden {reached:.2f} dB; the mean colour of the visible {floor:.2f} dB"
