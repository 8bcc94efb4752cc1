"""Square crops of one photograph at several scales: with much detail and little overlap."""

from dataclasses import dataclass

import numpy as np

from relume.data.portable import exp, hypot, log, uniform

CANDIDATES = 600
SMALLEST = 0.3  # of the short side; at least the target size, so that no crop is enlarged


@dataclass(frozen=True, slots=True)
class Box:
    left: int
    top: int
    side: int


def choose(pixels: np.ndarray, count: int, *, size: int, generator: np.random.Generator) -> list[Box]:
    """`count` boxes in uint8 (H, W, 3), best first; the first one is a largest square. Greedy: each box maximises the detail,
    discounted by the overlap with the boxes before it."""
    h, w = pixels.shape[:2]
    short = min(h, w)
    logs = uniform(generator, log(min(short, max(size, SMALLEST * short))), log(short), CANDIDATES)
    sides = np.array([round(exp(each)) for each in logs])
    sides[: CANDIDATES // 20] = short
    left = np.floor(generator.random(CANDIDATES) * (w - sides + 1)).astype(int)
    top = np.floor(generator.random(CANDIDATES) * (h - sides + 1)).astype(int)
    step = max(1, short // 300)  # the detail is measured at low resolution
    detail = _detail(pixels[::step, ::step], left // step, top // step, sides // step)
    score = np.where(sides == short, detail, 0.0)
    overlap = np.zeros(CANDIDATES)
    chosen: list[Box] = []
    for _ in range(count):
        best = int(np.argmax(score))
        chosen.append(Box(int(left[best]), int(top[best]), int(sides[best])))
        overlap = np.maximum(overlap, _overlap(left, top, sides, best))
        score = detail * (1 - overlap) ** 2
    return chosen


def _detail(pixels: np.ndarray, left: np.ndarray, top: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """The evenness of the edge density over the four quarters, times the standard deviation of the colours."""
    values = pixels.astype(np.float64)
    steps = hypot(*np.gradient(values.mean(-1)))
    busy = _integral(np.minimum(steps / 12, 1))  # an edge: 12 grey levels or more
    half = sides // 2
    quarters = [_mean(busy, left + dx * half, top + dy * half, half) for dx in (0, 1) for dy in (0, 1)]
    spread = np.sqrt(np.maximum(quarters, 0)).mean(0)
    planes = [(_integral(plane), _integral(plane**2)) for plane in np.moveaxis(values, -1, 0)]
    variance = sum(_mean(squares, left, top, sides) - _mean(sums, left, top, sides) ** 2 for sums, squares in planes)
    return np.asarray(spread * np.sqrt(np.maximum(variance, 0)))


def _integral(plane: np.ndarray) -> np.ndarray:
    return np.pad(plane.cumsum(0).cumsum(1), ((1, 0), (1, 0)))


def _mean(total: np.ndarray, left: np.ndarray, top: np.ndarray, side: np.ndarray) -> np.ndarray:
    """The mean over each box of the plane with the integral `total`."""
    right, bottom = left + side, top + side
    within = total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left]
    return np.asarray(within / np.maximum(side, 1) ** 2)


def _overlap(left: np.ndarray, top: np.ndarray, sides: np.ndarray, one: int) -> np.ndarray:
    """Intersection over union with box number `one`."""
    across = np.minimum(left + sides, left[one] + sides[one]) - np.maximum(left, left[one])
    down = np.minimum(top + sides, top[one] + sides[one]) - np.maximum(top, top[one])
    both = np.maximum(across, 0) * np.maximum(down, 0)
    return np.asarray(both / (sides**2 + sides[one] ** 2 - both))
