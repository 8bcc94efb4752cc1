"""Masked models: trained to predict hidden parts of an image, one method each."""

from relume.methods.family import Family, Section
from relume.methods.masked.config import MaskedConfig, MaskedGroups, SharedMasked
from relume.training.config import models_of

FAMILY = Family(
    name="masked",
    kind="masked",
    report=True,
    labels={"masked": "Masked model"},
    about="A model trained to fill in what is hidden, such as an Energy Transformer.",
    sections=(
        Section(
            key="train_masked",
            cls=models_of(SharedMasked),
            names="models",
            entry=MaskedConfig,
            models=True,
            stated=("tokenizer",),
        ),
        Section(key="reconstruct_masked", cls=MaskedGroups, groups=True, methods=lambda name, group: group.models),
    ),
)
