"""EfficientNet-Lite0 knows a cat and a cup when it sees them: the weights are the true ones. And what S3's published PSNR means.

S3 published 1.25 dB. It compares pictures in [0, 1] with targets that are normalised for ImageNet, at a data range of 1. On 300
photographs of ImageNet a perfect reconstruction was measured at 0.41 dB, and the best output that a sigmoid can have at 2.04 dB.
Sixteen photographs give these numbers only to within their standard error, which is the tolerance here.
"""

import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from torch import Tensor

from relume.core.images import resize, to_float
from relume.data.sources import photos
from relume.networks.facts import IMAGENET_MEAN, IMAGENET_STD
from relume.networks.fetch import fetch_weights
from relume.networks.network import load
from relume.networks.taps import collect
from relume.networks.weights import WeightStore

CATS, CUPS = {281, 282, 285}, {504, 967, 968}  # ImageNet: tabby, tiger cat, Egyptian cat; coffee mug, espresso, cup


@pytest.mark.parametrize(("name", "classes"), [("chelsea", CATS), ("coffee", CUPS)])
def test_efficientnet_lite0_recognises(name: str, classes: set[int], tmp_path: Path) -> None:
    pixels = getattr(skimage.data, name)()
    side = min(pixels.shape[:2])
    left = (pixels.shape[1] - side) // 2
    picture = resize(to_float(pixels[None, :side, left : left + side]), 224)
    fetch_weights("efficientnet_lite0", tmp_path, log=lambda text: None)
    network = load("efficientnet_lite0", WeightStore(tmp_path), torch.device("cpu"))
    with torch.no_grad(), collect(network, ["logits"]) as tapped:
        assert int(tapped(picture)["logits"].argmax()) in classes


PERFECT, BEST = 0.41, 2.04  # dB
MEAN, STD = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))


@cache
def photographs() -> Tensor:
    """Resized to 256 and cropped to 224, as S3 prepares them."""
    return to_float(np.stack([cropped(Image.fromarray(photos.load(photo.name))) for photo in photos.PHOTOS]))


def cropped(picture: Image.Image) -> np.ndarray:
    scale = 256 / min(picture.size)
    width, height = (round(side * scale) for side in picture.size)
    left, top = (width - 224) // 2, (height - 224) // 2
    small = picture.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(small.crop((left, top, left + 224, top + 224)))


def published(pictures: Tensor, originals: Tensor) -> Tensor:
    return -10 * (pictures - (originals - MEAN) / STD).square().flatten(1).mean(1).log10()


def standard_error(values: Tensor) -> float:
    return float(values.std()) / math.sqrt(len(values))


def test_the_published_psnr_of_a_perfect_and_of_the_best_output() -> None:
    scores = published(photographs(), photographs())
    assert float(scores.mean()) == pytest.approx(PERFECT, abs=standard_error(scores))
    assert standard_error(scores) < 1
    scores = published(((photographs() - MEAN) / STD).clamp(0, 1), photographs())
    assert float(scores.mean()) == pytest.approx(BEST, abs=standard_error(scores))
