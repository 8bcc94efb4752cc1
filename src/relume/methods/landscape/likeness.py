"""The loss of Liu et al. (2022): L = weighted sum of MSE and LPIPS, per image."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from relume.losses import image
from relume.losses.perceptual import LPIPS_TAPS, heads_of, lpips
from relume.methods.landscape.config import LandscapeLosses, SharedLandscape
from relume.networks.network import Network, load
from relume.networks.taps import collect
from relume.networks.weights import WeightStore
from relume.training.trainer import LOSS


@dataclass(frozen=True, kw_only=True)
class Target:
    """Target images (N, 3, H, W) and their LPIPS taps."""

    images: Tensor
    taps: list[Tensor]


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """The loss of images in [0, 1] to a target. LPIPS needs at least 32 px (vgg: 16)."""

    weights: LandscapeLosses
    taps: Sequence[str]  # of the network, in the order of LPIPS's heads
    network: Network | None
    heads: Sequence[Tensor]

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


def likeness(config: SharedLandscape, store: WeightStore, device: torch.device) -> Likeness:
    """Loads the network and heads if LPIPS has a weight."""
    if config.losses.lpips == 0:
        return Likeness(weights=config.losses, taps=(), network=None, heads=())
    name = config.measures.lpips.network
    network, taps = LPIPS_TAPS[name]
    heads = [head.to(device) for head in heads_of(name, store.tensors(f"lpips_{name}"))]
    return Likeness(weights=config.losses, taps=taps, network=load(network, store, device), heads=heads)
