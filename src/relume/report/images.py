"""Pictures for the page: which ones, and each method's on one sheet that the page holds once."""

import base64
import io
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from relume.core.errors import UserError
from relume.core.files import atomic
from relume.report.blocks import Cell, Pictures, Row, Tile
from relume.report.data import Entry, Key, Originals, ReportData

LARGEST, SMALL = 120, 64  # px of a tile on a sheet; the pixels of tiles below SMALL are to be seen
QUALITY, FINE, WIDEST = 64, 84, 1000  # of WebP, and where pixels are to be seen; px of a picture that is no tile
PAPER, INK, SOFT = (255, 255, 255), (29, 29, 27), (107, 103, 95)
ACROSS = 64  # tiles in a row of a sheet: WebP holds 16,383 px
SIDE, GAP, LABELS = 152, 6, 170  # px, of the overview


@dataclass(kw_only=True)
class Sheets:
    """Tiles by sheet, all of one size. A picture is stored once."""

    tiles: dict[str, list[np.ndarray]] = field(default_factory=dict)
    numbers: dict[tuple[str, object], int] = field(default_factory=dict)

    def tile(self, sheet: str, key: object, pixels: np.ndarray, alt: str, under: str = "", over: Tile | None = None) -> Tile:
        """`key` names the picture on its sheet: it is stored once. uint8 (H, W, 3)."""
        if (sheet, key) not in self.numbers:
            row = self.tiles.setdefault(sheet, [])
            self.numbers[sheet, key] = len(row)
            row.append(np.ascontiguousarray(pixels))
        return Tile(sheet=sheet, at=self.numbers[sheet, key], alt=alt, under=under, over=over)

    def css(self) -> list[tuple[str, str, int, int, float, bool]]:
        """Name, data URI, columns, rows, width over height of a tile, and whether its pixels are to be seen."""
        return [
            (
                name,
                _uri(self.sheet(name)),
                min(len(tiles), ACROSS),
                -(-len(tiles) // ACROSS),
                round(tiles[0].shape[1] / tiles[0].shape[0], 4),
                tiles[0].shape[1] < SMALL,
            )
            for name, tiles in self.tiles.items()
        ]

    def sheet(self, name: str) -> Image.Image:
        """In rows of ACROSS."""
        tiles = [_smaller(pixels) for pixels in self.tiles[name]]
        height, width = tiles[0].shape[:2]
        sheet = np.zeros((-(-len(tiles) // ACROSS) * height, min(len(tiles), ACROSS) * width, 3), np.uint8)
        for at, pixels in enumerate(tiles):
            top, left = at // ACROSS * height, at % ACROSS * width
            sheet[top : top + height, left : left + width] = pixels
        return Image.fromarray(sheet)

    def image(self, tile: Tile) -> Image.Image:
        return Image.fromarray(_smaller(self.tiles[tile.sheet][tile.at]))


def _smaller(pixels: np.ndarray) -> np.ndarray:
    """Squares at most LARGEST, sheets of files at most WIDEST px wide."""
    height, width = pixels.shape[:2]
    most = LARGEST if height == width else WIDEST
    if width <= most:
        return pixels
    size = (most, round(height * most / width))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def _uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", quality=FINE if image.height < SMALL else QUALITY, method=4)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def pick(data: ReportData, dataset: str, keys: Iterable[Key], count: int) -> list[str]:
    """`count` ids that most of these methods have, one source after another: chosen without knowledge of the scores."""
    shared = Counter(id for key in keys for id in data.entries[key].rows)
    most = max(shared.values(), default=0)
    return spread(data.originals(dataset), {id for id, times in shared.items() if times == most}, count)


def spread(originals: Originals, ids: Container[str], count: int) -> list[str]:
    """`count` of the ids, one source after another, in the dataset's order."""
    sources: dict[str, list[str]] = {}
    for id in originals.rows:
        if id in ids:
            sources.setdefault(originals.sources[id], []).append(id)
    longest = max((len(found) for found in sources.values()), default=0)
    ordered = [found[turn] for turn in range(longest) for found in sources.values() if turn < len(found)]
    return ordered[:count]


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """What all parts are drawn from and with."""

    data: ReportData
    level: str  # of intervals
    count: int  # pictures of each dataset
    sheets: Sheets = field(default_factory=Sheets)

    def original(self, dataset: str, id: str) -> Tile:
        return self.sheets.tile(f"originals-{dataset}", id, self.data.originals(dataset).image(id), f"Original {id}")

    def originals(self, dataset: str, ids: Iterable[str], under: str = "") -> Row:
        return Cell(text="Original", under=under), [self.original(dataset, id) for id in ids]

    def reconstruction(self, entry: Entry, name: str, id: str) -> Tile | None:
        """With the original to be drawn over it."""
        if id not in entry.rows:
            return None
        score = f"{entry.psnr[id]:.1f} dB" if id in entry.psnr else ""
        alt = f"{id} by {name}" + (f", {score}" if score else "")
        original = self.original(entry.key[1], id)
        return self.sheets.tile(entry.sheet, id, entry.group.images[entry.rows[id]], alt, score, original)

    def file(self, id: str, path: Path, caption: str) -> Pictures:
        """A picture that another stage made."""
        if not path.is_file():
            raise UserError(f"{path} is missing: the stage that writes it has not run")
        with Image.open(path) as image:
            tile = self.sheets.tile(id, path.name, np.asarray(image.convert("RGB")), caption)
        return Pictures(id=id, title="", rows=[(Cell(text=""), [tile])], caption=caption)


def overview(path: Path, rows: Sequence[tuple[str, str, Sequence[Image.Image]]]) -> None:
    """The overview: a row of pictures for each label and what stands below it."""
    step, count = SIDE + GAP, max(len(pictures) for *_, pictures in rows)
    sheet = Image.new("RGB", (2 * GAP + LABELS + step * count - GAP, 2 * GAP + step * len(rows) - GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    for top, (name, below, pictures) in enumerate(rows):
        at = GAP + top * step
        draw.text((GAP, at + SIDE // 2 - 26), name, INK, font=ImageFont.load_default(18))
        draw.multiline_text((GAP, at + SIDE // 2), below, SOFT, font=ImageFont.load_default(14), spacing=5)
        for left, picture in enumerate(pictures):
            how = Image.Resampling.NEAREST if picture.width < SMALL else Image.Resampling.LANCZOS
            sheet.paste(picture.resize((SIDE, SIDE), how), (GAP + LABELS + left * step, at))
    with atomic(path) as temporary:
        sheet.save(temporary, format="JPEG", quality=80, progressive=True, optimize=True)  # git takes 500 kB
