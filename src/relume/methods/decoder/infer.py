"""Applies decoders: to the features of a dataset's images, never to the images, in one pass each."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relume.core.errors import UserError
from relume.core.images import to_uint8
from relume.core.results import Row, new_images
from relume.data.store import Dataset
from relume.methods.decoder.config import InvertDecoder
from relume.methods.decoder.model import TrainedDecoder, read_decoder
from relume.networks.network import Network, load
from relume.networks.taps import collect, spatial
from relume.networks.weights import WeightStore

Result = tuple[np.ndarray, list[Row], list[dict[str, object]]]  # pictures, index rows and timing rows of the group


def decode(
    decoders: Sequence[TrainedDecoder],
    dataset: Dataset,
    config: InvertDecoder,
    *,
    networks: Mapping[str, Network],
    device: torch.device,
    micro_batch: int,
    folder: Path | None = None,
) -> Result:
    """One method per decoder, in their order; of a network that several decode, features are computed once per micro-batch.
    `folder`: of the group."""
    rows = dataset.chosen(config)
    for decoder in decoders:
        decoder.check_images(dataset)
    images = new_images(folder, len(decoders) * len(rows), dataset.size)
    own_images = dict(zip([decoder.name for decoder in decoders], np.split(images, len(decoders)), strict=True))
    seconds = dict.fromkeys(own_images, 0.0)
    for at in range(0, len(rows), micro_batch):
        batch = rows[at : at + micro_batch]
        for network in dict.fromkeys(decoder.network for decoder in decoders):
            own = [decoder for decoder in decoders if decoder.network == network]
            taps = tuple(dict.fromkeys(tap for decoder in own for tap in decoder.taps))
            features = _look(networks[network], taps, dataset.pixels(batch).to(device))
            for decoder in own:
                started = time.perf_counter()
                own_images[decoder.name][at : at + len(batch)] = to_uint8(apply(decoder, features))
                seconds[decoder.name] += time.perf_counter() - started
    same: dict[str, Any] = {"family": "decoder", "task": "feature", "oracle": False, "dataset": dataset.name}
    index = [
        Row(**same, size=dataset.size, method=decoder.name, id=id, network=decoder.network, tap="+".join(decoder.taps))
        for decoder in decoders
        for id in dataset.ids(rows)
    ]
    timing: list[dict[str, object]] = [{"method": name, "step": 0, "seconds": spent} for name, spent in seconds.items()]
    return images, index, timing


@torch.no_grad()
def _look(network: Network, taps: Sequence[str], images: Tensor) -> dict[str, Tensor]:
    """Features, computed in full when this returns: a decoder's time is its own."""
    with collect(network, taps) as tapped:
        found = tapped(images)
    if images.device.type == "cuda":
        torch.cuda.synchronize(images.device)
    return found


@torch.no_grad()
def apply(decoder: TrainedDecoder, features: Mapping[str, Tensor]) -> Tensor:
    """Features by tap -> (N, 3, size, size) in [0, 1]."""
    wanted = {tap: spatial(features[tap]) for tap in decoder.taps}
    decoder.check_features(wanted)
    return decoder.finite(decoder.module(wanted))


@dataclass(frozen=True, kw_only=True)
class Codec:
    decoder: TrainedDecoder
    encoder: Network
    dataset: Dataset
    device: torch.device

    def __post_init__(self) -> None:
        if len(self.decoder.taps) != 1:
            raise UserError(f"{self.decoder} is of {'+'.join(self.decoder.taps)}: one tap is wanted")
        self.decoder.check_images(self.dataset)

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
            found = {tap: value.float() for tap, value in tapped(self.dataset.pixels(list(rows)).to(self.device)).items()}
        self.decoder.check_features(found)
        return found[self.tap]

    def decode(self, features: Tensor) -> Tensor:
        """Those -> (N, 3, H, W) in [0, 1], with gradients."""
        return self.decoder.module({self.tap: features})


def codecs(folders: Sequence[Path], dataset: Dataset, store: WeightStore, device: torch.device) -> list[Codec]:
    """Of decoders' folders, in their order; a network that several decode is loaded once."""
    decoders = [read_decoder(folder, device) for folder in folders]
    networks = {name: load(name, store, device) for name in dict.fromkeys(decoder.network for decoder in decoders)}
    return [Codec(decoder=decoder, encoder=networks[decoder.network], dataset=dataset, device=device) for decoder in decoders]
