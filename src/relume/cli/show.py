"""Shows images in the terminal, and saves comparisons and animations."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import numpy as np
from PIL import Image

from relume.core.errors import UserError
from relume.core.files import atomic, check_writable
from relume.core.images import save_png
from relume.core.sheet import labelled

UPPER = "\u2580"  # the upper half block: its colour is the upper pixel, the background the lower one
RESET = "\x1b[0m"
STEP, LAST = 100, 2000  # milliseconds per frame


def output_path(option: str, path: Path, suffix: str | tuple[str, ...], picture: Path) -> Path:
    """`path`, if it has an allowed suffix, can be written and does not overwrite the original."""
    suffixes = (suffix,) if isinstance(suffix, str) else suffix
    if path.suffix.lower() not in suffixes:
        raise UserError(f"{option}: must end in {' or '.join(suffixes)}, got {path}")
    if path.is_dir() or path.resolve() == picture.resolve():
        raise UserError(f"{option} {path}: is {'a folder' if path.is_dir() else 'the original image'}")
    try:
        check_writable(path)
    except UserError as error:
        raise UserError(f"{option}: {error}") from None
    return path


def save_panels(path: Path, panels: Sequence[np.ndarray], headings: Sequence[str]) -> np.ndarray:
    """uint8 (H, W, 3) each, side by side under their headings in a PNG; the sheet."""
    sheet = labelled(panels, headings)
    save_png(path, sheet)
    return sheet


def can_show(out: TextIO) -> bool:
    """A terminal that supports colours and the half block, as far as known."""
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return out.isatty() and not plain and "utf" in (getattr(out, "encoding", None) or "").lower()


def fit_terminal(pixels: np.ndarray) -> str:
    """The image as large as the terminal allows, leaving two lines."""
    columns, lines = shutil.get_terminal_size()
    height, width, _ = pixels.shape
    return half_blocks(pixels, min(columns, 2 * max(lines - 2, 1) * width // height))


def half_blocks(pixels: np.ndarray, columns: int) -> str:
    """uint8 (H, W, 3) as lines of at most `columns` characters of 1 x 2 pixels each; never enlarged."""
    height, width, _ = pixels.shape
    across = max(1, min(columns, width))
    down = max(1, round(height * across / width / 2))
    small = np.asarray(Image.fromarray(pixels).resize((across, 2 * down), Image.Resampling.BOX)).tolist()
    return "".join(_line(upper, lower) for upper, lower in zip(small[::2], small[1::2], strict=True))


def _line(upper: Sequence[Sequence[int]], lower: Sequence[Sequence[int]]) -> str:
    cells = (f"\x1b[38;2;{r};{g};{b}m\x1b[48;2;{R};{G};{B}m{UPPER}" for (r, g, b), (R, G, B) in zip(upper, lower, strict=True))
    return "".join(cells) + RESET + "\n"


def animation(path: Path, frames: Sequence[np.ndarray]) -> None:
    """Saves uint8 (H, W, 3) frames as a looping GIF or WebP that pauses on the last frame."""
    first, *rest = [Image.fromarray(frame) for frame in frames]
    times = [STEP] * len(rest) + [LAST]
    kind = {"format": "WEBP", "lossless": True} if path.suffix.lower() == ".webp" else {"format": "GIF"}
    with atomic(path) as temporary:
        first.save(temporary, save_all=True, append_images=rest, duration=times, loop=0, **kind)


def rescale(pixels: np.ndarray, smallest: int = 128, largest: int = 512) -> np.ndarray:
    """uint8 (H, W, 3) for display: repeats the pixels of a small image, downsamples a large one."""
    height, width, _ = pixels.shape
    if max(height, width) <= largest:
        times = -(-smallest // max(height, width))
        return pixels.repeat(times, 0).repeat(times, 1)
    scale = largest / max(height, width)
    smaller = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(pixels).resize(smaller, Image.Resampling.BOX))
