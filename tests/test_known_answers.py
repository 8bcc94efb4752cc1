"""The weights that packages carry are the true ones: EfficientNet-Lite0 knows a cat and a cup when it sees them."""

from pathlib import Path

import pytest
import skimage.data
import torch

from relume.core.images import resize, to_float
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
