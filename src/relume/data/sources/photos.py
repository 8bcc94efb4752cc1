"""Source `photos`, the default: crops of photographs in Python packages, and dead leaves images from the training ones."""

import functools
import importlib.util
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from relume.core.errors import UserError
from relume.data.config import Photos
from relume.data.dead_leaves import Photographs, dead_leaves
from relume.data.decode import decode, square
from relume.data.pictures import SPLITS, Contents, Picture, rng, shuffled
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


SCIKIT_IMAGE, SCIKIT_LEARN, MATPLOTLIB = "skimage/data", "sklearn/datasets/images", "matplotlib/mpl-data/sample_data"
PACKAGES = ("scikit-image", "scikit-learn", "matplotlib")


@dataclass(frozen=True)
class Photo:
    """A photograph in a package. `credit` is its author and licence, as the package states them. Two exceptions: matplotlib
    states no credit for grace_hopper. For flower, scikit-learn names one author and links to another; `credit` is that of the
    link."""

    name: str
    file: str
    split: str
    credit: str
    share: int = 1  # relative number of crops in its split


# The split is fixed. Test: people, an animal, buildings, things, a flower. No test photograph, and no other photograph of its
# scene (motorcycle_right), is used for training. Training uses less typical photographs, and dead leaves images.
PHOTOS = [
    Photo("astronaut", f"{SCIKIT_IMAGE}/astronaut.png", "test", "NASA, public domain"),
    Photo("chelsea", f"{SCIKIT_IMAGE}/chelsea.png", "test", "Stefan van der Walt, CC0"),
    Photo("china", f"{SCIKIT_LEARN}/china.jpg", "test", "danielbuechele, CC BY 2.0"),
    Photo("coffee", f"{SCIKIT_IMAGE}/coffee.png", "test", "Rachel Michetti, CC0"),
    Photo("flower", f"{SCIKIT_LEARN}/flower.jpg", "test", "vultilion, CC BY 2.0"),
    Photo("rocket", f"{SCIKIT_IMAGE}/rocket.jpg", "test", "SpaceX, public domain"),
    Photo("grace_hopper", f"{MATPLOTLIB}/grace_hopper.jpg", "val", "US Navy, public domain"),
    Photo("camera", f"{SCIKIT_IMAGE}/camera.png", "val", "Lav Varshney, CC0"),
    Photo("motorcycle", f"{SCIKIT_IMAGE}/motorcycle_left.png", "train", "Nesic et al., Middlebury stereo 2014", share=4),
    Photo("hubble", f"{SCIKIT_IMAGE}/hubble_deep_field.jpg", "train", "NASA, public domain"),
    Photo("retina", f"{SCIKIT_IMAGE}/retina.jpg", "train", "Mikael Häggström, CC0"),
    Photo("ihc", f"{SCIKIT_IMAGE}/ihc.png", "train", "CMMI, no known copyright restrictions", share=2),
    Photo("brick", f"{SCIKIT_IMAGE}/brick.png", "train", "CC0 Textures, CC0"),
    Photo("grass", f"{SCIKIT_IMAGE}/grass.png", "train", "linolafett, CC0"),
    Photo("gravel", f"{SCIKIT_IMAGE}/gravel.png", "train", "CC0 Textures, CC0"),
    Photo("coins", f"{SCIKIT_IMAGE}/coins.png", "train", "Brooklyn Museum, no known copyright restrictions"),
]
COLOURS = ("motorcycle", "motorcycle", "ihc", "retina")  # of dead leaves
TEXTURES = ("motorcycle", "motorcycle", "ihc", "retina", "brick", "grass", "gravel", "coins")
LEAVES = "dead_leaves"


@dataclass(frozen=True, slots=True)
class Crop:
    name: str
    photo: str
    box: Box

    def render(self, size: int, short_side: int | None) -> np.ndarray:
        box = self.box
        pixels = load(self.photo)[box.top : box.top + box.side, box.left : box.left + box.side]
        return square(Image.fromarray(pixels), size)


@dataclass(frozen=True, slots=True)
class Leaves:
    name: str
    seed: int

    def render(self, size: int, short_side: int | None) -> np.ndarray:
        photographs = Photographs(colours=[load(name) for name in COLOURS], textures=[load(name) for name in TEXTURES])
        return dead_leaves(size, rng(self.seed, self.name), photographs)


def contents(config: Photos, scratch: Path) -> Contents:
    pictures: list[Picture] = []
    for split in SPLITS:
        rows = _crops(config, split) + _leaves(config, split)
        pictures += shuffled(rows, config.seed) if split == "train" else rows
    used = {picture.source for picture in pictures}
    return Contents(
        pictures=pictures,
        classes=sorted({picture.label for picture in pictures}),
        licence="each photograph its own, see sources; dead leaves carry textures of the training photographs",
        origin=[{"name": each.name, "split": each.split, "credit": each.credit} for each in PHOTOS if each.name in used],
        packages=PACKAGES,
    )


def _crops(config: Photos, split: str) -> list[Picture]:
    """Photographs alternate, so that the first rows show many of them."""
    turns = [each for each in PHOTOS if each.split == split for _ in range(each.share)]
    shares = Counter(turns[number % len(turns)] for number in range(getattr(config, split)))
    rounds: list[tuple[int, int, Picture]] = []
    for place, (photo, share) in enumerate(shares.items()):
        generator = rng(config.seed, "crops", photo.name)
        for number, box in enumerate(choose(load(photo.name), share, size=config.pixels, generator=generator)):
            id = f"{photo.name}-{number:02d}"
            crop = Picture(id, split, photo.name, photo.name, Crop(id, photo.name, box))
            rounds.append((number, place, crop))
    return [crop for _, _, crop in sorted(rounds, key=lambda entry: entry[:2])]


def _leaves(config: Photos, split: str) -> list[Picture]:
    """Each image is its own original: no two share a leaf."""
    count = {"train": config.dead_leaves_train, "val": config.dead_leaves_val}.get(split, 0)
    ids = [f"{LEAVES}-{split}-{number:04d}" for number in range(count)]
    return [Picture(id, split, LEAVES, id, Leaves(id, config.seed)) for id in ids]


@functools.lru_cache(maxsize=len(PHOTOS))
def load(name: str) -> np.ndarray:
    """uint8 (H, W, 3), once per process."""
    file = next(each.file for each in PHOTOS if each.name == name)
    package, rest = file.split("/", 1)
    found = importlib.util.find_spec(package)  # finds the folder without importing the package
    path = Path(*(found.submodule_search_locations or [])[:1], rest) if found else None
    if path is None or not path.exists():
        raise UserError(f"the photograph {file} is missing: install the requirements again")
    return np.asarray(decode(path.read_bytes()))
