"""S3 published a PSNR of 1.25 dB. That is its protocol: a perfect reconstruction scores 0.4 dB under it.

It compares pictures in [0, 1] with targets that are normalised for ImageNet, at a data range of 1. On 300 ImageNet photographs
a perfect reconstruction was measured at 0.41 dB, and the best output that a sigmoid can have at 2.04 dB. Sixteen photographs
give these numbers only to within their standard error, which is the tolerance here.
"""

import math
from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from relume.core.images import to_float
from relume.data.sources.photos import PHOTOS, load
from relume.networks.facts import IMAGENET_MEAN, IMAGENET_STD

PERFECT, BEST = 0.41, 2.04  # dB
MEAN, STD = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))


@cache
def photographs() -> Tensor:
    """Those that packages ship, resized to 256 and cropped to 224, as S3 prepares them: (16, 3, 224, 224)."""
    return to_float(np.stack([cropped(Image.fromarray(load(photo.name))) for photo in PHOTOS]))


def cropped(picture: Image.Image) -> np.ndarray:
    scale = 256 / min(picture.size)
    width, height = (round(side * scale) for side in picture.size)
    left, top = (width - 224) // 2, (height - 224) // 2
    small = picture.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(small.crop((left, top, left + 224, top + 224)))


def normalised(originals: Tensor) -> Tensor:
    return (originals - MEAN) / STD


def published(pictures: Tensor, originals: Tensor) -> Tensor:
    """S3's PSNR, per picture: against normalised targets, at a data range of 1."""
    return -10 * (pictures - normalised(originals)).square().flatten(1).mean(1).log10()


def standard_error(values: Tensor) -> float:
    return float(values.std()) / math.sqrt(len(values))


def test_a_perfect_reconstruction_scores_next_to_nothing_as_published() -> None:
    scores = published(photographs(), photographs())
    assert float(scores.mean()) == pytest.approx(PERFECT, abs=standard_error(scores))
    assert float(scores.max()) < 6, "the luckiest of them, a grey one"
    assert 0.3 < standard_error(scores) < 1


def test_not_even_the_best_output_in_range_does_much_better() -> None:
    scores = published(normalised(photographs()).clamp(0, 1), photographs())
    assert float(scores.mean()) == pytest.approx(BEST, abs=standard_error(scores))
    assert (scores >= published(photographs(), photographs())).all()
