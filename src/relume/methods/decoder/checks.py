"""Rules of decoders' sections, and of `maps`, that no annotation states."""

from collections.abc import Iterator

from relume.methods.references import Params
from relume.networks.catalogue import facts


def faults(params: Params) -> Iterator[str]:
    decoders = params.entries("train_decoder.decoders")
    for name, config in decoders.items():
        path, taps = f"train_decoder.decoders.{name}", facts(config.network).taps
        if config.architecture.kind == "conv_only":
            pooled = [tap for tap in config.taps if tap in taps and taps[tap].stride is None]
            yield from (f"{path}.taps: architecture conv_only decodes maps; {tap} has no positions" for tap in pooled)
    maps = params["maps"]
    for config in (decoders[name] for name in maps.decoders if name in decoders):
        joined, known = "+".join(config.taps), facts(config.network).taps
        if len(config.taps) > 1:
            yield f"maps.decoders: one tap is needed, {joined} are decoded"
        for tap in (known[name] for name in config.taps if name in known):
            if tap.channels < maps.groups:
                yield f"maps.groups: {maps.groups} groups need as many channels; {joined} has {tap.channels}"
