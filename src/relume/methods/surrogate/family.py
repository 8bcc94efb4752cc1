"""Surrogates: maps from one network's features to another's, for the term `surrogate` of recipes."""

from relume.methods.family import Family, Section
from relume.methods.surrogate.config import SharedSurrogate, SurrogateConfig
from relume.training.config import models_of

FAMILY = Family(
    name="surrogate",
    kind="surrogate",
    sections=(
        Section(key="train_surrogate", cls=models_of(SharedSurrogate), names="models", entry=SurrogateConfig, models=True),
    ),
)
