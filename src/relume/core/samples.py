"""What a generator makes of nothing but noise, in `data/samples/<name>/`: pictures, and ways from one of them to another.

`images.npy` uint8 (N, H, W, 3), `walk.npy` uint8 (R, K, H, W, 3), `samples.json` says of which generator and how they were drawn.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from relume.core.errors import UserError
from relume.core.files import atomic, atomic_folder, read_json, write_json

IMAGES, WALK, CARD = "images.npy", "walk.npy", "samples.json"


@dataclass(frozen=True, kw_only=True)
class About:
    """`samples.json`."""

    name: str
    kind: str = "gan"
    dataset: str  # that the generator has learned from
    size: int
    n: int
    seed: int
    truncation: float  # psi: how far w was drawn from the mean; 1: as it came


@dataclass(frozen=True, kw_only=True)
class Samples:
    about: About
    images: np.ndarray
    walk: np.ndarray  # rows that go from one latent to another, both ends among their pictures


def write_samples(folder: Path, samples: Samples) -> None:
    with atomic_folder(folder) as temporary:
        for name, pixels in ((IMAGES, samples.images), (WALK, samples.walk)):
            with atomic(temporary / name) as path, path.open("wb") as file:
                np.save(file, np.ascontiguousarray(pixels), allow_pickle=False)
        write_json(temporary / CARD, asdict(samples.about))


def read_samples(folder: Path) -> Samples:
    """Pictures memory-mapped."""
    card: dict[str, Any] = read_json(folder / CARD)
    try:
        about = About(**card)
        images, walk = (np.load(folder / name, mmap_mode="r", allow_pickle=False) for name in (IMAGES, WALK))
    except (OSError, EOFError, ValueError, TypeError) as error:
        raise UserError(f"{folder} is not whole ({error}): run train_gan again") from None
    shape = (about.size, about.size, 3)
    if images.shape != (about.n, *shape) or walk.ndim != 5 or walk.shape[2:] != shape or images.dtype != np.uint8:
        found = f"{images.dtype} {images.shape} and {walk.shape}"
        raise UserError(f"{folder} is not whole: {found}, {CARD} says {about.n} of {about.size} px: run train_gan again")
    return Samples(about=about, images=images, walk=walk)
