"""Images of a study side by side: a block per case, a row per photograph, its original first, then a column per method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from relume.core.files import atomic

WIDTH, TILE, GAP, EDGE, LINE = 1600, 168, 4, 8, 18  # in pixels: largest width, largest tile, gap, margin, line height
PAPER, INK, SOFT = (255, 255, 255), (29, 29, 27), (107, 103, 95)


@dataclass(frozen=True, kw_only=True)
class Block:
    """`columns`: heading -> (note below it, uint8 (N, H, W, 3)); row n is the same photograph in all of them."""

    title: str
    columns: Mapping[str, tuple[str, np.ndarray]]

    @property
    def rows(self) -> int:
        return max(len(pictures) for _, pictures in self.columns.values())


def save(path: Path, blocks: Sequence[Block]) -> None:
    with atomic(path) as temporary:
        draw(blocks).save(temporary, format="JPEG", quality=85, optimize=True)


def draw(blocks: Sequence[Block]) -> Image.Image:
    """At most WIDTH wide: many methods have smaller tiles."""
    columns = max(len(block.columns) for block in blocks)
    tile = min(TILE, (WIDTH - 2 * EDGE + GAP) // columns - GAP)
    heights = [3 * LINE + block.rows * (tile + GAP) + EDGE for block in blocks]
    sheet = Image.new("RGB", (2 * EDGE + columns * (tile + GAP) - GAP, EDGE + sum(heights)), PAPER)
    for number, block in enumerate(blocks):
        _block(sheet, block, EDGE + sum(heights[:number]), tile)
    return sheet


def _block(sheet: Image.Image, block: Block, top: int, tile: int) -> None:
    pen = ImageDraw.Draw(sheet)
    pen.text((EDGE, top), block.title, INK, font=_font(14, block.title, sheet.width - 2 * EDGE))
    for column, (heading, (note, pictures)) in enumerate(block.columns.items()):
        left = EDGE + column * (tile + GAP)
        pen.text((left, top + LINE), heading, INK, font=_font(12, heading, tile))
        pen.text((left, top + 2 * LINE), note, SOFT, font=_font(12, note, tile))
        for row, pixels in enumerate(pictures):
            picture = Image.fromarray(np.ascontiguousarray(pixels)).resize((tile, tile), Image.Resampling.LANCZOS)
            sheet.paste(picture, (left, top + 3 * LINE + row * (tile + GAP)))


def _font(size: int, text: str, room: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The largest size that fits."""
    fonts = (ImageFont.load_default(points) for points in range(size, 7, -1))
    return next((font for font in fonts if font.getlength(text) <= room), ImageFont.load_default(7))
