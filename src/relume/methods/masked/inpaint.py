"""Fills holes in an image of any size by a masked model, in square windows around them. A window is resized by box means, so
visible cells know nothing of hidden ones; cells that touch a hidden pixel are hidden. Only hidden pixels are replaced."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from relume.core.errors import UserError
from relume.core.images import to_float, to_uint8
from relume.data.masks import in_pixels
from relume.methods.masked.energy_transformer import EnergyTransformer
from relume.methods.masked.trained import TrainedMasked

MOST = 64  # holes that get a window each; of more, all have one together
CONTEXT = 2  # sides of a hole that its window has, where the picture is large enough
LEAST = 0.15  # share of a window's cells that should be visible: it is as much as models learn with


@dataclass(frozen=True, kw_only=True)
class Window:
    """A square of a picture, in its pixels. It may reach beyond the picture: what lies outside is hidden."""

    top: int
    left: int
    side: int

    def cut(self, values: np.ndarray, outside: int | bool) -> np.ndarray:
        """(H, W, …) -> (side, side, …)."""
        found = np.full((self.side, self.side, *values.shape[2:]), outside, values.dtype)
        there, here = self.overlap(values.shape)
        found[there] = values[here]
        return found

    def overlap(self, shape: Sequence[int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """What it has of a picture of this shape: where that is in the window, and in the picture."""
        ends = [(max(0, at), min(size, at + self.side)) for at, size in ((self.top, shape[0]), (self.left, shape[1]))]
        (top, bottom), (left, right) = ends
        inside = slice(top - self.top, bottom - self.top), slice(left - self.left, right - self.left)
        return inside, (slice(top, bottom), slice(left, right))


@dataclass(frozen=True, kw_only=True)
class Hole:
    window: Window
    own: np.ndarray  # bool (side, side): the pixels of the window that are filled by it


@dataclass(frozen=True, kw_only=True)
class Inpainting:
    """`image` and `prediction` differ in visible pixels: they are the picture's own in the first."""

    image: np.ndarray  # uint8 (H, W, 3): the picture with its holes filled
    prediction: np.ndarray  # uint8 (H, W, 3): all that was predicted of the windows, laid over the picture
    holes: list[Hole]
    frames: list[np.ndarray]  # uint8 (H, W, 3) each: `image` after every step, where it was asked for and the model makes steps


def holes(hidden: np.ndarray, model: TrainedMasked) -> list[Hole]:
    """bool (H, W), True where it is to be filled -> a window for each connected part of it."""
    parts, count = ndimage.label(hidden, np.ones((3, 3)))
    if count > MOST:
        parts, count = hidden.astype(int), 1
    found = []
    for number, box in enumerate(ndimage.find_objects(parts, count), 1):
        window = around(box, hidden, model)
        found.append(Hole(window=window, own=window.cut(parts == number, False)))
    return found


def around(box: tuple[slice, slice], hidden: np.ndarray, model: TrainedMasked) -> Window:
    """The smallest of some squares about a box that shows enough: CONTEXT times the box, but of the model's size at least and
    within the picture; as large as the picture's short side; as its long one."""
    height, width = hidden.shape
    hole = max(along.stop - along.start for along in box)
    short, long = min(height, width), max(height, width)
    sides = [side for side in (min(short, max(model.size, CONTEXT * hole)), short, long) if side >= hole]
    windows = [Window(top=_place(box[0], side, height), left=_place(box[1], side, width), side=side) for side in sides]
    shown = [1 - float(touched(window.cut(hidden, True), model.size // model.cell).mean()) for window in windows]
    enough = next((window for window, share in zip(windows, shown, strict=True) if share >= LEAST), None)
    if not max(shown):
        where = f"row {box[0].start}, column {box[1].start}"
        raise UserError(f"around the hole at {where} no cell of the model's is free of the mask: it has nothing to go by")
    return enough or windows[shown.index(max(shown))]


def _place(along: slice, side: int, size: int) -> int:
    """Where a window about it begins: within the picture if it fits, in its middle if not."""
    if side > size:
        return (size - side) // 2
    return min(max(0, (along.start + along.stop - side) // 2), size - side)


def touched(hidden: np.ndarray, cells: int) -> np.ndarray:
    """bool (side, side) -> (cells, cells): which cells have a part of a hidden pixel. They need not be whole pixels large."""
    side = len(hidden)
    ends = [(at * side // cells, -(-(at + 1) * side // cells)) for at in range(cells)]
    return np.array([[hidden[top:bottom, left:right].any() for left, right in ends] for top, bottom in ends])


def fill(model: TrainedMasked, pixels: np.ndarray, hidden: np.ndarray, holes: Iterable[Hole], *, film: bool) -> Inpainting:
    """uint8 (H, W, 3), bool (H, W). Every hole is filled from what is visible alone, none from another's filling."""
    given, whole, frames = list(holes), pixels.copy(), [pixels.copy()]
    for number, hole in enumerate(given):
        made = _predicted(model, *seen(model, hole.window, pixels, hidden), film=film)
        frames = frames if number else [pixels.copy() for _ in made]
        for frame, picture in zip(frames, made, strict=True):
            _paste(frame, _sized(picture, hole.window.side), hole.window, hole.own)
        _paste(whole, _sized(made[-1], hole.window.side), hole.window, np.ones_like(hole.own))
    return Inpainting(image=frames[-1], prediction=whole, holes=given, frames=frames if film else [])


def seen(model: TrainedMasked, window: Window, pixels: np.ndarray, hidden: np.ndarray) -> tuple[Tensor, Tensor]:
    """What the model is shown: (1, 3, size, size), black where it is hidden; and which cells are, (1, cells, cells)."""
    dark = torch.from_numpy(touched(window.cut(hidden, True), model.size // model.cell))[None]
    small = Image.fromarray(window.cut(pixels, 0)).resize((model.size, model.size), Image.Resampling.BOX)
    shown = to_float(np.asarray(small)[None]).masked_fill(in_pixels(dark, model.cell), 0.0)
    device = next(model.module.parameters()).device
    return shown.to(device), dark.to(device)


@torch.no_grad()
def _predicted(model: TrainedMasked, images: Tensor, dark: Tensor, *, film: bool) -> list[np.ndarray]:
    """uint8 (size, size, 3): what is predicted; for a film after every step, before the first one too."""
    if film and isinstance(model.module, EnergyTransformer):
        return [to_uint8(picture)[0] for _, picture in model.module.trajectory(images, dark)]
    return [to_uint8(model.predict(images, dark))[0]]


def _sized(picture: np.ndarray, side: int) -> np.ndarray:
    if len(picture) == side:
        return picture
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BILINEAR))


def _paste(canvas: np.ndarray, picture: np.ndarray, window: Window, where: np.ndarray) -> None:
    """(side, side, 3) into (H, W, 3), where (side, side) says."""
    there, here = window.overlap(canvas.shape)
    canvas[here][where[there]] = picture[there][where[there]]
