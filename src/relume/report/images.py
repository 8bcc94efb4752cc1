"""Pictures for the page and for README: which ones, as data URIs without loss, and as one labelled sheet."""

import base64
import io
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from relume.core.files import atomic
from relume.report.boards import Board, Line
from relume.report.material import Material, Originals

PAPER, INK, SOFT = (255, 255, 255), (29, 29, 27), (107, 103, 95)
TILE, GAP, LABELS, EDGE = 152, 6, 168, 12  # of the sheet, in pixels
SMALL = 64  # px: from here on what is only looked at may lose something
STEP, LAST = 250, 2000  # milliseconds that a frame of a film stands


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A picture that is looked at, not measured: some loss is fine."""

    uri: str
    width: int
    height: int


def data_uri(pixels: np.ndarray) -> str:
    """uint8 (H, W, 3), every pixel kept."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="WEBP", lossless=True, quality=60, method=4)
    return _uri("webp", buffer.getvalue())


def seen_uri(pixels: np.ndarray) -> str:
    """uint8 (H, W, 3) that is looked at, not measured: every pixel kept only of small pictures."""
    return _webp([pixels])


def film_uri(frames: np.ndarray) -> str:
    """uint8 (T, H, W, 3) as an animated picture that begins anew at its end."""
    durations = [STEP] * (len(frames) - 1) + [LAST]
    return _webp(frames, save_all=True, duration=durations, loop=0)


def _webp(frames: Sequence[np.ndarray] | np.ndarray, **options: Any) -> str:
    first, *others = [Image.fromarray(np.ascontiguousarray(pixels)) for pixels in frames]
    more = {"append_images": others} if others else {}
    buffer = io.BytesIO()
    first.save(buffer, format="WEBP", lossless=first.width < SMALL, quality=80, method=4, **options, **more)
    return _uri("webp", buffer.getvalue())


def photo(path: Path) -> Photo:
    """A file's picture: JPEG as it stands, others made small."""
    data, kind = path.read_bytes(), "jpeg"
    with Image.open(io.BytesIO(data)) as picture:
        if picture.format != "JPEG":
            buffer, kind = io.BytesIO(), "webp"
            picture.convert("RGB").save(buffer, format="WEBP", quality=85, method=4)
            data = buffer.getvalue()
        return Photo(uri=_uri(kind, data), width=picture.width, height=picture.height)


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def pick(material: Material, board: Board, count: int) -> list[str]:
    """`count` ids that most of the board's methods have, one source after another."""
    originals = material.originals[board.dataset]
    entries = [material.entries[line.key] for line in board.lines]
    shared = {id: sum(id in entry.rows for entry in entries) for entry in entries for id in entry.rows}
    most = max(shared.values(), default=0)
    return spread(originals, {id for id, times in shared.items() if times == most}, count)


def spread(originals: Originals, ids: Container[str], count: int) -> list[str]:
    """`count` of the ids, one source after another, in the dataset's order."""
    sources: dict[str, list[str]] = {}
    for id in originals.rows:
        if id in ids:
            sources.setdefault(originals.sources[id], []).append(id)
    longest = max((len(found) for found in sources.values()), default=0)
    turns = [found[turn] for turn in range(longest) for found in sources.values() if turn < len(found)]
    return turns[:count]


def original(material: Material, board: Board, id: str) -> np.ndarray:
    originals = material.originals[board.dataset]
    pixels: np.ndarray = originals.images[originals.rows[id]]
    return pixels


def reconstruction(material: Material, line: Line, id: str) -> np.ndarray | None:
    entry = material.entries[line.key]
    return entry.group.images[entry.rows[id]] if id in entry.rows else None


def overview(path: Path, material: Material, board: Board, ids: Sequence[str]) -> None:
    """Originals over reconstructions, a row per method and one for the best blind floor, with what they reach."""
    lines = [*board.methods, *filter(None, [board.blind])]
    rows: list[tuple[str, str, list[np.ndarray]]]
    rows = [("original", f"{board.dataset}, {board.size} px", [original(material, board, id) for id in ids])]
    for line in lines:
        pictures = [reconstruction(material, line, id) for id in ids]
        known = [np.full_like(rows[0][2][0], 255) if one is None else one for one in pictures]
        rows.append((line.method, f"{line.place or 'floor'}\n{line.psnr:.1f} dB", known))
    step = TILE + GAP
    sheet = Image.new("RGB", (2 * EDGE + LABELS + step * len(ids) - GAP, 2 * EDGE + step * len(rows) - GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    for top, (name, below, known) in enumerate(rows):
        draw.text((EDGE, EDGE + top * step + TILE // 2 - 22), name, INK, font=_font(17, name, LABELS - 12))
        draw.multiline_text((EDGE, EDGE + top * step + TILE // 2 + 2), below, SOFT, font=_font(13, below, LABELS - 12), spacing=4)
        for left, pixels in enumerate(known):
            sheet.paste(_tile(pixels), (EDGE + LABELS + left * step, EDGE + top * step))
    with atomic(path) as temporary:
        sheet.save(temporary, format="JPEG", quality=80, progressive=True, optimize=True)  # git takes 500 kB


def _tile(pixels: np.ndarray) -> Image.Image:
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    return picture.resize((TILE, TILE), Image.Resampling.NEAREST if len(pixels) < 64 else Image.Resampling.LANCZOS)


def _font(size: int, text: str, room: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own typeface, as small as it takes for `text` to fit."""
    fonts = (ImageFont.load_default(points) for points in range(size, 9, -1))
    fitting = (font for font in fonts if max(font.getlength(line) for line in text.split("\n")) <= room)
    return next(fitting, ImageFont.load_default(9))
