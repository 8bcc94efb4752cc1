"""Square crops of one photograph, at several scales, where there is something to see, and no two alike."""

from dataclasses import dataclass

import numpy as np

CANDIDATES = 600
SMALLEST = 0.3  # of the short side, or the size wanted if that is more: nothing is enlarged


@dataclass(frozen=True, slots=True)
class Box:
    left: int
    top: int
    side: int


def choose(pixels: np.ndarray, count: int, *, size: int, generator: np.random.Generator) -> list[Box]:
    """`count` boxes of uint8 (H, W, 3), best first; the first one is as large as the photograph allows.

    Greedy: each next box is the busiest of the candidates, discounted by its overlap with those that are chosen already.
    """
    h, w = pixels.shape[:2]
    short = min(h, w)
    sides = np.exp(generator.uniform(np.log(min(short, max(size, SMALLEST * short))), np.log(short), CANDIDATES))
    sides = np.round(sides).astype(int)
    sides[: CANDIDATES // 20] = short
    left = np.floor(generator.random(CANDIDATES) * (w - sides + 1)).astype(int)
    top = np.floor(generator.random(CANDIDATES) * (h - sides + 1)).astype(int)
    interest = _interest(pixels, left, top, sides)
    worth = np.where(sides == short, interest, 0.0)
    overlap = np.zeros(CANDIDATES)
    chosen: list[Box] = []
    for _ in range(count):
        best = int(np.argmax(worth))
        chosen.append(Box(int(left[best]), int(top[best]), int(sides[best])))
        overlap = np.maximum(overlap, _overlap(left, top, sides, best))
        worth = interest * (1 - overlap) ** 2
    return chosen


def _interest(pixels: np.ndarray, left: np.ndarray, top: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """How evenly edges are spread: the busy share of each quarter, of which an empty one counts for much."""
    grey = pixels.astype(np.float32).mean(-1)
    steps = np.hypot(*np.gradient(grey))
    busy = np.minimum(steps / 12, 1)  # a step of 12 grey levels per pixel is an edge; more makes no crop better
    total = np.pad(busy.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    half = sides // 2
    quarters = [_sum(total, left + dx * half, top + dy * half, half) / np.maximum(half, 1) ** 2 for dx in (0, 1) for dy in (0, 1)]
    return np.sqrt(np.stack(quarters)).mean(0) ** 2  # type: ignore[no-any-return]


def _sum(total: np.ndarray, left: np.ndarray, top: np.ndarray, side: np.ndarray) -> np.ndarray:
    right, bottom = left + side, top + side
    return total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left]  # type: ignore[no-any-return]


def _overlap(left: np.ndarray, top: np.ndarray, sides: np.ndarray, one: int) -> np.ndarray:
    """Intersection over union with box number `one`."""
    across = np.minimum(left + sides, left[one] + sides[one]) - np.maximum(left, left[one])
    down = np.minimum(top + sides, top[one] + sides[one]) - np.maximum(top, top[one])
    both = np.maximum(across, 0) * np.maximum(down, 0)
    return both / (sides**2 + sides[one] ** 2 - both)  # type: ignore[no-any-return]
