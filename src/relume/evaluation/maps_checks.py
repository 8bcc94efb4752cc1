"""What must agree between `maps` and the other sections. `params` alone uses this."""

from collections.abc import Iterable, Mapping
from typing import Any

from relume.core.errors import UserError, one_of
from relume.evaluation.maps_config import Maps
from relume.losses.config import LPIPS
from relume.methods.decoder.config import DecoderConfig
from relume.networks.catalogue import check_tap


def between(built: Mapping[str, Any], decoders: Mapping[str, DecoderConfig]) -> Iterable[str]:
    """Dataset, split and count are checked where all sections' are."""
    maps: Maps = built["maps"]
    if not maps.decoders:
        return
    shared = built["train_decoder"].shared.dataset
    if maps.dataset != shared:
        yield f"maps.dataset: {maps.dataset!r} is not train_decoder.shared.dataset, {shared!r}: on its pictures maps are ranked"
    if maps.split == "train":
        yield "maps.split: the decoders have learned from split train: name another"
    yield from _judges(maps, built["weights"].networks)
    for name in maps.decoders:
        if name in decoders:
            yield from _decoder(name, decoders[name], maps.groups)
        else:
            yield f"maps.decoders: {name} is not in train_decoder.decoders; {one_of(decoders, name)}"


def _judges(maps: Maps, fetched: Iterable[str]) -> Iterable[str]:
    """LPIPS needs its network and its heads."""
    there = set(fetched)
    for metric in (metric for metric in maps.metrics if metric.startswith("lpips_")):
        for name in (metric, LPIPS[metric.removeprefix("lpips_")]):
            if name not in there:
                yield f"weights.networks: {name} is missing, which maps.metrics needs for {metric}"


def _decoder(name: str, config: DecoderConfig, groups: int) -> Iterable[str]:
    """It has one tap, with as many channels as groups at least."""
    if len(config.taps) > 1:
        yield f"maps.decoders: {name} decodes {'+'.join(config.taps)}; the maps of one tap are ranked"
    for tap in config.taps:
        try:
            channels = check_tap(config.network, tap).channels
        except UserError:
            continue  # said under train_decoder
        if channels < groups:
            yield f"maps.groups: {groups} groups are wanted of the {channels} channels of {tap}, which {name} decodes"
