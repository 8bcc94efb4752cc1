"""How alike two pictures are, as Liu et al. (2022) measure it: L = MSE + LPIPS, each with its weight, per picture."""

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
    """What pictures are held against: (N, 3, H, W), and LPIPS's taps of it."""

    images: Tensor
    taps: list[Tensor]


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """Colours from 0 to 1 on both sides. All of LPIPS's taps have a place from 32 px on (vgg: from 16)."""

    weights: LandscapeLosses
    taps: Sequence[str]  # of the network, as LPIPS takes them
    network: Network | None
    heads: Sequence[Tensor]

    @torch.no_grad()
    def target(self, images: Tensor) -> Target:
        return Target(images=images, taps=self._see(images))

    def __call__(self, pictures: Tensor, target: Target) -> dict[str, Tensor]:
        """The weighted sum, LOSS, and its terms as they are: (N,) each."""
        if pictures.shape != target.images.shape:
            raise ValueError(f"pictures {tuple(pictures.shape)} against {tuple(target.images.shape)}")
        mse = image.pixel(pictures, target.images)
        if self.network is None:
            return {LOSS: self.weights.mse * mse, "mse": mse}
        far = lpips(self._see(pictures), target.taps, self.heads)
        return {LOSS: self.weights.mse * mse + self.weights.lpips * far, "mse": mse, "lpips": far}

    def _see(self, pictures: Tensor) -> list[Tensor]:
        if self.network is None:
            return []
        with collect(self.network, self.taps) as taps:
            return list(taps(pictures).values())


def likeness(config: SharedLandscape, store: WeightStore, device: torch.device) -> Likeness:
    """Its network and heads loaded, where LPIPS has a weight."""
    if config.losses.lpips == 0:
        return Likeness(weights=config.losses, taps=(), network=None, heads=())
    name = config.measures.lpips.network
    network, taps = LPIPS_TAPS[name]
    heads = [head.to(device) for head in heads_of(name, store.tensors(f"lpips_{name}"))]
    return Likeness(weights=config.losses, taps=taps, network=load(network, store, device), heads=heads)
