"""Decoders: trained from taps back to images, a method each."""

from relume.methods.decoder import shipped
from relume.methods.decoder.config import DecoderConfig, DecoderGroups, Shared
from relume.methods.family import DECLARED, Family, Section
from relume.training.config import models_of

FAMILY = Family(
    name="decoder",
    kind="decoder",
    report=True,
    labels={"decoder": "Decoder"},
    about="A network trained to turn features into pictures, in one pass (after Dosovitskiy and Brox 2016).",
    given={shipped.LIST: shipped.configs},
    sections=(
        Section(
            key="train_decoder",
            cls=models_of(Shared, "decoders"),
            names="decoders",
            entry=DecoderConfig,
            models=True,
            weights=DECLARED,
            stated=("features",),
            idle=lambda one: frozenset() if one.losses.lpips else frozenset({("measures", "lpips")}),
        ),
        Section(key="invert_decoder", cls=DecoderGroups, groups=True, methods=lambda name, group: group.decoders),
    ),
)
