"""A trained decoder of one tap, and the way to the features that it decodes: from a dataset's pictures there and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.data.store import Dataset
from relume.methods.decoder.trained import TrainedDecoder, read_decoder
from relume.networks.network import Network, load
from relume.networks.taps import collect
from relume.networks.weights import WeightStore


@dataclass(frozen=True, kw_only=True)
class Codec:
    decoder: TrainedDecoder
    encoder: Network
    dataset: Dataset
    device: torch.device

    def __post_init__(self) -> None:
        decoder, dataset = self.decoder, self.dataset
        if len(decoder.taps) != 1:
            raise UserError(f"decoder {decoder.name} is of {'+'.join(decoder.taps)}: one tap is wanted")
        if decoder.size != dataset.size:
            made = f"makes pictures of {decoder.size} px"
            raise UserError(f"decoder {decoder.name} {made}; dataset {dataset.name} has {dataset.size}")

    @property
    def name(self) -> str:
        return self.decoder.name

    @property
    def network(self) -> str:
        return self.decoder.network

    @property
    def tap(self) -> str:
        return self.decoder.taps[0]

    @torch.no_grad()
    def encode(self, rows: Sequence[int]) -> Tensor:
        """Numbers of the dataset's pictures -> their features, (N, C, h, w) or (N, C)."""
        with collect(self.encoder, [self.tap]) as tapped:
            found = tapped(self.dataset.pixels(list(rows)).to(self.device))[self.tap].float()
        if (here := tuple(found.shape[1:])) != (wanted := self.decoder.shapes[self.tap]):
            raise UserError(f"decoder {self.name} was trained on features {wanted}; {self.tap} has {here} here")
        return found

    def decode(self, features: Tensor) -> Tensor:
        """Those -> (N, 3, H, W) in [0, 1], with gradients."""
        return self.decoder.module({self.tap: features})


def codecs(folders: Sequence[Path], dataset: Dataset, store: WeightStore, device: torch.device) -> list[Codec]:
    """Of decoders' folders, in their order; a network that several decode is loaded once."""
    decoders = [read_decoder(folder, device) for folder in folders]
    networks = {name: load(name, store, device) for name in dict.fromkeys(decoder.network for decoder in decoders)}
    return [Codec(decoder=decoder, encoder=networks[decoder.network], dataset=dataset, device=device) for decoder in decoders]
