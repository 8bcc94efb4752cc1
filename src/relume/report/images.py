"""Images for the page and for README: which ones, as data URIs, and as one labelled sheet."""

import base64
import io
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from relume.core.files import atomic
from relume.report.data import Originals, ReportData
from relume.report.leaderboards import Leaderboard, Result

PAPER, INK, SOFT = (255, 255, 255), (29, 29, 27), (107, 103, 95)
TILE, GAP, LABELS, EDGE = 152, 6, 168, 12  # px, of the sheet
SMALL = 64  # px: images below this width are always stored without loss
STEP, LAST = 250, 2000  # milliseconds per frame of an animation


@dataclass(frozen=True, kw_only=True)
class EmbeddedImage:
    uri: str
    width: int
    height: int


def data_uri(pixels: np.ndarray) -> str:
    """uint8 (H, W, 3), without loss."""
    return _webp([pixels], lossless=True, quality=60)


def lossy_uri(pixels: np.ndarray) -> str:
    """uint8 (H, W, 3); without loss only if the image is small."""
    return _webp([pixels])


def animation_uri(frames: np.ndarray) -> str:
    """uint8 (T, H, W, 3) as an animation that repeats."""
    durations = [STEP] * (len(frames) - 1) + [LAST]
    return _webp(frames, save_all=True, duration=durations, loop=0)


def _webp(frames: Sequence[np.ndarray] | np.ndarray, **options: Any) -> str:
    first, *others = [Image.fromarray(np.ascontiguousarray(pixels)) for pixels in frames]
    options = {"lossless": first.width < SMALL, "quality": 80, "method": 4} | options
    buffer = io.BytesIO()
    first.save(buffer, format="WEBP", **options, **({"append_images": others} if others else {}))
    return _uri("webp", buffer.getvalue())


def embedded_image(path: Path) -> EmbeddedImage:
    """JPEG files as they are, others with some loss."""
    data, kind = path.read_bytes(), "jpeg"
    with Image.open(io.BytesIO(data)) as image:
        if image.format != "JPEG":
            buffer, kind = io.BytesIO(), "webp"
            image.convert("RGB").save(buffer, format="WEBP", quality=85, method=4)
            data = buffer.getvalue()
        return EmbeddedImage(uri=_uri(kind, data), width=image.width, height=image.height)


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def pick(data: ReportData, board: Leaderboard, count: int) -> list[str]:
    """`count` ids that most of the leaderboard's methods have, one source after another."""
    entries = [data.entries[result.key] for result in board.rows]
    shared = {id: sum(id in entry.rows for entry in entries) for entry in entries for id in entry.rows}
    most = max(shared.values(), default=0)
    return spread(data.originals[board.dataset], {id for id, times in shared.items() if times == most}, count)


def spread(originals: Originals, ids: Container[str], count: int) -> list[str]:
    """`count` of the ids, one source after another, in the dataset's order."""
    sources: dict[str, list[str]] = {}
    for id in originals.rows:
        if id in ids:
            sources.setdefault(originals.sources[id], []).append(id)
    longest = max((len(found) for found in sources.values()), default=0)
    ordered = [found[turn] for turn in range(longest) for found in sources.values() if turn < len(found)]
    return ordered[:count]


def reconstruction(data: ReportData, result: Result, id: str) -> np.ndarray | None:
    entry = data.entries[result.key]
    return entry.group.images[entry.rows[id]] if id in entry.rows else None


def overview(path: Path, data: ReportData, board: Leaderboard, ids: Sequence[str]) -> None:
    """Originals over reconstructions: a row per method and one for the best no-information baseline, with their PSNR."""
    originals = [data.originals[board.dataset].image(id) for id in ids]
    rows: list[tuple[str, str, list[np.ndarray]]]
    rows = [("original", f"{board.dataset}, {board.size} px", originals)]
    for result in [*board.methods, *filter(None, [board.no_information])]:
        images = [reconstruction(data, result, id) for id in ids]
        shown = [np.full_like(originals[0], 255) if one is None else one for one in images]
        rows.append((result.method, f"{result.place or 'baseline'}\n{result.score:.1f} dB", shown))
    step = TILE + GAP
    sheet = Image.new("RGB", (2 * EDGE + LABELS + step * len(ids) - GAP, 2 * EDGE + step * len(rows) - GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    for top, (name, below, shown) in enumerate(rows):
        draw.text((EDGE, EDGE + top * step + TILE // 2 - 22), name, INK, font=_font(17, name, LABELS - 12))
        draw.multiline_text((EDGE, EDGE + top * step + TILE // 2 + 2), below, SOFT, font=_font(13, below, LABELS - 12), spacing=4)
        for left, pixels in enumerate(shown):
            sheet.paste(_tile(pixels), (EDGE + LABELS + left * step, EDGE + top * step))
    with atomic(path) as temporary:
        sheet.save(temporary, format="JPEG", quality=80, progressive=True, optimize=True)  # git takes 500 kB


def _tile(pixels: np.ndarray) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return image.resize((TILE, TILE), Image.Resampling.NEAREST if len(pixels) < 64 else Image.Resampling.LANCZOS)


def _font(size: int, text: str, width: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own typeface, at the largest size at which `text` fits."""
    fonts = (ImageFont.load_default(points) for points in range(size, 9, -1))
    fitting = (font for font in fonts if max(font.getlength(line) for line in text.split("\n")) <= width)
    return next(fitting, ImageFont.load_default(9))
