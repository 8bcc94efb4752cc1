"""Fills holes in an image of any size by a masked model, in square windows around them. Windows are resized by box means, so that
visible cells do not depend on hidden pixels; cells with a hidden pixel are hidden. Only hidden pixels are replaced."""

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
from relume.methods.masked.model import TrainedMasked

MOST = 64  # holes with a window each; more holes share one window
CONTEXT = 2  # side of a window, as a multiple of the hole's, if the image is large enough
LEAST = 0.15  # share of a window's cells that should be visible, as in training


@dataclass(frozen=True, kw_only=True)
class Window:
    """A square of an image, in pixels. Pixels outside the image are hidden."""

    top: int
    left: int
    side: int

    def cut(self, values: np.ndarray, outside: int | bool) -> np.ndarray:
        """(H, W, …) -> (side, side, …)."""
        found = np.full((self.side, self.side, *values.shape[2:]), outside, values.dtype)
        inside, source = self.overlap(values.shape)
        found[inside] = values[source]
        return found

    def overlap(self, shape: Sequence[int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """The intersection with an image of this shape: its slices of the window, and of the image."""
        ends = [(max(0, at), min(size, at + self.side)) for at, size in ((self.top, shape[0]), (self.left, shape[1]))]
        (top, bottom), (left, right) = ends
        inside = slice(top - self.top, bottom - self.top), slice(left - self.left, right - self.left)
        return inside, (slice(top, bottom), slice(left, right))


@dataclass(frozen=True, kw_only=True)
class Hole:
    window: Window
    own: np.ndarray  # bool (side, side): the hole's pixels in the window


@dataclass(frozen=True, kw_only=True)
class Inpainting:
    """`image` has the original visible pixels, `prediction` the predicted ones."""

    image: np.ndarray  # uint8 (H, W, 3): the image with its holes filled
    prediction: np.ndarray  # uint8 (H, W, 3): the whole predicted windows, pasted into the image
    holes: list[Hole]
    frames: list[np.ndarray]  # uint8 (H, W, 3) each: `image` after every step, if `film` is set and the model is iterative


def holes(hidden: np.ndarray, model: TrainedMasked) -> list[Hole]:
    """bool (H, W), True where hidden -> a window for each connected component."""
    parts, count = ndimage.label(hidden, np.ones((3, 3)))
    if count > MOST:
        parts, count = hidden.astype(int), 1
    found = []
    for number, box in enumerate(ndimage.find_objects(parts, count), 1):
        window = around(box, hidden, model)
        found.append(Hole(window=window, own=window.cut(parts == number, False)))
    return found


def around(box: tuple[slice, slice], hidden: np.ndarray, model: TrainedMasked) -> Window:
    """The smallest of three squares about a box with LEAST visible cells: CONTEXT times the box, at least of the model's size and
    within the image; as large as the image's short side; as large as its long side."""
    height, width = hidden.shape
    hole = max(along.stop - along.start for along in box)
    short, long = min(height, width), max(height, width)
    sides = [side for side in (min(short, max(model.size, CONTEXT * hole)), short, long) if side >= hole]
    windows = [
        Window(top=_window_start(box[0], side, height), left=_window_start(box[1], side, width), side=side) for side in sides
    ]
    shown = [1 - float(touched(window.cut(hidden, True), model.size // model.cell).mean()) for window in windows]
    sufficient = next((window for window, share in zip(windows, shown, strict=True) if share >= LEAST), None)
    if not max(shown):
        where = f"row {box[0].start}, column {box[1].start}"
        raise UserError(f"mask: the window of the hole at {where} has no cell without hidden pixels")
    return sufficient or windows[shown.index(max(shown))]


def _window_start(along: slice, side: int, size: int) -> int:
    """The start of a window about the hole: within the image if it fits, else centred on the image."""
    if side > size:
        return (size - side) // 2
    return min(max(0, (along.start + along.stop - side) // 2), size - side)


def touched(hidden: np.ndarray, cells: int) -> np.ndarray:
    """bool (side, side) -> (cells, cells): the cells with a part of a hidden pixel. Cells may have fractional pixel sizes."""
    side = len(hidden)
    ends = [(at * side // cells, -(-(at + 1) * side // cells)) for at in range(cells)]
    return np.array([[hidden[top:bottom, left:right].any() for left, right in ends] for top, bottom in ends])


def fill(model: TrainedMasked, pixels: np.ndarray, hidden: np.ndarray, holes: Iterable[Hole], *, film: bool) -> Inpainting:
    """uint8 (H, W, 3), bool (H, W). Every hole is filled from the original visible pixels only."""
    windows, prediction, frames = list(holes), pixels.copy(), [pixels.copy()]
    for number, hole in enumerate(windows):
        predicted = _predicted(model, *seen(model, hole.window, pixels, hidden), film=film)
        frames = frames if number else [pixels.copy() for _ in predicted]
        for frame, picture in zip(frames, predicted, strict=True):
            _paste(frame, _sized(picture, hole.window.side), hole.window, hole.own)
        _paste(prediction, _sized(predicted[-1], hole.window.side), hole.window, np.ones_like(hole.own))
    return Inpainting(image=frames[-1], prediction=prediction, holes=windows, frames=frames if film else [])


def seen(model: TrainedMasked, window: Window, pixels: np.ndarray, hidden: np.ndarray) -> tuple[Tensor, Tensor]:
    """The model's inputs: images (1, 3, size, size), 0 where hidden; the hidden cells, (1, cells, cells)."""
    masked = torch.from_numpy(touched(window.cut(hidden, True), model.size // model.cell))[None]
    small = Image.fromarray(window.cut(pixels, 0)).resize((model.size, model.size), Image.Resampling.BOX)
    shown = to_float(np.asarray(small)[None]).masked_fill(in_pixels(masked, model.cell), 0.0)
    device = next(model.module.parameters()).device
    return shown.to(device), masked.to(device)


@torch.no_grad()
def _predicted(model: TrainedMasked, images: Tensor, hidden: Tensor, *, film: bool) -> list[np.ndarray]:
    """Predictions, uint8 (size, size, 3): one; for a film also those before the first step and after each step."""
    if film and isinstance(model.module, EnergyTransformer):
        return [to_uint8(picture)[0] for _, picture in model.module.trajectory(images, hidden)]
    return [to_uint8(model.predict(images, hidden))[0]]


def _sized(picture: np.ndarray, side: int) -> np.ndarray:
    if len(picture) == side:
        return picture
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BILINEAR))


def _paste(canvas: np.ndarray, picture: np.ndarray, window: Window, where: np.ndarray) -> None:
    """Pastes (side, side, 3) into (H, W, 3) where `where` (side, side) is True."""
    inside, target = window.overlap(canvas.shape)
    canvas[target][where[inside]] = picture[inside][where[inside]]
