"""Windows around holes: position, model input, what is used of the output."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.methods.masked import inpaint
from relume.methods.masked.inpaint import Hole, Window, fill, holes, seen, touched
from relume.methods.masked.model import TrainedMasked

SIZE, CELL = 16, 4


class Painter(torch.nn.Module):
    """Always predicts red; records its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = CELL
        self.nothing = torch.nn.Parameter(torch.zeros(()))
        self.shown: list[tuple[Tensor, Tensor]] = []

    def forward(self, images: Tensor, hidden: Tensor) -> Any:
        self.shown.append((images, hidden))
        return SimpleNamespace(picture=torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1).expand(1, 3, SIZE, SIZE))


def model(module: Any = None) -> TrainedMasked:
    return TrainedMasked(card={"name": "toy", "size": SIZE}, module=module or Painter())


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def mask(height: int, width: int, *boxes: tuple[int, int, int, int]) -> np.ndarray:
    found = np.zeros((height, width), bool)
    for top, left, bottom, right in boxes:
        found[top:bottom, left:right] = True
    return found


def test_cell_with_a_hidden_pixel_is_hidden() -> None:
    hidden = mask(10, 10, (2, 2, 3, 3))
    assert touched(hidden, 5).nonzero() == (np.array([1]), np.array([1]))
    shared = touched(hidden, 4)  # cells of 2.5 px: pixel 2 belongs to the first two
    assert shared.sum() == 4
    assert shared[:2, :2].all()
    upscaled = touched(mask(2, 2, (0, 1, 1, 2)), 4)  # a pixel is two cells
    assert np.argwhere(upscaled).tolist() == [[0, 2], [0, 3], [1, 2], [1, 3]]


@pytest.mark.parametrize(
    ("shape", "box", "window"),
    [
        ((100, 200), (50, 60, 54, 64), (44, 54, 16)),  # a small hole: at the model's own size
        ((100, 200), (30, 60, 50, 70), (20, 45, 40)),  # twice its longer side
        ((100, 200), (0, 190, 4, 200), (0, 180, 20)),  # moved inside
        ((100, 200), (10, 40, 80, 60), (0, 0, 100)),  # no larger than the short side
        ((100, 200), (0, 40, 100, 140), (-50, 0, 200)),  # all of that is hidden: as large as the long side, beyond the border
        ((8, 8), (2, 2, 4, 4), (0, 0, 8)),  # a picture smaller than the model's
    ],
)
def test_window_sizes(shape: tuple[int, int], box: tuple[int, ...], window: tuple[int, ...]) -> None:
    (hole,) = holes(mask(*shape, box), model())
    assert (hole.window.top, hole.window.left, hole.window.side) == window
    assert hole.own.sum() == (box[2] - box[0]) * (box[3] - box[1])


def test_one_window_per_hole_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = mask(64, 64, (0, 0, 4, 4), (40, 40, 44, 44), (44, 44, 46, 46))  # the last two touch at a corner
    assert [hole.own.sum() for hole in holes(hidden, model())] == [16, 20]
    monkeypatch.setattr(inpaint, "MOST", 1)
    (together,) = holes(hidden, model())
    assert together.own.sum() == 36


def test_mask_without_visible_cells_raises() -> None:
    dense = ~mask(20, 20, (3, 3, 4, 4))
    with pytest.raises(UserError, match="no cell without hidden pixels"):
        holes(dense, model())


def test_model_input_has_no_hidden_pixels() -> None:
    """Not through resizing either; windows inside the image and beyond it."""
    for shape, box in ((40, 60), (3, 5, 20, 30)), ((33, 50), (0, 14, 33, 48)), ((9, 7), (2, 2, 5, 4)):
        hidden, pixels = mask(*shape, box), picture(*shape)
        other = np.where(hidden[..., None], 255 - pixels, pixels)
        (hole,) = holes(hidden, model())
        shown, dark = seen(model(), hole.window, pixels, hidden)
        again, _ = seen(model(), hole.window, other, hidden)
        assert torch.equal(shown, again)
        assert 0 < dark.sum() < dark.numel()
        assert shown[:, :, dark[0].repeat_interleave(CELL, 0).repeat_interleave(CELL, 1)].abs().max() == 0


def test_holes_are_filled_independently() -> None:
    """The second window contains the first hole, and does not see its filling."""
    pixels, hidden = picture(24, 24), mask(24, 24, (4, 4, 6, 6), (4, 9, 6, 11))
    reader = model()
    windows = [Hole(window=Window(top=0, left=0, side=16), own=part) for part in _parts(hidden)]
    fill(reader, pixels, hidden, windows, film=False)
    (first, dark), (second, again) = reader.module.shown
    assert torch.equal(first, second)
    assert torch.equal(dark, again)


def _parts(hidden: np.ndarray) -> list[np.ndarray]:
    left = np.arange(16)[None] < 8
    return [hidden[:16, :16] & left, hidden[:16, :16] & ~left]
