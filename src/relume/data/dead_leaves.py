"""Dead leaves images: opaque shapes, drawn over each other; Lee, Mumford & Huang 2001 (IJCV 41). Radii r of density ~ r^-3 make
the image scale-invariant with a power spectrum of 1/f^2, as in photographs. Colours and textures are taken from photographs. Each
leaf has a shadow. The same seed gives the same bytes on every CPU: see `portable`. Matrix products and sums of fractions are
therefore not used."""

import math
from bisect import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from relume.data.portable import cos_sin, hypot, log, uniform

Shape = Callable[[np.ndarray, np.ndarray], np.ndarray]  # x, y in radii -> distance to the edge in radii, negative inside


@dataclass(frozen=True, kw_only=True)
class Photographs:
    """uint8 (H, W, 3) each, at least as large as the image: the sources of colours and textures."""

    colours: Sequence[np.ndarray]
    textures: Sequence[np.ndarray]


def dead_leaves(size: int, generator: np.random.Generator, photographs: Photographs) -> np.ndarray:
    """uint8 (size, size, 3)."""
    return dead_leaves_float(size, generator, photographs).round().astype(np.uint8)


def dead_leaves_float(size: int, generator: np.random.Generator, photographs: Photographs) -> np.ndarray:
    """The image before rounding: float32 in [0, 255]."""
    palette = _palette(generator, photographs.colours)
    canvas = _background(size, generator, palette)
    smallest = size * uniform(generator, 0.015, 0.06)
    largest = size * uniform(generator, 0.3, 0.7)
    for radius in radii(generator, smallest, largest, area=size * size * uniform(generator, 1.5, 3.5)):
        _draw_leaf(canvas, radius, generator, palette, photographs.textures)
    return _blurred(np.clip(canvas, 0, 255), size / 128 * uniform(generator, 0.1, 0.5))


def _blurred(canvas: np.ndarray, sigma: float) -> np.ndarray:
    """Approximately Gaussian: a three-pixel filter, three times along each axis."""
    share = sigma * sigma / 6
    for _ in range(6):
        padded = np.pad(canvas, ((1, 1), (0, 0), (0, 0)), "edge")
        canvas = (canvas * (1 - 2 * share) + (padded[:-2] + padded[2:]) * share).swapaxes(0, 1)
    return canvas


def radii(generator: np.random.Generator, smallest: float, largest: float, *, area: float) -> np.ndarray:
    """Radii of density ~ r^-3, whose discs have the total `area` on average."""
    most, least = 1 / (smallest * smallest), 1 / (largest * largest)
    mean_area = 2 * math.pi * log(largest / smallest) / (most - least)
    u = generator.random(max(1, round(area / mean_area)))
    return np.asarray(1 / np.sqrt(most - u * (most - least)))


def _palette(generator: np.random.Generator, photographs: Sequence[np.ndarray]) -> np.ndarray:
    """Seven colours of the photographs, float32 (7, 3). Some are rotated about the grey axis and desaturated, so that few
    photographs give many palettes."""
    colours = np.stack([_colour(generator, photographs) for _ in range(7)])
    grey = colours.mean(1, keepdims=True)
    chroma = colours - grey
    cos, sin = _direction(generator)
    rotated = cos * chroma + sin / math.sqrt(3) * (np.roll(chroma, -1, 1) - np.roll(chroma, -2, 1))
    which = generator.random((7, 1)) < 0.5
    chroma = np.where(which, 0.6 * rotated, chroma) * uniform(generator, 0.25, 0.9, (7, 1))
    return np.asarray((grey + chroma) * uniform(generator, 0.8, 1.2), np.float32)


def _colour(generator: np.random.Generator, photographs: Sequence[np.ndarray]) -> np.ndarray:
    photograph = photographs[int(generator.integers(len(photographs)))]
    h, w = photograph.shape[:2]
    return photograph[generator.integers(h), generator.integers(w)].astype(np.float32)


def _background(size: int, generator: np.random.Generator, palette: np.ndarray) -> np.ndarray:
    """A linear gradient between two colours."""
    cos, sin = _direction(generator)
    y, x = np.mgrid[:size, :size] / size - 0.5
    blend = np.clip(0.5 + x * cos + y * sin, 0, 1)[..., None]
    return np.asarray(palette[0] * blend + palette[1] * (1 - blend), np.float32)


def _draw_leaf(
    canvas: np.ndarray, radius: float, generator: np.random.Generator, palette: np.ndarray, photographs: Sequence[np.ndarray]
) -> None:
    """Draws one leaf with an antialiased edge and a shadow."""
    size = len(canvas)
    cx, cy = uniform(generator, -radius / 2, size + radius / 2, 2)
    shape, reach = SHAPES[bisect(CUMULATED, generator.random())](generator)
    shadow = 1 + 0.3 * radius
    span = reach * radius + shadow
    x0, x1 = max(0, int(cx - span)), min(size, int(cx + span) + 2)
    y0, y1 = max(0, int(cy - span)), min(size, int(cy + span) + 2)
    x = (np.arange(x0, x1, dtype=np.float32) - np.float32(cx))[None] / np.float32(radius)
    y = (np.arange(y0, y1, dtype=np.float32) - np.float32(cy))[:, None] / np.float32(radius)
    distance = shape(x, y) * np.float32(radius)
    cover = np.clip(0.5 - distance, 0, 1)[..., None]
    shade = 1 - 0.4 * np.clip(1 - distance / np.float32(shadow), 0, 1) ** 2
    below = canvas[y0:y1, x0:x1] * shade[..., None]
    leaf = _texture(y1 - y0, x1 - x0, generator, palette, photographs)
    (cos, sin), slope = _direction(generator), np.float32(uniform(generator, 0, 0.35))
    leaf = leaf * (1 + slope * (x * cos + y * sin))[..., None]  # a brightness gradient
    canvas[y0:y1, x0:x1] = below + cover * (leaf - below)


def _texture(
    h: int, w: int, generator: np.random.Generator, palette: np.ndarray, photographs: Sequence[np.ndarray]
) -> np.ndarray:
    """A patch of a photograph, or its luminance in a colour of the palette: float32 (h, w, 3)."""
    photograph = photographs[int(generator.integers(len(photographs)))]
    top, left = (int(generator.integers(full - need + 1)) for full, need in zip(photograph.shape, (h, w), strict=False))
    patch = photograph[top : top + h, left : left + w]
    if generator.random() < 0.2:
        return patch.astype(np.float32)
    colour = palette[int(generator.integers(len(palette)))] * np.float32(uniform(generator, 0.75, 1.25))
    green = patch[..., 1]
    detail = green.astype(np.float32) / np.float32(green.mean() + 1) - 1  # a mean of integers: their sum is exact
    return np.asarray(colour * (1 + np.float32(uniform(generator, 0.05, 0.8)) * detail[..., None]))


def _ellipse(generator: np.random.Generator) -> tuple[Shape, float]:
    long, short = 1.0, uniform(generator, 0.45, 1)
    cos, sin = _direction(generator)
    return lambda x, y: (hypot((x * cos + y * sin) / long, (y * cos - x * sin) / short) - 1) * short, 1.0


def _bar(generator: np.random.Generator) -> tuple[Shape, float]:
    """A narrow rectangle."""
    long, short = uniform(generator, 1.2, 2.2), uniform(generator, 0.12, 0.5)
    cos, sin = _direction(generator)
    reach = math.sqrt(long * long + short * short)
    return lambda x, y: np.maximum(abs(x * cos + y * sin) - long, abs(y * cos - x * sin) - short), reach


def _polygon(generator: np.random.Generator) -> tuple[Shape, float]:
    """Three to six sides at uneven angles; a circle limits sharp corners."""
    count = int(generator.integers(3, 7))
    uneven, turn = uniform(generator, -0.25, 0.25, count), uniform(generator, 0, 7)
    directions = [cos_sin(float(each) * 2 * math.pi / count + turn) for each in np.arange(count) + uneven]
    heights = uniform(generator, 0.55, 0.95, count)

    def distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        edge = hypot(x, y) - 1.4
        for (cos, sin), height in zip(directions, heights.tolist(), strict=True):
            edge = np.maximum(edge, x * cos + y * sin - height)
        return edge

    return distance, 1.4


def _blob(generator: np.random.Generator) -> tuple[Shape, float]:
    """A disc with a wavy outline."""
    waves = {k: (uniform(generator, 0, 0.3) / (k - 1), _direction(generator)) for k in (2, 3, 5)}

    def distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        radius = hypot(x, y)
        length = np.maximum(radius, np.float32(1e-6))
        x, y = x / length, y / length
        cos, sin, rim = x, y, np.float32(1)
        for k in range(2, 6):  # cos and sin of k times the angle
            cos, sin = cos * x - sin * y, sin * x + cos * y
            if k in waves:
                height, (ahead, aside) = waves[k]
                rim = rim + height * (cos * ahead - sin * aside)
        return (radius - rim) * 0.8

    return distance, 1.5


def _direction(generator: np.random.Generator) -> tuple[float, float]:
    return cos_sin(uniform(generator, 0, 2 * math.pi))


SHAPES = (lambda generator: (lambda x, y: hypot(x, y) - 1, 1.0), _ellipse, _polygon, _blob, _bar)
CUMULATED = (0.2, 0.45, 0.65, 0.85)  # probabilities of SHAPES without the last
