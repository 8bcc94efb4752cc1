"""Samples of a generator, in `data/samples/<name>/`: `images.npy`, uint8 (N, H, W, 3); `walk.npy`, interpolations, uint8
(R, K, H, W, 3); `samples.json`, the generator and the sampling."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from relume.core.errors import UserError
from relume.core.files import atomic_folder, read_json, write_json
from relume.core.results import write_array

IMAGES, WALK, CARD = "images.npy", "walk.npy", "samples.json"


@dataclass(frozen=True, kw_only=True)
class About:
    """`samples.json`."""

    name: str
    kind: str = "gan"
    dataset: str  # the training dataset of the generator
    size: int
    n: int
    seed: int
    truncation: float  # psi of the truncation trick; 1: no truncation


@dataclass(frozen=True, kw_only=True)
class Samples:
    about: About
    images: np.ndarray
    walk: np.ndarray  # each row interpolates between two latents, both included


def write_samples(folder: Path, samples: Samples) -> None:
    with atomic_folder(folder) as temporary:
        write_array(temporary / IMAGES, samples.images)
        write_array(temporary / WALK, samples.walk)
        write_json(temporary / CARD, asdict(samples.about))


def read_samples(folder: Path) -> Samples:
    """Images are memory-mapped."""
    card: dict[str, Any] = read_json(folder / CARD)
    try:
        about = About(**card)
        images, walk = (np.load(folder / name, mmap_mode="r", allow_pickle=False) for name in (IMAGES, WALK))
    except (OSError, EOFError, ValueError, TypeError) as error:
        raise UserError(f"{folder} is incomplete ({error}): run train_gan again") from None
    shape = (about.size, about.size, 3)
    if images.shape != (about.n, *shape) or walk.ndim != 5 or walk.shape[2:] != shape or images.dtype != np.uint8:
        found = f"{images.dtype} {images.shape} and {walk.shape}"
        raise UserError(f"{folder} is incomplete: {found}, {CARD} has {about.n} of {about.size} px: run train_gan again")
    return Samples(about=about, images=images, walk=walk)
