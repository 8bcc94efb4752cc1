"""A sheet of images with headings, as JPEG. Equal inputs give equal bytes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from relume.core.files import atomic

TILE, GAP, EDGE, LINE = 128, 4, 8, 18  # pixels: image, gap, margin, line of text
PAPER, INK = (255, 255, 255), (29, 29, 27)


def save_sheet(path: Path, columns: Sequence[str], blocks: Sequence[tuple[str, np.ndarray]]) -> None:
    """`blocks`: titles and images, uint8 (rows, columns, H, W, 3). `columns`: the headings."""
    step = TILE + GAP
    heights = [2 * LINE + len(rows) * step + EDGE for _, rows in blocks]
    sheet = Image.new("RGB", (2 * EDGE + step * len(columns) - GAP, EDGE + sum(heights)), PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, (title, rows) in enumerate(blocks):
        top = EDGE + sum(heights[:number])
        pen.text((EDGE, top), title, INK, font=_font(14, title, sheet.width - 2 * EDGE))
        for column, heading in enumerate(columns):
            pen.text((EDGE + column * step, top + LINE), heading, INK, font=_font(12, heading, TILE))
            for row, pixels in enumerate(rows[:, column]):
                resampling = Image.Resampling.NEAREST if len(pixels) < TILE else Image.Resampling.LANCZOS
                tile = Image.fromarray(np.ascontiguousarray(pixels)).resize((TILE, TILE), resampling)
                sheet.paste(tile, (EDGE + column * step, top + 2 * LINE + row * step))
    with atomic(path) as temporary:
        sheet.save(temporary, format="JPEG", quality=85, optimize=True)


def labelled(panels: Sequence[np.ndarray], headings: Sequence[str], gap: int = 2) -> np.ndarray:
    """uint8 (H, W, 3) side by side, white between them, under a line of headings: (LINE + H, …, 3)."""
    height, width, _ = panels[0].shape
    sheet = Image.new("RGB", (len(panels) * (width + gap) - gap, LINE + height), "white")
    pen = ImageDraw.Draw(sheet)
    for number, (panel, heading) in enumerate(zip(panels, headings, strict=True)):
        pen.text((number * (width + gap), 1), heading, INK, font=_font(12, heading, width))
        sheet.paste(Image.fromarray(panel), (number * (width + gap), LINE))
    return np.asarray(sheet)


def grid(rows: np.ndarray, gap: int = 2) -> np.ndarray:
    """uint8 (R, C, H, W, 3) -> one image (R (H + gap) - gap, C (W + gap) - gap, 3) with white gaps."""
    wide = np.pad(rows, ((0, 0), (0, 0), (0, gap), (0, gap), (0, 0)), constant_values=255)
    r, c, h, w, _ = wide.shape
    return wide.transpose(0, 2, 1, 3, 4).reshape(r * h, c * w, 3)[: r * h - gap, : c * w - gap]


def _font(size: int, text: str, width: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The largest font up to `size` in which `text` fits into `width` pixels."""
    fonts = (ImageFont.load_default(points) for points in range(size, 7, -1))
    return next((font for font in fonts if font.getlength(text) <= width), ImageFont.load_default(7))
