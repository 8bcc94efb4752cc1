"""Dead leaves: opaque shapes fall upon each other until the ground is covered; Lee, Mumford & Huang 2001 (IJCV 41).

With radii r of density ~ r^-3 the picture looks the same at every scale, and its power falls like 1/f^2, as that of
photographs does. Colours and textures are taken from photographs; a rim of shadow sets the leaves apart.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

Shape = Callable[[np.ndarray, np.ndarray], np.ndarray]  # x, y in radii -> distance to the edge in radii, negative inside


@dataclass(frozen=True, kw_only=True)
class Matter:
    """Photographs, uint8 (H, W, 3), at least as large as the picture: where colours come from, and textures."""

    colours: Sequence[np.ndarray]
    textures: Sequence[np.ndarray]


def picture(size: int, generator: np.random.Generator, matter: Matter) -> np.ndarray:
    """uint8 (size, size, 3)."""
    palette = _palette(generator, matter.colours)
    canvas = _ground(size, generator, palette)
    smallest = size * generator.uniform(0.015, 0.06)
    largest = size * generator.uniform(0.3, 0.7)
    for radius in _radii(generator, smallest, largest, area=size * size * generator.uniform(1.5, 3.5)):
        _drop(canvas, radius, generator, palette, matter.textures)
    image = Image.fromarray(np.clip(canvas, 0, 255).round().astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(size / 128 * generator.uniform(0.1, 0.5))))


def _radii(generator: np.random.Generator, smallest: float, largest: float, *, area: float) -> np.ndarray:
    """Radii of density ~ r^-3, as many as cover `area` on average."""
    mean_area = 2 * np.pi * np.log(largest / smallest) / (smallest**-2 - largest**-2)
    u = generator.random(max(1, round(area / mean_area)))
    return np.asarray((smallest**-2 - u * (smallest**-2 - largest**-2)) ** -0.5)


def _palette(generator: np.random.Generator, photographs: Sequence[np.ndarray]) -> np.ndarray:
    """A few colours of the photographs, float32 (7, 3). Some are turned about the grey axis and made paler, so that few
    photographs give many palettes: one accent in many earth colours, as outdoors.
    """
    colours = np.stack([_colour(generator, photographs) for _ in range(7)])
    grey = colours.mean(1, keepdims=True)
    chroma = colours - grey
    angle = generator.uniform(0, 2 * np.pi)
    turned = np.cos(angle) * chroma + np.sin(angle) * np.cross(chroma, np.full(3, 3**-0.5))
    which = generator.random((7, 1)) < 0.5
    chroma = np.where(which, 0.6 * turned, chroma) * generator.uniform(0.25, 0.9, (7, 1))
    return np.asarray((grey + chroma) * generator.uniform(0.8, 1.2), np.float32)


def _colour(generator: np.random.Generator, photographs: Sequence[np.ndarray]) -> np.ndarray:
    photograph = photographs[int(generator.integers(len(photographs)))]
    h, w = photograph.shape[:2]
    return photograph[generator.integers(h), generator.integers(w)].astype(np.float32)


def _ground(size: int, generator: np.random.Generator, palette: np.ndarray) -> np.ndarray:
    """What shows between the leaves: one colour fading into another."""
    angle = generator.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:size, :size] / size - 0.5
    blend = np.clip(0.5 + x * np.cos(angle) + y * np.sin(angle), 0, 1)[..., None]
    return np.asarray(palette[0] * blend + palette[1] * (1 - blend), np.float32)


def _drop(
    canvas: np.ndarray,
    radius: float,
    generator: np.random.Generator,
    palette: np.ndarray,
    photographs: Sequence[np.ndarray],
) -> None:
    """One leaf onto the canvas, with a soft edge of one pixel and its shadow on what lies below."""
    size = len(canvas)
    cx, cy = generator.uniform(-radius / 2, size + radius / 2, 2)
    shape, reach = SHAPES[generator.choice(len(SHAPES), p=CHANCES)](generator)
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
    leaf = _texture(y1 - y0, x1 - x0, generator, palette, photographs) * _light(x, y, generator)[..., None]
    canvas[y0:y1, x0:x1] = below + cover * (leaf - below)


def _light(x: np.ndarray, y: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A leaf is bent: brighter towards one side."""
    (cos, sin), slope = _direction(generator), np.float32(generator.uniform(0, 0.35))
    return np.asarray(1 + slope * (x * np.float32(cos) + y * np.float32(sin)))


def _texture(
    h: int, w: int, generator: np.random.Generator, palette: np.ndarray, photographs: Sequence[np.ndarray]
) -> np.ndarray:
    """A patch of a photograph as it is, or its light and dark in a colour of the palette: float32 (h, w, 3)."""
    photograph = photographs[int(generator.integers(len(photographs)))]
    top, left = (int(generator.integers(full - need + 1)) for full, need in zip(photograph.shape, (h, w), strict=False))
    patch = photograph[top : top + h, left : left + w].astype(np.float32)
    if generator.random() < 0.2:
        return patch
    colour = palette[int(generator.integers(len(palette)))] * np.float32(generator.uniform(0.75, 1.25))
    detail = patch[..., 1] / (patch[..., 1].mean() + 1) - 1
    return np.asarray(colour * (1 + np.float32(generator.uniform(0.05, 0.8)) * detail[..., None]))


def _ellipse(generator: np.random.Generator) -> tuple[Shape, float]:
    long, short = 1.0, generator.uniform(0.45, 1)
    cos, sin = _direction(generator)
    return lambda x, y: (np.hypot((x * cos + y * sin) / long, (y * cos - x * sin) / short) - 1) * short, 1.0


def _disc(generator: np.random.Generator) -> tuple[Shape, float]:
    return lambda x, y: np.hypot(x, y) - 1, 1.0


def _bar(generator: np.random.Generator) -> tuple[Shape, float]:
    """Long and narrow: stems, edges of things."""
    long, short = generator.uniform(1.2, 2.2), generator.uniform(0.12, 0.5)
    cos, sin = _direction(generator)
    return lambda x, y: np.maximum(abs(x * cos + y * sin) - long, abs(y * cos - x * sin) - short), float(np.hypot(long, short))


def _polygon(generator: np.random.Generator) -> tuple[Shape, float]:
    """Three to six sides at uneven angles, cut off by a circle so that a sharp corner does not run away."""
    count = int(generator.integers(3, 7))
    angles = (np.arange(count) + generator.uniform(-0.25, 0.25, count)) * 2 * np.pi / count + generator.uniform(0, 7)
    heights = generator.uniform(0.55, 0.95, count)

    def distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        sides = (x * np.cos(a) + y * np.sin(a) - h for a, h in zip(angles, heights, strict=True))
        edge = np.hypot(x, y) - 1.4
        for side in sides:
            edge = np.maximum(edge, side)
        return edge

    return distance, 1.4


def _blob(generator: np.random.Generator) -> tuple[Shape, float]:
    """A disc with a wavy rim."""
    waves = [(k, generator.uniform(0, 0.3) / (k - 1), generator.uniform(0, 2 * np.pi)) for k in (2, 3, 5)]

    def distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        angle = np.arctan2(y, x)
        rim = 1 + sum(height * np.cos(k * angle + phase) for k, height, phase in waves)
        return (np.hypot(x, y) - rim) * 0.8

    return distance, 1.5


def _direction(generator: np.random.Generator) -> tuple[float, float]:
    angle = generator.uniform(0, 2 * np.pi)
    return float(np.cos(angle)), float(np.sin(angle))


SHAPES = (_disc, _ellipse, _polygon, _blob, _bar)
CHANCES = (0.2, 0.25, 0.2, 0.2, 0.15)
