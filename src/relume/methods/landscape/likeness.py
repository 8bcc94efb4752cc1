"""The loss of Liu et al. (2022): L = weighted sum of MSE and LPIPS, per image."""

from dataclasses import dataclass

import torch
from torch import Tensor

from relume.losses import image
from relume.losses.perceptual import LPIPS_TAPS, heads_of, lpips
from relume.methods.landscape.config import SharedLandscape
from relume.networks.network import load
from relume.networks.taps import collect
from relume.networks.weights import WeightStore
from relume.training.trainer import LOSS


@dataclass(frozen=True, kw_only=True)
class Target:
    """Target images (N, 3, H, W) and their LPIPS taps."""

    images: Tensor
    taps: list[Tensor]


class Likeness:
    """The loss of images in [0, 1] to a target. LPIPS needs at least 32 px (vgg: 16), and its network only if it has a weight."""

    def __init__(self, config: SharedLandscape, store: WeightStore, device: torch.device) -> None:
        self.weights, self.network = config.losses, None
        if self.weights.lpips:
            name = config.measures.lpips.network
            network, self.taps = LPIPS_TAPS[name]
            self.heads = [head.to(device) for head in heads_of(name, store.tensors(f"lpips_{name}"))]
            self.network = load(network, store, device)

    @torch.no_grad()
    def target(self, images: Tensor) -> Target:
        return Target(images=images, taps=self._features(images))

    def __call__(self, pictures: Tensor, target: Target) -> dict[str, Tensor]:
        """The weighted sum, LOSS, and its unweighted terms: (N,) each."""
        if pictures.shape != target.images.shape:
            raise ValueError(f"needs images {tuple(target.images.shape)}, got {tuple(pictures.shape)}")
        mse = image.pixel(pictures, target.images)
        if self.network is None:
            return {LOSS: self.weights.mse * mse, "mse": mse}
        distance = lpips(self._features(pictures), target.taps, self.heads)
        return {LOSS: self.weights.mse * mse + self.weights.lpips * distance, "mse": mse, "lpips": distance}

    def _features(self, pictures: Tensor) -> list[Tensor]:
        if self.network is None:
            return []
        with collect(self.network, self.taps) as taps:
            return list(taps(pictures).values())
