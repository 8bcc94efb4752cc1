"""Pictures for people who look at once: in a terminal, in 24-bit colour half blocks, beside the original, and as an animation."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import numpy as np
from PIL import Image

from relume.core.errors import UserError
from relume.core.files import atomic
from relume.core.images import grid, save_png

UPPER = "\u2580"  # the upper half block: its colour is the upper pixel, the background the lower one
RESET = "\x1b[0m"
STEP, LAST = 100, 2000  # milliseconds that a frame stands


def target(option: str, path: Path, suffix: str | tuple[str, ...], picture: Path) -> Path:
    """`path`, if a picture may be written there and not over the original."""
    suffixes = (suffix,) if isinstance(suffix, str) else suffix
    if path.suffix.lower() not in suffixes:
        raise UserError(f"{option} {path}: a file that ends in {' or '.join(suffixes)} is wanted")
    if path.is_dir() or path.resolve() == picture.resolve():
        raise UserError(f"{option} {path}: that is {'a folder' if path.is_dir() else 'the picture itself'}")
    return path


def beside(path: Path, original: np.ndarray, rebuilt: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) each, side by side in a PNG; the sheet."""
    sheet = grid(np.stack([original, rebuilt])[None])
    save_png(path, sheet)
    return sheet


def can_show(out: TextIO) -> bool:
    """A terminal that knows colours and the half block, as far as it can be told."""
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return out.isatty() and not plain and "utf" in (getattr(out, "encoding", None) or "").lower()


def fitting(pixels: np.ndarray) -> str:
    """The picture as large as the terminal lets it be, two lines left free."""
    columns, lines = shutil.get_terminal_size()
    height, width, _ = pixels.shape
    return half_blocks(pixels, min(columns, 2 * max(lines - 2, 1) * width // height))


def half_blocks(pixels: np.ndarray, columns: int) -> str:
    """uint8 (H, W, 3) as lines of at most `columns` characters, a pixel wide and two pixels high each; nothing is enlarged."""
    height, width, _ = pixels.shape
    across = max(1, min(columns, width))
    down = max(1, round(height * across / width / 2))
    small = np.asarray(Image.fromarray(pixels).resize((across, 2 * down), Image.Resampling.BOX)).tolist()
    return "".join(_line(upper, lower) for upper, lower in zip(small[::2], small[1::2], strict=True))


def _line(upper: Sequence[Sequence[int]], lower: Sequence[Sequence[int]]) -> str:
    cells = (f"\x1b[38;2;{r};{g};{b}m\x1b[48;2;{R};{G};{B}m{UPPER}" for (r, g, b), (R, G, B) in zip(upper, lower, strict=True))
    return "".join(cells) + RESET + "\n"


def animation(path: Path, frames: Sequence[np.ndarray]) -> None:
    """uint8 (H, W, 3) each, as an endless GIF, or WebP by the file's name, that rests on its last frame."""
    first, *rest = [Image.fromarray(frame) for frame in frames]
    times = [STEP] * len(rest) + [LAST]
    kind = {"format": "WEBP", "lossless": True} if path.suffix.lower() == ".webp" else {"format": "GIF"}
    with atomic(path) as temporary:
        first.save(temporary, save_all=True, append_images=rest, duration=times, loop=0, **kind)


def handy(pixels: np.ndarray, least: int = 128, most: int = 512) -> np.ndarray:
    """uint8 (H, W, 3) in a size to look at: a small one with its pixels as squares, a large one shrunk."""
    height, width, _ = pixels.shape
    if max(height, width) <= most:
        times = -(-least // max(height, width))
        return pixels.repeat(times, 0).repeat(times, 1)
    scale = most / max(height, width)
    smaller = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(pixels).resize(smaller, Image.Resampling.BOX))
