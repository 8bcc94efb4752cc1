"""Rules of decoders' sections, and of `maps`, that no annotation states."""

from collections.abc import Container, Iterator
from typing import Any

from relume.methods.decoder.shipped import LIST, cards
from relume.methods.references import Params
from relume.networks.catalogue import facts


def faults(params: Params) -> Iterator[str]:
    decoders = params.entries("train_decoder.decoders")
    for name, config in decoders.items():
        path, taps = f"train_decoder.decoders.{name}", facts(config.network).taps
        if config.architecture.kind == "conv_only":
            pooled = [tap for tap in config.taps if tap in taps and taps[tap].stride is None]
            yield from (f"{path}.taps: architecture conv_only decodes maps; {tap} has no positions" for tap in pooled)
    for name in decoders.keys() & params.entries(LIST).keys():
        yield f"train_decoder.decoders.{name}: this is the name of one that ships in {LIST}: choose another"
    maps = params["maps"]
    uses = {f"invert_decoder.{name}": one for name, one in params.entries("invert_decoder").items()} | {"maps": maps}
    for path, one in uses.items():
        yield from (f"{path}.decoders: {fault}" for fault in _shipped(one, decoders, params))
    known_decoders = {**params.entries(LIST), **decoders}
    for config in (known_decoders[name] for name in maps.decoders if name in known_decoders):
        joined, known = "+".join(config.taps), facts(config.network).taps
        if len(config.taps) > 1:
            yield f"maps.decoders: one tap is needed, {joined} are decoded"
        for tap in (known[name] for name in config.taps if name in known):
            if tap.channels < maps.groups:
                yield f"maps.groups: {maps.groups} groups need as many channels; {joined} has {tap.channels}"


def _shipped(use: Any, trained: Container[str], params: Params) -> Iterator[str]:
    """What a shipped decoder needs: images of its size, and its network."""
    for name, card in cards().items():
        if name in use.decoders and name not in trained:
            pixels, network = params.pixels(use.dataset), card["config"]["network"]
            if pixels not in (None, card["size"]):
                yield f"{name} makes images of {card['size']} px; {use.dataset} has {pixels}"
            if network not in params.names("weights.networks"):
                yield f"{name} decodes {network}, which is not in weights.networks"
