"""What an inversion gives: the images, how well they were met, and how it came about."""

import base64
import html
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from relume.core.files import atomic, write_json
from relume.core.images import to_uint8
from relume.core.sheet import save_sheet

SHOWN = 8  # images in a notebook or on a sheet


@dataclass(frozen=True, kw_only=True)
class Result:
    """`images`: float (N, C, H, W) in [0, 1], on the CPU; in a notebook shown beside the originals."""

    images: Tensor
    originals: Tensor | None  # where the inversion was given images, not features
    objective: list[float]  # of each image
    feature_error: list[float]  # ||phi(x) - phi(x0)||^2 / ||phi(x0)||^2 of each image, mean over layers: 1 is as bad as no signal
    trace: list[dict[str, Any]]  # step, term, value: means over the images; terms are unweighted
    settings: dict[str, Any]  # network, layers with weights, recipe, size, steps, seed, …
    seconds: float
    oracle: bool = False  # its losses used the originals
    interrupted: bool = False  # by Ctrl-C: the best so far, of the images that were begun
    faults: tuple[str, ...] = ()  # rows that met NaN or Inf, and keep their best from before
    restart: list[int] = field(default_factory=list)  # which was the best of each image
    opened: Any = field(default=None, repr=False)  # the network, for `relume.evaluate`

    def __len__(self) -> int:
        return len(self.images)

    def pil(self) -> list[Image.Image]:
        return [to_pil(pixels) for pixels in to_uint8(self.images)]

    def save(self, folder: str | Path) -> Path:
        """`0000.png`, …, `sheet.jpg` (the first beside their originals) and `result.json`."""
        folder = Path(folder).expanduser()
        for number, image in enumerate(self.pil()):
            with atomic(folder / f"{number:04}.png") as temporary:
                image.save(temporary, format="PNG")
        columns = [self._colours(images) for images in (self.originals, self.images) if images is not None]
        rows = np.stack([column[:SHOWN] for column in columns], 1)
        save_sheet(folder / "sheet.jpg", ["original", "inversion"][-len(columns) :], [(self.title, rows)])
        told = ("settings", "objective", "feature_error", "seconds", "oracle", "interrupted", "faults", "trace")
        write_json(folder / "result.json", {key: getattr(self, key) for key in told})
        return folder

    @property
    def title(self) -> str:
        return f"{self.settings['network']} {'+'.join(self.settings['layers'])}"

    def _colours(self, images: Tensor) -> np.ndarray:
        """uint8 (N, H, W, 3)"""
        return np.stack([np.asarray(to_pil(pixels).convert("RGB")) for pixels in to_uint8(images)])

    def _repr_html_(self) -> str:
        heads = ["original", "inversion"] if self.originals is not None else ["inversion"]
        columns = [to_uint8(images[:SHOWN]) for images in (self.originals, self.images) if images is not None]
        rows = []
        for number in range(min(SHOWN, len(self))):
            cells = "".join(f'<td><img src="{data_url(column[number])}" width="160" alt=""></td>' for column in columns)
            rows.append(f"<tr>{cells}<td>feature error {self.feature_error[number]:.3g}</td></tr>")
        head = "".join(f"<th>{one}</th>" for one in [*heads, ""])
        note = "; its losses used the originals" if self.oracle else ""
        caption = f"{html.escape(self.title)}, {self.settings['steps']} steps, {self.seconds:.1f} s{note}"
        return f"<table><caption>{caption}</caption><tr>{head}</tr>{''.join(rows)}</table>"

    def __str__(self) -> str:
        return f"{len(self)} images from {self.title}: feature error {float(torch.tensor(self.feature_error).mean()):.3g}"


def to_pil(pixels: np.ndarray) -> Image.Image:
    """uint8 (H, W, C)"""
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def data_url(pixels: np.ndarray) -> str:
    """A PNG of uint8 (H, W, C) inside the page."""
    buffer = io.BytesIO()
    to_pil(pixels).save(buffer, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
